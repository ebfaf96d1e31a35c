//! Peers that break the protocol or a limit: counted one by one, told in the log once a second for each kind, because whoever
//! floods the server is not to flood its log as well.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::counters::Counters;

/// Between two lines about the same kind.
const QUIET: Duration = Duration::from_secs(1);

/// What a connection is closed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There are as many connections as there may be.
    NoPlace,
    /// It had not said who it is when too many others had not either.
    Displaced,
    /// TLS, the request or the handshake took too long.
    HandshakeTimedOut,
    /// TLS or the handshake is not one.
    HandshakeBroken,
    /// The handshake was seen before.
    HandshakeReplayed,
    /// A frame, or what it holds, is over the limit.
    FrameTooLarge,
    /// A frame cannot be decrypted or decoded.
    FrameBroken,
    /// Anything else that is not the protocol.
    Protocol,
    /// It does not read what it is sent.
    NotReading,
}

const KINDS: usize = 9;

impl Refusal {
    const fn name(self) -> &'static str {
        match self {
            Self::NoPlace => "no_place",
            Self::Displaced => "displaced",
            Self::HandshakeTimedOut => "handshake_timed_out",
            Self::HandshakeBroken => "handshake_broken",
            Self::HandshakeReplayed => "handshake_replayed",
            Self::FrameTooLarge => "frame_too_large",
            Self::FrameBroken => "frame_broken",
            Self::Protocol => "protocol",
            Self::NotReading => "not_reading",
        }
    }

    fn count(self, counters: &Counters) {
        match self {
            Self::NoPlace => counters.connections_refused.one(),
            Self::Displaced => counters.connections_displaced.one(),
            Self::HandshakeTimedOut => counters.handshakes_timed_out.one(),
            Self::HandshakeReplayed => counters.handshakes_replayed.one(),
            Self::FrameTooLarge => counters.frames_too_large.one(),
            Self::FrameBroken => counters.frames_broken.one(),
            Self::NotReading => counters.writes_timed_out.one(),
            Self::HandshakeBroken | Self::Protocol => {}
        }
        match self {
            Self::NoPlace | Self::Displaced => {}
            Self::HandshakeTimedOut | Self::HandshakeBroken | Self::HandshakeReplayed => counters.handshakes_failed.one(),
            Self::FrameTooLarge | Self::FrameBroken | Self::Protocol | Self::NotReading => counters.protocol_errors.one(),
        }
    }
}

/// What was told of each kind, and what was not.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<[Told; KINDS]>);

#[derive(Default, Clone, Copy)]
struct Told {
    last: Option<Instant>,
    silent: u64,
}

impl Refusals {
    /// Counts a refusal, and logs it unless one of its kind was logged just now.
    pub(crate) fn note(&self, counters: &Counters, refusal: Refusal) {
        refusal.count(counters);
        if let Some(more) = self.due(refusal, Instant::now()) {
            tracing::warn!(reason = refusal.name(), more, "connection.refused");
        }
    }

    /// How many of the kind were not logged since the last that was; `None` while it is too early to log another.
    fn due(&self, refusal: Refusal, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = kinds.get_mut(refusal as usize)?;
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            told.silent += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.silent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_is_one_line_a_second() {
        let refusals = Refusals::default();
        let begun = Instant::now();
        assert_eq!(refusals.due(Refusal::FrameBroken, begun), Some(0));
        for _ in 0..500 {
            assert_eq!(refusals.due(Refusal::FrameBroken, begun), None);
        }
        assert_eq!(refusals.due(Refusal::NotReading, begun), Some(0), "the last kind has a line of its own");
        assert_eq!(refusals.due(Refusal::FrameBroken, begun + QUIET), Some(500));
    }
}
