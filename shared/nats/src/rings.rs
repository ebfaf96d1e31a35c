//! Ringing and listening.

use crate::bus::Inner;
use crate::envelope::{FRESH, Head, Id, Kind, Place, Refused};
use async_nats::{Message, Subscriber};
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use warren_domain::InstanceId;
use warren_ports::bus::{Ephemeral, Listener, Ring, Topic};

/// How long every message's end is still heard after the last who waited for one.
const IDLE: Duration = Duration::from_secs(10);

/// A ring as it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Outbound(InstanceId),
    Log,
    Ephemeral(Arc<Ephemeral>),
    Settled,
    Missed,
}

impl From<&Ring> for Written {
    fn from(ring: &Ring) -> Self {
        match ring {
            Ring::Outbound(instance) => Self::Outbound(*instance),
            Ring::Log => Self::Log,
            Ring::Ephemeral(event) => Self::Ephemeral(Arc::clone(event)),
            Ring::Settled => Self::Settled,
            Ring::Missed => Self::Missed,
        }
    }
}

impl From<Written> for Ring {
    fn from(written: Written) -> Self {
        match written {
            Written::Outbound(instance) => Self::Outbound(instance),
            Written::Log => Self::Log,
            Written::Ephemeral(event) => Self::Ephemeral(event),
            Written::Settled => Self::Settled,
            Written::Missed => Self::Missed,
        }
    }
}

/// What hears a topic for as long as somebody in this process listens to it.
pub(crate) enum Companion {
    /// A subscription of its own.
    Own(#[expect(dead_code, reason = "kept for its end")] AbortOnDropHandle<()>),
    /// The one to every message's end.
    Settled(#[expect(dead_code, reason = "kept for its end")] Waits),
}

impl Inner {
    /// Rings, if that needs no waiting.
    pub(crate) fn ring(&self, topic: Topic, ring: &Ring) {
        if !self.link.is_up() || !self.send_ring(topic, ring) {
            self.metrics.rings_dropped.inc();
        }
    }

    fn send_ring(&self, topic: Topic, ring: &Ring) -> bool {
        let subject = self.subjects.topic(topic);
        let issued = self.now();
        let head = Head { kind: Kind::Ring, id: Id::default(), issued, until: issued.after(FRESH) };
        let place = Place { subject: &subject, answer: "" };
        let frame = self.envelopes.seal(place, head, |frame| serde_json::to_writer(frame, &Written::from(ring)));
        let Ok(frame) = frame else { return false };
        frame.len() <= self.client.max_payload() && self.try_publish(subject, frame)
    }

    pub(crate) fn listen(self: &Arc<Self>, topic: Topic) -> Box<dyn Listener> {
        self.listeners.listen(topic, || match topic {
            Topic::Outbound(_) | Topic::Log(_) => self.hear_topic(topic),
            Topic::Settled(_) => Companion::Settled(self.wait_for_ends()),
        })
    }

    fn hear_topic(self: &Arc<Self>, topic: Topic) -> Companion {
        let subscribed = self.subscribe(self.subjects.topic(topic));
        let inner = Arc::clone(self);
        let hears = tokio::spawn(async move {
            let Some(mut messages) = subscribed.await else { return };
            while let Some(message) = messages.next().await {
                inner.heard(topic, &message);
            }
        });
        Companion::Own(AbortOnDropHandle::new(hears))
    }

    fn heard(&self, topic: Topic, message: &Message) {
        match self.open_ring(message) {
            Ok(ring) => self.listeners.ring(topic, &ring),
            Err(reason) => self.metrics.refused("ring", reason),
        }
    }

    fn open_ring(&self, message: &Message) -> Result<Ring, Refused> {
        let place = Place { subject: &message.subject, answer: "" };
        let (head, body) = self.envelopes.open(place, &message.payload)?;
        if head.kind != Kind::Ring {
            return Err(Refused::Malformed);
        }
        // It may carry what is true for a moment only.
        if !head.is_fresh(self.now()) {
            return Err(Refused::Stale);
        }
        serde_json::from_slice::<Written>(&body).map(Ring::from).map_err(|_| Refused::Malformed)
    }

    /// Hears every message's end while somebody waits for one: one subscription for all who wait.
    fn wait_for_ends(self: &Arc<Self>) -> Waits {
        let mut state = self.settled.lock();
        state.waiting += 1;
        if state.hears.is_none() {
            let subscribed = self.subscribe(self.subjects.all_settled());
            let inner = Arc::clone(self);
            let hears = tokio::spawn(async move {
                if let Some(messages) = subscribed.await {
                    inner.hear_ends(messages).await;
                }
            });
            state.hears = Some(AbortOnDropHandle::new(hears));
        }
        Waits { inner: Arc::clone(self) }
    }

    async fn hear_ends(&self, mut messages: Subscriber) {
        let mut look = interval(IDLE / 4);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => {
                    let Some(message) = message else { return };
                    // Most of them nobody here waits for: those are not even opened.
                    if let Some(topic) = self.subjects.settled(&message.subject).filter(|topic| self.listeners.is_heard(*topic)) {
                        self.heard(topic, &message);
                    }
                }
                _ = look.tick() => if self.settled.is_over() { return },
            }
        }
    }
}

/// Who waits for a message's end.
#[derive(Default)]
pub(crate) struct Settled {
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    waiting: usize,
    /// Since when nobody does.
    idle: Option<Instant>,
    hears: Option<AbortOnDropHandle<()>>,
}

impl Settled {
    pub(crate) fn close(&self) {
        self.lock().hears = None;
    }

    /// Whether nobody waited for long enough; whoever comes next begins anew.
    fn is_over(&self) -> bool {
        let mut state = self.lock();
        let is_over = state.waiting == 0 && state.idle.is_some_and(|since| since.elapsed() >= IDLE);
        if is_over && let Some(hears) = state.hears.take() {
            // It ends by itself: it is who asks.
            drop(hears.detach());
        }
        is_over
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One topic that is waited for.
pub(crate) struct Waits {
    inner: Arc<Inner>,
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut state = self.inner.settled.lock();
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0 {
            state.idle = Some(Instant::now());
        }
    }
}
