//! When keys were last used: noted at most once a minute a key, off the request's path, dropped when there is too much.

use moka::sync::Cache;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use warren_domain::{KeyId, Timestamp};
use warren_ports::ledger::EdgeLedger;
use warren_runtime::Lifecycle;

const EVERY: Duration = Duration::from_secs(60);
const KEYS: u64 = 10_000;
const WAITING: usize = 1_024;

/// Notes uses.
pub(super) struct Usage {
    noted: Cache<KeyId, ()>,
    queue: mpsc::Sender<(KeyId, Timestamp)>,
}

impl Usage {
    /// Starts the task that writes them.
    pub(super) fn start(ledger: Arc<dyn EdgeLedger>, lifecycle: &Lifecycle) -> Self {
        let (queue, mut uses) = mpsc::channel(WAITING);
        let stopping = lifecycle.soft_token();
        lifecycle.spawn(async move {
            while let Some((key, at)) = tokio::select! { used = uses.recv() => used, () = stopping.cancelled() => None } {
                if let Err(error) = ledger.touch_key(key, at).await {
                    tracing::debug!(code = error.code, "the last use of a key was not noted");
                }
            }
        });
        Self { noted: Cache::builder().max_capacity(KEYS).time_to_live(EVERY).build(), queue }
    }

    /// Notes that a key was used. Never waits.
    pub(super) fn note(&self, key: KeyId, at: Timestamp) {
        if self.noted.contains_key(&key) {
            return;
        }
        self.noted.insert(key, ());
        // Best effort: a full queue loses this minute's note.
        let _ = self.queue.try_send((key, at));
    }
}
