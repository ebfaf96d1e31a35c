//! What a lane is given to do.

use super::Shared;
use crate::failure::closed;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::oneshot;
use warren_ports::ledger::{Outcome, Write};

/// One thing for the lane to do.
pub(super) enum Job {
    /// Writes of owners.
    Hot(Hot),
    /// Answer when everything before it is committed.
    Flush(oneshot::Sender<()>),
    /// Answer when everything before it is done, and end.
    Stop(oneshot::Sender<()>),
}

/// The writes of one call that go through one lane.
pub(super) struct Hot {
    pub(super) writes: Vec<Write>,
    pub(super) queued: Instant,
    answer: Answer,
}

pub(super) enum Answer {
    /// The caller waits for the commit.
    Awaited(oneshot::Sender<Vec<Outcome>>),
    /// The caller was answered when this was queued.
    Given(#[expect(dead_code, reason = "held until the commit")] Unsettled),
}

/// Counts a write that was answered before its commit.
pub(super) struct Unsettled(Arc<Shared>);

impl Unsettled {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.unsettled.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.0.unsettled.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Hot {
    pub(super) fn new(writes: Vec<Write>, answer: Answer) -> Self {
        Self { writes, queued: Instant::now(), answer }
    }

    /// Whether nobody waits for the sync of this.
    pub(super) fn is_relaxed(&self) -> bool {
        matches!(self.answer, Answer::Given(_))
    }

    pub(super) fn answer(self, outcomes: Vec<Outcome>) {
        match self.answer {
            // The caller may have gone away; what it wrote stays written.
            Answer::Awaited(answer) => {
                let _ = answer.send(outcomes);
            }
            Answer::Given(_) => {
                let lost = outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Done | Outcome::NoChange));
                let lost = lost.count();
                if lost > 0 {
                    // The next write of the same owner gets the same verdict, and acts on it.
                    tracing::debug!(lost, "writes answered early were refused");
                }
            }
        }
    }
}

impl Job {
    /// The lane has ended.
    pub(super) fn refuse(self) {
        match self {
            Self::Hot(hot) => {
                let refused = hot.writes.iter().map(|_| Outcome::Refused(closed())).collect();
                hot.answer(refused);
            }
            Self::Flush(done) | Self::Stop(done) => {
                // Whoever asked may have given up waiting.
                let _ = done.send(());
            }
        }
    }
}
