//! Serving shards: what is asked of their owner.

use crate::bus::Inner;
use crate::clock::named;
use crate::envelope::{FRESH, Head, Id, Kind, Place, Refused};
use crate::request::too_large;
use crate::seen::Sight;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout_at};
use warren_domain::{Shard, Timestamp};
use warren_ports::bus::{Command, Reply, Request};

/// Requests that may wait for one server.
const QUEUE: usize = 256;
/// How long a shard that is given up is still heard, so that a request that was on its way is told so and not left alone.
const LEAVING: Duration = Duration::from_secs(2);

/// Where the requests of a shard go.
type Requests = mpsc::Sender<Request>;

/// The shards that this process serves: at most one entry a shard.
#[derive(Default)]
pub(crate) struct Servers {
    shards: Mutex<Shards>,
}

#[derive(Default)]
struct Shards {
    closed: bool,
    servers: HashMap<Shard, Server>,
}

struct Server {
    /// What hears the shard ends with this.
    requests: watch::Sender<Requests>,
}

impl Servers {
    /// Ends them all, and every later one at once.
    pub(crate) fn close(&self) {
        let mut shards = self.lock();
        shards.closed = true;
        shards.servers.clear();
    }

    /// Forgets a shard whose server is still the one that left. Whether it was.
    fn left(&self, shard: Shard, who: &Requests) -> bool {
        let mut shards = self.lock();
        let same = shards.servers.get(&shard).is_some_and(|server| server.requests.borrow().same_channel(who));
        if same {
            shards.servers.remove(&shard);
        }
        same
    }

    fn lock(&self) -> MutexGuard<'_, Shards> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Serves a shard from now on. While NATS is away: once it is back.
    pub(crate) fn serve(self: &Arc<Self>, shard: Shard) -> mpsc::Receiver<Request> {
        let (requests, served) = mpsc::channel(QUEUE);
        let mut shards = self.servers.lock();
        if shards.closed {
            return served;
        }
        if let Some(server) = shards.servers.get(&shard) {
            server.requests.send_replace(requests);
            return served;
        }
        let (current, latest) = watch::channel(requests);
        let subscribed = self.subscribe(self.subjects.command(shard));
        let server = Serving { inner: Arc::clone(self), shard, since: Instant::now() };
        tokio::spawn(async move {
            if let Some(messages) = subscribed.await {
                server.hear(messages, latest).await;
            }
        });
        shards.servers.insert(shard, Server { requests: current });
        served
    }

    /// Answers a request, or says that nobody took it.
    async fn answer(&self, asked: Asked, reply: oneshot::Receiver<Reply>) {
        // When the caller has given up, the server sees it as well: its end of this is closed.
        let Ok(reply) = timeout_at(asked.until, reply).await else { return };
        let Ok(reply) = reply else { return self.not_taken(&asked) };
        let Some(frame) = self.sealed(&asked, Kind::Reply, &reply) else { return };
        let _ = timeout_at(asked.until, self.client.publish(asked.answer, frame)).await;
    }

    /// Tells the asker at once that nothing was done, so that it asks again.
    fn not_taken(&self, asked: &Asked) {
        self.seen.forget(asked.id);
        self.metrics.not_taken.inc();
        self.tell(&asked.answer, self.answering(asked.id, Kind::NotTaken), &[]);
    }

    /// Tells the asker what time it is here, so that it asks again by that.
    fn tell_the_time(&self, id: Id, answer: &str) {
        let now = self.process.now();
        let head = Head { kind: Kind::OtherTime, id, issued: now.at, until: now.at.after(FRESH) };
        self.tell(answer, head, &now.process);
    }

    /// Answers with what is known already, if that needs no waiting.
    fn tell(&self, answer: &str, head: Head, body: &[u8]) {
        self.try_publish(answer.to_owned(), self.told(answer, head, body));
    }

    /// The frame of an answer that is known already.
    pub(crate) fn told(&self, answer: &str, head: Head, body: &[u8]) -> Bytes {
        let place = Place { subject: answer, answer: "" };
        let Ok(frame) = self.envelopes.seal(place, head, |frame| {
            frame.extend(body);
            Ok::<_, Infallible>(())
        });
        frame
    }

    fn sealed(&self, asked: &Asked, kind: Kind, reply: &Reply) -> Option<Bytes> {
        let place = Place { subject: &asked.answer, answer: "" };
        let seal = |reply: &Reply| {
            let frame =
                self.envelopes.seal(place, self.answering(asked.id, kind), |frame| serde_json::to_writer(frame, reply));
            frame.ok()
        };
        let frame = seal(reply)?;
        if frame.len() <= self.client.max_payload() {
            return Some(frame);
        }
        seal(&Reply::Refused(too_large("The answer is larger than what can be passed on.")))
    }

    pub(crate) fn answering(&self, id: Id, kind: Kind) -> Head {
        let issued = self.now();
        Head { kind, id, issued, until: issued.after(FRESH) }
    }
}

/// What is known of a request that was believed.
struct Asked {
    id: Id,
    /// The subject of its answer.
    answer: String,
    until: Instant,
}

/// One shard that is served.
struct Serving {
    inner: Arc<Inner>,
    shard: Shard,
    /// What was made before that was not for this server: it may have been carried out by another one. By the clock that no one
    /// can set.
    since: Instant,
}

impl Serving {
    /// Hears the shard until its server has left; then what it still carries out is answered.
    async fn hear(self, mut messages: Subscriber, mut latest: watch::Receiver<Requests>) {
        let mut requests = latest.borrow_and_update().clone();
        let mut leaves: Option<Instant> = None;
        let mut answers = FuturesUnordered::new();
        loop {
            let left = async {
                match leaves {
                    Some(at) => sleep_until(at).await,
                    None => requests.closed().await,
                }
            };
            tokio::select! {
                Some(()) = answers.next() => {}
                message = messages.next() => match message {
                    Some(message) => if let Some((asked, reply)) = self.take(&requests, message) {
                        answers.push(self.inner.answer(asked, reply));
                    },
                    None => break,
                },
                changed = latest.changed() => match changed {
                    Ok(()) => (requests, leaves) = (latest.borrow_and_update().clone(), None),
                    Err(_) => break,
                },
                () = left => match leaves {
                    None => leaves = Some(Instant::now() + LEAVING),
                    Some(_) if self.inner.servers.left(self.shard, &requests) => break,
                    // Somebody serves it again; that is heard next.
                    Some(_) => leaves = None,
                },
            }
        }
        drop((messages, requests));
        while answers.next().await.is_some() {}
    }

    /// Passes a request on to its server, if it is believed and there is room; returns where its reply will be.
    fn take(&self, requests: &Requests, message: Message) -> Option<(Asked, oneshot::Receiver<Reply>)> {
        let (asked, command) = match self.open(message, requests.is_closed()) {
            Ok(opened) => opened,
            Err(reason) => {
                self.inner.metrics.refused("request", reason);
                return None;
            }
        };
        let (Some(command), Ok(permit)) = (command, requests.try_reserve()) else {
            self.inner.not_taken(&asked);
            return None;
        };
        let (reply, answer) = oneshot::channel();
        permit.send(Request { command, reply });
        Some((asked, answer))
    }

    /// The time now by the clock that a request was made by, if it is one of this process; and what is asked.
    fn now_by_the_clock_of<'b>(&self, head: &Head, body: &'b [u8]) -> Result<(Option<Timestamp>, &'b [u8]), Refused> {
        match head.kind {
            Kind::Request => Ok((Some(self.inner.now()), body)),
            Kind::RequestByProcess => {
                let (process, command) = named(body).ok_or(Refused::Malformed)?;
                let now = self.inner.process.now();
                Ok(((process == now.process).then_some(now.at), command))
            }
            _ => Err(Refused::Malformed),
        }
    }

    /// Whether a request was made before this server was there, to the millisecond that clocks tell.
    fn is_of_an_earlier_one(&self, head: &Head, now: Timestamp) -> bool {
        let age = now.since(head.issued).saturating_sub(Duration::from_millis(1));
        Instant::now().checked_sub(age).is_none_or(|made| made < self.since)
    }

    /// What is asked; without a command, the server has left, or there is no room to remember that it was carried out.
    fn open(&self, message: Message, has_left: bool) -> Result<(Asked, Option<Command>), Refused> {
        let answer = message.reply.ok_or(Refused::Malformed)?;
        let place = Place { subject: &message.subject, answer: &answer };
        let (head, body) = self.inner.envelopes.open(place, &message.payload)?;
        let (now, command) = self.now_by_the_clock_of(&head, &body)?;
        // The asker waits so long, whatever its clock says.
        let left = head.until.since(head.issued).min(FRESH * 10);
        let asked = Asked { id: head.id, answer: answer.to_string(), until: Instant::now() + left };
        let is_for_now = |now: &Timestamp| !has_left && head.is_fresh(*now) && !self.is_of_an_earlier_one(&head, *now);
        let Some(now) = now.filter(is_for_now) else {
            // What was carried out is not to be made again, whatever the clocks say.
            if self.inner.seen.has(head.id) {
                return Err(Refused::Repeated);
            }
            if has_left {
                return Ok((asked, None));
            }
            self.inner.tell_the_time(head.id, &asked.answer);
            return Err(Refused::Stale);
        };
        let command = serde_json::from_slice(command).map_err(|_| Refused::Malformed)?;
        // And for so long it looks like one that may be carried out.
        let fresh = head.until.min(head.issued.after(FRESH)).since(now);
        match self.inner.seen.see(head.id, left.max(fresh)) {
            Sight::First => Ok((asked, Some(command))),
            Sight::Again => Err(Refused::Repeated),
            Sight::Full => Ok((asked, None)),
        }
    }
}
