//! What an entry of the log says.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use warren_domain::{Epoch, Shard, ShardCount};
use warren_ports::lease::Incarnation;

/// The name of a worker.
pub(crate) type Name = Arc<str>;

/// What the cluster is made with, for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Founding {
    /// Its id.
    pub(crate) cluster: String,
    pub(crate) shard_count: ShardCount,
    /// The name of the hash that brings instances into shards.
    pub(crate) hash: String,
    /// Epochs are this plus the index of their entry: a group that is made anew, because the one before was lost, gives higher
    /// ones than that ever did.
    pub(crate) first_epoch: i64,
}

/// One change. What no longer fits the state when it is applied changes nothing; whoever leads looks, and decides anew.
///
/// An entry is a list of them, so that what belongs together is decided together: a death and who takes over, a release and who
/// is next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Command {
    /// The cluster is made. Once.
    Found(Founding),
    /// A start of a worker is there, or takes more or less than before. The start before it is gone, and what it had is free;
    /// one that was gone before is not let in again beside a later one.
    Join { worker: Name, incarnation: Incarnation, weight: u32 },
    /// A start of a worker is gone, and what it had is free.
    Remove { worker: Name, incarnation: Incarnation },
    /// A worker stops: it gets no more shards.
    Drain { worker: Name, incarnation: Incarnation },
    /// Shards that nobody has are the worker's, under this entry's epoch.
    Assign { worker: Name, incarnation: Incarnation, shards: Vec<Shard> },
    /// The worker has these no more.
    Release { worker: Name, incarnation: Incarnation, shards: Vec<(Shard, Epoch)> },
    /// The worker has these under this entry's epoch instead.
    Refresh { worker: Name, incarnation: Incarnation, shards: Vec<(Shard, Epoch)> },
}
