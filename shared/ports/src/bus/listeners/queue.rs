//! A listener's queue: bounded, never blocks the ringer, and remembers that it dropped something.

use super::super::Ring;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Rings kept for one listener, besides one [`Ring::Missed`].
const CAPACITY: usize = 256;

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    // Grows on demand: most listeners wait for a single ring.
    rings: VecDeque<Ring>,
    closed: bool,
}

impl Queue {
    /// Adds a ring. In a full queue, the first ring that is dropped leaves [`Ring::Missed`] in its place.
    pub(super) fn push(&self, ring: Ring) {
        let mut state = self.lock();
        if state.closed {
            return;
        }
        if state.rings.len() < CAPACITY {
            state.rings.push_back(ring);
        } else if state.rings.back() != Some(&Ring::Missed) {
            state.rings.push_back(Ring::Missed);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Nothing comes any more; what is queued can still be heard.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The next ring; `None` once it is closed and empty. For one consumer.
    pub(super) async fn pop(&self) -> Option<Ring> {
        loop {
            // `notify_one` stores a permit, so a push between the look and the wait is not lost.
            {
                let mut state = self.lock();
                if let Some(ring) = state.rings.pop_front() {
                    return Some(ring);
                }
                if state.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gap_is_marked_once_and_in_its_place() {
        let queue = Queue::default();
        for _ in 0..CAPACITY + 10 {
            queue.push(Ring::Log);
        }
        for _ in 0..CAPACITY {
            assert_eq!(queue.pop().await, Some(Ring::Log));
        }
        queue.push(Ring::Settled);
        assert_eq!(queue.pop().await, Some(Ring::Missed));
        assert_eq!(queue.pop().await, Some(Ring::Settled));
        queue.close();
        assert_eq!(queue.pop().await, None);
    }
}
