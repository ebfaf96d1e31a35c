//! The time since a process started: nobody sets it, and it means nothing to any other process.

use crate::envelope::{ID, Id};
use std::time::{Duration, Instant};
use warren_domain::Timestamp;

/// A moment of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessTime {
    pub(crate) process: Id,
    /// Since it started.
    pub(crate) at: Timestamp,
}

impl ProcessTime {
    pub(crate) fn after(self, span: Duration) -> Self {
        Self { at: self.at.after(span), ..self }
    }
}

/// The clock of this process.
#[derive(Debug)]
pub(crate) struct ProcessClock {
    pub(crate) process: Id,
    started: Instant,
}

impl ProcessClock {
    pub(crate) fn start() -> Self {
        Self { process: rand::random(), started: Instant::now() }
    }

    pub(crate) fn now(&self) -> ProcessTime {
        ProcessTime { process: self.process, at: Timestamp::from_millis(0).after(self.started.elapsed()) }
    }
}

/// The process that a body names first, and the rest.
pub(crate) fn named(body: &[u8]) -> Option<(Id, &[u8])> {
    body.split_first_chunk::<ID>().map(|(process, rest)| (*process, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_time_of_its_own() {
        let (one, other) = (ProcessClock::start(), ProcessClock::start());
        assert_ne!(one.now().process, other.now().process);
        let now = one.now();
        let later = now.after(Duration::from_secs(1));
        assert_eq!((later.process, later.at.as_millis() - now.at.as_millis()), (now.process, 1_000));
    }

    #[test]
    fn a_body_names_a_process_or_is_none() {
        assert_eq!(named(&[7; ID]), Some(([7; ID], &[][..])));
        assert_eq!(named(&[7; ID - 1]), None);
    }
}
