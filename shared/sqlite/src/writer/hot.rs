//! Writes of owners: verdicts, never an error for a passing condition.

use super::{Job, Shared, Writer};
use crate::commit;
use crate::failure::{Class, class, closed};
use crate::transaction::Tx;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio::sync::oneshot;
use warren_domain::Error;
use warren_ports::ledger::{Outcome, Write};

/// One call of `commit`.
pub(super) struct Hot {
    pub(super) writes: Vec<Write>,
    pub(super) queued: Instant,
    outcomes: Vec<Outcome>,
    answer: Answer,
}

enum Answer {
    /// The caller waits for the commit.
    Awaited(oneshot::Sender<Vec<Outcome>>),
    /// The caller was answered when this was queued.
    Given(#[expect(dead_code, reason = "held until the commit")] Unsettled),
}

/// Counts a write that was answered before its commit.
struct Unsettled(Arc<Shared>);

impl Unsettled {
    fn new(shared: &Arc<Shared>) -> Self {
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
    pub(super) fn bytes(&self) -> usize {
        self.writes.iter().map(|write| commit::bytes(&write.op)).sum()
    }

    /// Whether nobody waits for the sync of this.
    pub(super) fn is_relaxed(&self) -> bool {
        matches!(self.answer, Answer::Given(_))
    }

    pub(super) fn run(&mut self, tx: &mut Tx<'_>, careful: bool) -> rusqlite::Result<()> {
        self.outcomes.clear();
        for write in &self.writes {
            let outcome = if careful {
                match tx.in_savepoint(|tx| commit::apply(tx, write))? {
                    Err(error) if class(&error) == Class::Data => Outcome::Refused(Error::internal(error)),
                    result => result?,
                }
            } else {
                commit::apply(tx, write)?
            };
            self.outcomes.push(outcome);
        }
        Ok(())
    }

    pub(super) fn answer(self) {
        match self.answer {
            // The caller may have gone away; what it wrote stays written.
            Answer::Awaited(answer) => {
                let _ = answer.send(self.outcomes);
            }
            Answer::Given(_) => {
                let lost = self.outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Done | Outcome::NoChange));
                let lost = lost.count();
                if lost > 0 {
                    // The next write of the same owner gets the same verdict, and acts on it.
                    tracing::debug!(lost, "writes answered early were refused");
                }
            }
        }
    }

    pub(super) fn refuse(self, error: &dyn Fn() -> Error) {
        if let Answer::Awaited(answer) = self.answer {
            let _ = answer.send(self.writes.iter().map(|_| Outcome::Refused(error())).collect());
        }
    }
}

impl Writer {
    /// Commits writes; answers those early whose sync nobody awaits.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome> {
        let count = writes.len();
        if count == 0 {
            return Vec::new();
        }
        let queued = Instant::now();
        let refused = || (0..count).map(|_| Outcome::Refused(closed())).collect();
        if writes.iter().all(|write| commit::is_relaxed(&write.op)) {
            let answer = Answer::Given(Unsettled::new(&self.shared));
            let job = Job::Hot(Hot { writes, queued, outcomes: Vec::new(), answer });
            return match self.enqueue(job).await {
                Ok(()) => (0..count).map(|_| Outcome::Done).collect(),
                Err(_) => refused(),
            };
        }
        let (answer, answered) = oneshot::channel();
        let job = Job::Hot(Hot { writes, queued, outcomes: Vec::with_capacity(count), answer: Answer::Awaited(answer) });
        if self.enqueue(job).await.is_err() {
            return refused();
        }
        answered.await.unwrap_or_else(|_| refused())
    }
}
