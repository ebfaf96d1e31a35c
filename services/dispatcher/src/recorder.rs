//! Writes what couriers did, for many webhooks in one commit.
//!
//! Each courier has at most one progress here; it gathers the next one meanwhile. A store that does not answer is asked again
//! until it does: what was posted must not be forgotten, and couriers stop posting by themselves when too much is unrecorded.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use warren_domain::Result;
use warren_ports::ledger::{DispatcherLedger, Progress};
use warren_runtime::fault;

/// Progresses of one commit.
const TOGETHER: usize = 128;
/// Rows of attempts of one commit, about.
const ROWS: usize = 2_048;
/// The pauses before the store is asked again.
const PAUSES: std::ops::Range<Duration> = Duration::from_millis(20)..Duration::from_secs(1);

type Entry = (Progress, oneshot::Sender<bool>);

/// A handle to the recorder.
#[derive(Clone)]
pub(crate) struct Recorder {
    entries: mpsc::Sender<Entry>,
}

/// The recorder's own end.
pub(crate) struct Recording {
    entries: mpsc::Receiver<Entry>,
    ledger: Arc<dyn DispatcherLedger>,
}

impl Recorder {
    /// A recorder, and what has to run for it.
    pub(crate) fn new(ledger: Arc<dyn DispatcherLedger>) -> (Self, Recording) {
        let (sender, entries) = mpsc::channel(TOGETHER);
        (Self { entries: sender }, Recording { entries, ledger })
    }

    /// Records; `false` if the claim holds no more.
    pub(crate) async fn record(self, progress: Progress) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.entries.send((progress, answer)).await.is_err() {
            return false;
        }
        answered.await.unwrap_or(false)
    }
}

impl Recording {
    /// Runs until the last courier is gone.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.entries.recv().await {
            let mut batch = vec![first];
            let mut rows = 0;
            while batch.len() < TOGETHER && rows < ROWS {
                let Ok(entry) = self.entries.try_recv() else { break };
                rows += entry.0.attempts.len();
                batch.push(entry);
            }
            self.commit(batch).await;
        }
    }

    async fn commit(&self, batch: Vec<Entry>) {
        let (progress, answers): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        fault::point("webhook.delivered");
        let verdicts = self.until_recorded(&progress).await;
        for (answer, verdict) in answers.into_iter().zip(verdicts) {
            // The courier may be gone.
            let _ = answer.send(verdict);
        }
    }

    async fn until_recorded(&self, progress: &[Progress]) -> Vec<bool> {
        let mut pause = PAUSES.start;
        let mut is_failing = false;
        loop {
            match self.try_once(progress).await {
                Ok(verdicts) => {
                    if is_failing {
                        tracing::info!("what webhooks took is recorded again");
                    }
                    return verdicts;
                }
                Err(error) if !is_failing => {
                    tracing::warn!(code = error.code, "what webhooks took cannot be recorded; trying again");
                    is_failing = true;
                }
                Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.end);
        }
    }

    async fn try_once(&self, progress: &[Progress]) -> Result<Vec<bool>> {
        self.ledger.record(progress.to_vec()).await
    }
}
