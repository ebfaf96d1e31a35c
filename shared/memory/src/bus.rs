//! The bus inside one process: a map of servers by shard and a map of listeners by topic.

use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use warren_domain::Shard;
use warren_ports::bus::listeners::Listeners;
use warren_ports::bus::{Command, Listener, Reply, Request, RequestError, Ring, Topic};

/// Requests that may wait for one server.
const SERVER_QUEUE: usize = 256;
/// The pauses before a request that its server dropped is offered again.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// The bus of one process or sandbox. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// One entry a shard that was ever served: bounded by the number of shards.
    servers: Mutex<HashMap<Shard, Server>>,
    listeners: Arc<Listeners>,
    closed: AtomicBool,
}

/// The latest server of a shard, and the bell for those who wait for the next one.
#[derive(Debug, Default)]
struct Server {
    requests: Option<mpsc::Sender<Request>>,
    changed: Arc<Notify>,
}

impl Default for Bus {
    fn default() -> Self {
        Self::new()
    }
}

impl Bus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner { servers: Mutex::default(), listeners: Arc::default(), closed: AtomicBool::new(false) }),
        }
    }

    /// Closes the bus: listeners hear what was rung and then `None`, requests get `Unavailable`, servers get no more
    /// requests.
    pub fn close(&self) {
        self.inner.closed.store(true, Ordering::SeqCst);
        for server in lock(&self.inner.servers).values_mut() {
            server.requests = None;
            server.changed.notify_waiters();
        }
        self.inner.listeners.close();
    }

    /// How many topics somebody listens to.
    #[must_use]
    pub fn topics(&self) -> usize {
        self.inner.listeners.topics()
    }
}

impl Inner {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn bell(&self, shard: Shard) -> Arc<Notify> {
        Arc::clone(&lock(&self.servers).entry(shard).or_default().changed)
    }

    fn server(&self, shard: Shard) -> Option<mpsc::Sender<Request>> {
        lock(&self.servers).get(&shard).and_then(|server| server.requests.clone())
    }

    /// Waits for a server with room, and leaves the request with it.
    async fn offer(&self, shard: Shard, command: &Command) -> Result<oneshot::Receiver<Reply>, RequestError> {
        let bell = self.bell(shard);
        loop {
            let mut next = std::pin::pin!(bell.notified());
            // Before the look below, so that no change after the look goes unheard.
            next.as_mut().enable();
            if self.is_closed() {
                return Err(RequestError::Unavailable);
            }
            let Some(requests) = self.server(shard) else {
                next.await;
                continue;
            };
            tokio::select! {
                biased;
                () = &mut next => {}
                permit = requests.reserve() => match permit {
                    Ok(permit) => {
                        let (reply, answer) = oneshot::channel();
                        permit.send(Request { command: command.clone(), reply });
                        return Ok(answer);
                    }
                    // That server is gone; wait for the next one.
                    Err(_) => next.await,
                },
            }
        }
    }
}

#[async_trait]
impl warren_ports::bus::Bus for Bus {
    async fn request(&self, shard: Shard, command: Command, deadline: Duration) -> Result<Reply, RequestError> {
        let until = Instant::now() + deadline;
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = match tokio::time::timeout_at(until, self.inner.offer(shard, &command)).await {
                Err(_) => return Err(RequestError::NoResponder),
                Ok(Err(error)) => return Err(error),
                Ok(Ok(answer)) => answer,
            };
            match tokio::time::timeout_at(until, answer).await {
                Ok(Ok(reply)) => return Ok(reply),
                Err(_) => return Err(RequestError::Timeout),
                // The server dropped the request, which says that it did nothing with it: so it may be offered again.
                Ok(Err(_)) => {}
            }
            if tokio::time::timeout_at(until, tokio::time::sleep(pause)).await.is_err() {
                return Err(RequestError::NoResponder);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn serve(&self, shard: Shard) -> mpsc::Receiver<Request> {
        let (requests, served) = mpsc::channel(SERVER_QUEUE);
        let mut servers = lock(&self.inner.servers);
        // Looked at under the lock that `close` takes after it has set the flag.
        if !self.inner.is_closed() {
            let server = servers.entry(shard).or_default();
            server.requests = Some(requests);
            server.changed.notify_waiters();
        }
        served
    }

    fn ring(&self, topic: Topic, ring: Ring) {
        self.inner.listeners.ring(topic, &ring);
    }

    async fn listen(&self, topic: Topic) -> Box<dyn Listener> {
        self.inner.listeners.listen(topic, || ())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use warren_domain::MessageId;
    use warren_ports::bus::Bus as _;

    #[tokio::test]
    async fn a_topic_without_listeners_is_forgotten() {
        let bus = Bus::new();
        let topic = Topic::Settled(MessageId::generate());
        let (one, other) = (bus.listen(topic).await, bus.listen(topic).await);
        assert_eq!(bus.topics(), 1);
        drop(one);
        assert_eq!(bus.topics(), 1);
        drop(other);
        assert_eq!(bus.topics(), 0);
    }

    #[tokio::test]
    async fn listening_to_a_closed_bus_ends_at_once() {
        let bus = Bus::new();
        bus.close();
        assert_eq!(bus.listen(Topic::Outbound(Shard(1))).await.next().await, None);
        assert_eq!(bus.serve(Shard(1)).await.recv().await.map(|_| ()), None);
        assert_eq!(bus.topics(), 0);
    }
}
