//! What the workers of a test own, as the ledger would know it; it watches that nobody owns a shard twice. A worker is named by
//! its name and its start, `a#7`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard};

/// A shard was taken.
#[derive(Debug, Clone)]
pub(crate) struct Take {
    pub(crate) at: Instant,
    pub(crate) epoch: Epoch,
    /// How long nobody served it, if it was released before.
    pub(crate) gap: Option<std::time::Duration>,
}

#[derive(Debug, Default)]
struct Row {
    epoch: Epoch,
    /// Who serves it.
    server: Option<String>,
    released: Option<Instant>,
}

/// Cheap to clone; clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger {
    rows: Arc<Mutex<BTreeMap<Shard, Row>>>,
    takes: Arc<Mutex<Vec<Take>>>,
    /// Workers that nothing was done to, and how often a shard was taken from one.
    trusted: Arc<Mutex<(BTreeSet<String>, usize)>>,
}

impl Ledger {
    /// Raises the epoch; `false` if there is a higher one.
    pub(crate) fn take(&self, worker: &str, shard: Shard, epoch: Epoch) -> bool {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.entry(shard).or_default();
        if row.epoch > epoch {
            return false;
        }
        assert!(row.epoch < epoch, "shard {shard} was assigned twice under epoch {epoch}: {row:?}, and now to {worker}");
        if let Some(other) = row.server.as_deref().filter(|other| *other != worker) {
            let mut trusted = self.trusted.lock().unwrap();
            trusted.1 += usize::from(trusted.0.contains(other));
        }
        let gap = row.released.take().map(|released| released.elapsed());
        *row = Row { epoch, server: Some(worker.to_owned()), released: None };
        self.takes.lock().unwrap().push(Take { at: Instant::now(), epoch, gap });
        true
    }

    /// The worker serves a shard no more, if it did under this epoch.
    pub(crate) fn give_up(&self, worker: &str, shard: Shard, epoch: Epoch) {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.entry(shard).or_default();
        if row.epoch == epoch && row.server.as_deref() == Some(worker) {
            (row.server, row.released) = (None, Some(Instant::now()));
        }
    }

    /// From now on nothing should be taken from this worker that it did not give up.
    pub(crate) fn trust(&self, worker: &str) {
        self.trusted.lock().unwrap().0.insert(worker.to_owned());
    }

    pub(crate) fn distrust(&self, worker: &str) {
        self.trusted.lock().unwrap().0.remove(worker);
    }

    /// How often a shard was taken from a worker that was well.
    pub(crate) fn robbed(&self) -> usize {
        self.trusted.lock().unwrap().1
    }

    /// Who serves what.
    pub(crate) fn owners(&self) -> BTreeMap<Shard, (String, Epoch)> {
        let rows = self.rows.lock().unwrap();
        rows.iter().filter_map(|(shard, row)| Some((*shard, (row.server.clone()?, row.epoch)))).collect()
    }

    /// A worker serves nothing any more.
    pub(crate) fn crash(&self, worker: &str) {
        self.distrust(worker);
        for row in self.rows.lock().unwrap().values_mut() {
            if row.server.as_deref() == Some(worker) {
                row.server = None;
            }
        }
    }

    /// How many shards each serves, by name.
    pub(crate) fn loads(&self) -> BTreeMap<String, usize> {
        let mut loads = BTreeMap::new();
        for server in self.rows.lock().unwrap().values().filter_map(|row| row.server.as_deref()) {
            *loads.entry(server.split('#').next().unwrap().to_owned()).or_default() += 1;
        }
        loads
    }

    /// What was taken since a number of takes.
    pub(crate) fn takes_since(&self, count: usize) -> Vec<Take> {
        self.takes.lock().unwrap()[count..].to_vec()
    }

    /// How often something was taken.
    pub(crate) fn takes(&self) -> usize {
        self.takes.lock().unwrap().len()
    }
}
