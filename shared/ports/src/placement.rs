//! Placement: which shards this worker owns, under which epochs, as the one authority decides.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;
use warren_domain::{Epoch, Shard};

/// What this worker is to own now.
pub type Assignments = Arc<BTreeMap<Shard, Epoch>>;

/// What a worker tells the authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// These shards could not be taken: somebody newer owns them, or the store refused.
    NotTaken(Vec<(Shard, Epoch)>),
    /// These shards were given up cleanly: nothing acts for them here under these epochs any more, nor will.
    Released(Vec<(Shard, Epoch)>),
    /// The ledger's epochs are lower than the assigned ones: it went back in time. Fresh epochs are needed.
    LedgerBehind(Vec<(Shard, Epoch)>),
    /// These shards are served here now: their epochs are raised, their instances begin to connect. It changes no assignment:
    /// it sets the pace at which further shards are moved, and says how far a recovery is.
    Taken(Vec<(Shard, Epoch)>),
    /// This worker stops: its shards are to go elsewhere, none is to come. They vanish from the assignments as others are ready
    /// for them; those that are left when the worker's grace is over are [`Report::Released`] together.
    Draining,
}

/// The authority over shards.
#[async_trait]
pub trait Placement: Send + Sync {
    /// The assignments, always the latest. An epoch for a shard never falls, and a shard that was reported as released comes
    /// back under a higher epoch only. A shard that vanishes is to be given up.
    fn assignments(&self) -> watch::Receiver<Assignments>;
    /// Tells the authority something. Idempotent, and nothing new if it speaks of an epoch that is not the assigned one. Returns once it is heard, or queued where it is retried until it is.
    async fn report(&self, report: Report);
}
