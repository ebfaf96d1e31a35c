//! Placement: which shards this worker owns, under which epochs, as the one authority decides.

use async_trait::async_trait;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use warren_domain::{Epoch, Shard};

/// What this worker is to own now.
pub type Assignments = Arc<BTreeMap<Shard, Epoch>>;

/// What a worker tells the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// These shards could not be taken: somebody newer owns them, or the store refused.
    NotTaken(Vec<Shard>),
    /// These shards were given up cleanly: nothing acts for them here any more.
    Released(Vec<Shard>),
    /// The ledger's epochs are lower than the assigned ones: it went back in time. Fresh epochs are needed.
    LedgerBehind(Vec<Shard>),
}

/// The authority over shards.
#[async_trait]
pub trait Placement: Send + Sync {
    /// The assignments, always the latest. An epoch for a shard never falls. A shard that vanishes is to be given up.
    fn assignments(&self) -> watch::Receiver<Assignments>;
    /// Tells the authority something. Idempotent; retried by the implementation until it is heard.
    async fn report(&self, report: Report);
}
