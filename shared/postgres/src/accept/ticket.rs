//! Who was first: the caller's deadline, or the transaction.

use std::sync::atomic::{AtomicU8, Ordering};

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const ABANDONED: u8 = 2;

/// Settles it between caller and committer, so that `Unavailable` always means that nothing was written.
#[derive(Debug, Default)]
pub(super) struct Ticket(AtomicU8);

impl Ticket {
    fn turn(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The committer begins, or goes on with what is in doubt. `false` if the caller gave up first.
    pub(super) fn start(&self) -> bool {
        self.turn(WAITING, RUNNING) || self.0.load(Ordering::SeqCst) == RUNNING
    }

    /// The transaction was undone: the caller may give up again.
    pub(super) fn pause(&self) {
        self.turn(RUNNING, WAITING);
    }

    /// The caller gives up. `false` if the transaction runs, or its outcome is not known.
    pub(super) fn abandon(&self) -> bool {
        self.turn(WAITING, ABANDONED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_first_decides() {
        let given_up = Ticket::default();
        assert!(given_up.abandon());
        assert!(!given_up.start());
        let running = Ticket::default();
        assert!(running.start());
        assert!(!running.abandon());
        assert!(running.start());
        running.pause();
        assert!(running.abandon());
    }
}
