//! How a worker is connected to this leader.

use crate::evidence::Stream;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{sync::watch, time::Instant};
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;
use warren_raft::status::Link;

/// A worker says that it is there every half second. One that is silent for longer gets nothing new.
const SILENCE: Duration = Duration::from_millis(1_500);

/// What a worker is to see of its shards.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Of which version of the state.
    pub(crate) version: i64,
    pub(crate) shards: Arc<BTreeMap<Shard, Epoch>>,
}

/// One start of a worker, as this leader knows it.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) incarnation: Incarnation,
    /// Its stream. Whoever writes it holds the other end.
    stream: Option<watch::Sender<Shown>>,
    ended: Option<Instant>,
    /// When it said something itself.
    pub(crate) heard: Option<Instant>,
    /// Whether it says what it has taken; then that is waited for.
    pub(crate) reports_taken: bool,
}

impl Presence {
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, stream: None, ended: None, heard: None, reports_taken: false }
    }

    /// A new stream, in the place of the one before.
    pub(crate) fn open(&mut self, now: Instant, shown: Shown) -> watch::Receiver<Shown> {
        let (sender, receiver) = watch::channel(shown);
        self.stream = Some(sender);
        self.ended = None;
        self.heard = Some(now);
        receiver
    }

    /// It says something itself, and may be about to have a stream again.
    pub(crate) fn comes_back(&mut self, now: Instant) {
        self.ended = None;
        self.heard = Some(now);
    }

    /// Notes whether the stream was ended from the other side.
    pub(crate) fn note_end(&mut self, now: Instant) -> bool {
        let has_ended = self.stream.as_ref().is_some_and(watch::Sender::is_closed);
        if has_ended {
            self.stream = None;
            self.ended = Some(now);
        }
        has_ended
    }

    pub(crate) fn show(&self, shown: Shown) {
        if let Some(stream) = &self.stream {
            stream.send_if_modified(|current| std::mem::replace(current, shown.clone()) != shown);
        }
    }

    pub(crate) fn stream(&self) -> Stream {
        match (&self.stream, self.ended) {
            (Some(_), _) => Stream::Open,
            (None, Some(ended)) => Stream::Ended(ended),
            (None, None) => Stream::Never,
        }
    }

    /// How long ago its stream ended.
    pub(crate) fn ended_for(&self, now: Instant) -> Option<Duration> {
        self.ended.map(|ended| now.saturating_duration_since(ended))
    }

    /// Whether it hears, and is heard.
    pub(crate) fn is_reachable(&self, now: Instant) -> bool {
        self.stream.is_some() && self.heard.is_some_and(|heard| now.saturating_duration_since(heard) < SILENCE)
    }

    pub(crate) fn link(&self, now: Instant) -> Link {
        match self.stream {
            Some(_) if self.is_reachable(now) => Link::Attached,
            Some(_) => Link::Silent,
            None => Link::CutOff,
        }
    }
}
