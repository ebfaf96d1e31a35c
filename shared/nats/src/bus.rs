//! The bus of one process, and what keeps it going.

use crate::clock::{ProcessClock, ProcessTime, named};
use crate::envelope::{Envelopes, Head, Id, Kind, Place, Refused};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::pending::{Heard, Pending};
use crate::rings::{Companion, Settled};
use crate::seen::Seen;
use crate::serve::Servers;
use crate::subjects::Subjects;
use async_nats::connection::State;
use async_nats::{Client, Event, Message, StatusCode, Subscriber};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::task::unconstrained;
use tokio::time::{Instant, timeout};
use tokio_util::task::AbortOnDropHandle;
use warren_domain::time::Clock;
use warren_domain::{Shard, Timestamp};
use warren_ports::bus::listeners::Listeners;
use warren_ports::bus::{Command, Listener, Reply, Request, RequestError, Ring, Topic};

/// Between two looks at the connection; its events make the next look earlier.
const LOOK: Duration = Duration::from_millis(100);
/// For one round trip to the server.
const ROUND_TRIP: Duration = Duration::from_secs(1);
/// What the last frames of a bus that is closed are given to leave.
const FLUSH: Duration = Duration::from_secs(1);

/// The bus over NATS. Cheap to clone; clones share it. Closed when the last clone is dropped, or by [`Bus::close`].
///
/// - A request that nobody serves is made again after 10 ms, then twice as long each time, up to 250 ms.
/// - While NATS is away, requests are `Unavailable` within two seconds, and rings are dropped; once it is back, every listener
///   hears [`Ring::Missed`]. A request that was sent when NATS went away is a `Timeout`: it may have been carried out.
/// - A request above the server's limit (1 MB by default) is refused with `too_large`, and so is an answer.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
    /// Closes it with the last clone: tasks of the bus hold `inner` as well.
    _open: Arc<Open>,
}

struct Open(Arc<Inner>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").field("link", &self.inner.link).finish_non_exhaustive()
    }
}

pub(crate) struct Inner {
    pub(crate) client: Client,
    pub(crate) subjects: Subjects,
    pub(crate) envelopes: Envelopes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) process: ProcessClock,
    pub(crate) metrics: Metrics,
    pub(crate) link: Link,
    pub(crate) pending: Arc<Pending>,
    pub(crate) seen: Seen,
    pub(crate) servers: Servers,
    pub(crate) listeners: Arc<Listeners<Companion>>,
    pub(crate) settled: Settled,
    /// What runs as long as the bus is open.
    tasks: Mutex<Vec<AbortOnDropHandle<()>>>,
}

/// What the client tells of its connection.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    changed: Notify,
    slow: AtomicBool,
}

impl Signals {
    pub(crate) fn tell(&self, event: &Event) {
        if matches!(event, Event::SlowConsumer(_)) {
            self.slow.store(true, Ordering::Relaxed);
        }
        self.changed.notify_one();
    }
}

/// What a bus is made of.
pub(crate) struct Parts {
    pub(crate) client: Client,
    pub(crate) subjects: Subjects,
    pub(crate) envelopes: Envelopes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) signals: Arc<Signals>,
}

impl Bus {
    /// Over a connection. It may not be up yet.
    pub(crate) async fn over(parts: Parts) -> Result<Self, async_nats::SubscribeError> {
        let Parts { client, subjects, envelopes, clock, metrics, signals } = parts;
        let answers = client.subscribe(subjects.all_answers()).await?;
        let inner = Arc::new(Inner {
            client,
            subjects,
            envelopes,
            clock,
            process: ProcessClock::start(),
            metrics,
            link: Link::new(),
            pending: Arc::default(),
            seen: Seen::default(),
            servers: Servers::default(),
            listeners: Arc::default(),
            settled: Settled::default(),
            tasks: Mutex::default(),
        });
        let hears = tokio::spawn(hear_answers(Arc::clone(&inner), answers));
        let watches = tokio::spawn(watch(Arc::clone(&inner), signals));
        let tasks = vec![AbortOnDropHandle::new(hears), AbortOnDropHandle::new(watches)];
        *inner.tasks.lock().unwrap_or_else(PoisonError::into_inner) = tasks;
        Ok(Self { _open: Arc::new(Open(Arc::clone(&inner))), inner })
    }

    /// How long a message to the server and back takes; `None` if it does not come back within a second.
    pub(crate) async fn round_trip(&self) -> Option<Duration> {
        self.inner.round_trip().await
    }

    /// Waits until it can be used. Whether it can.
    pub(crate) async fn is_up(&self) -> bool {
        self.inner.link.up().await.is_ok()
    }

    /// The version of the server.
    pub(crate) fn server(&self) -> String {
        self.inner.client.server_info().version
    }

    /// Closes it: listeners hear what was rung and then `None`, requests are `Unavailable`, servers get no more requests.
    pub async fn close(&self) {
        self.inner.close();
        let _ = timeout(FLUSH, self.inner.client.flush()).await;
    }
}

impl Inner {
    fn close(&self) {
        self.link.close();
        self.pending.away();
        self.listeners.close();
        self.servers.close();
        self.settled.close();
        self.metrics.up.set(0);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Sends without waiting. Whether it was sent.
    pub(crate) fn try_publish(&self, subject: String, frame: Bytes) -> bool {
        // The budget of the task must not make a queue look full that is not.
        let sent = unconstrained(self.client.publish(subject, frame)).now_or_never();
        matches!(sent, Some(Ok(())))
    }

    /// Begins to hear a subject. What is sent from here afterwards is heard.
    pub(crate) fn subscribe(self: &Arc<Self>, subject: String) -> impl Future<Output = Option<Subscriber>> + Send + use<> {
        // At once if there is room, so that what follows comes after it; while NATS is away, when it is back.
        let now = unconstrained(self.client.subscribe(subject.clone())).now_or_never();
        let client = self.client.clone();
        async move {
            match now {
                Some(subscribed) => subscribed.ok(),
                None => client.subscribe(subject).await.ok(),
            }
        }
    }

    /// Sends a message to this process itself: it tells that the server passes on what it may, whoever else listens.
    async fn round_trip(&self) -> Option<Duration> {
        let started = Instant::now();
        let waiting = self.pending.open()?;
        let subject = self.subjects.answer(waiting.id());
        let frame = self.told(&subject, self.answering(waiting.id(), Kind::NotTaken), &[]);
        timeout(ROUND_TRIP, async {
            self.client.publish(subject, frame).await.ok()?;
            waiting.heard().await;
            Some(started.elapsed())
        })
        .await
        .ok()?
    }

    /// Passes an answer on to who waits for it.
    fn hear_answer(&self, message: &Message) {
        let Some(id) = self.subjects.answered(&message.subject).filter(|id| self.pending.is_open(*id)) else { return };
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return self.pending.tell(id, Heard::NotTaken);
        }
        let place = Place { subject: &message.subject, answer: "" };
        // It names a request that waits now: it is not of another time, whatever its maker's clock says.
        match self.envelopes.open(place, &message.payload).and_then(|frame| heard(id, &frame)) {
            Ok(heard) => self.pending.tell(id, heard),
            Err(reason) => self.metrics.refused("answer", reason),
        }
    }
}

fn heard(id: Id, (head, body): &(Head, Bytes)) -> Result<Heard, Refused> {
    match head.kind {
        Kind::Reply if head.id == id => serde_json::from_slice(body).map(Heard::Reply).map_err(|_| Refused::Malformed),
        Kind::NotTaken if head.id == id => Ok(Heard::NotTaken),
        Kind::OtherTime if head.id == id => {
            let (process, _) = named(body).ok_or(Refused::Malformed)?;
            Ok(Heard::OtherTime(ProcessTime { process, at: head.issued }))
        }
        _ => Err(Refused::Malformed),
    }
}

async fn hear_answers(inner: Arc<Inner>, mut answers: Subscriber) {
    while let Some(message) = answers.next().await {
        inner.hear_answer(&message);
    }
}

/// Watches the connection. When it is back, everybody hears that rings were missed.
async fn watch(inner: Arc<Inner>, signals: Arc<Signals>) {
    let connects = || inner.client.statistics().connects.load(Ordering::Relaxed);
    let mut known = None;
    loop {
        if signals.slow.swap(false, Ordering::Relaxed) {
            inner.metrics.missed.inc();
            inner.listeners.missed();
        }
        let connected = inner.client.connection_state() == State::Connected;
        let latest = connects();
        if (!connected || known != Some(latest)) && inner.link.fall() {
            inner.pending.away();
            inner.metrics.up.set(0);
            tracing::warn!("the bus is away");
        }
        // The round trip comes behind the subscriptions that the client makes again: they are in place when it ends.
        if connected && !inner.link.is_up() && inner.round_trip().await.is_some() && connects() == latest {
            let is_back = known.replace(latest).is_some();
            inner.link.rise();
            inner.metrics.up.set(1);
            if is_back {
                tracing::info!("the bus is back");
                inner.metrics.reconnects.inc();
                inner.metrics.missed.inc();
                inner.listeners.missed();
            }
        }
        let _ = timeout(LOOK, signals.changed.notified()).await;
    }
}

#[async_trait]
impl warren_ports::bus::Bus for Bus {
    async fn request(&self, shard: Shard, command: Command, deadline: Duration) -> Result<Reply, RequestError> {
        let started = Instant::now();
        let outcome = self.inner.request(shard, &command, started + deadline).await;
        self.inner.metrics.requested(&outcome, started.elapsed().as_secs_f64());
        outcome
    }

    async fn serve(&self, shard: Shard) -> mpsc::Receiver<Request> {
        self.inner.serve(shard)
    }

    fn ring(&self, topic: Topic, ring: Ring) {
        self.inner.ring(topic, &ring);
    }

    async fn listen(&self, topic: Topic) -> Box<dyn Listener> {
        let listener = self.inner.listen(topic);
        if matches!(topic, Topic::Log(_)) && self.inner.link.is_up() {
            // Comes behind the subscription: once it is back, the server passes on what others ring.
            let _ = self.inner.round_trip().await;
        }
        listener
    }
}
