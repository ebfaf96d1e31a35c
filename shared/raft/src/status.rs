//! How the cluster is, as [`crate::wire::STATUS`] tells it.

use crate::wire::NodeId;
use serde::{Deserialize, Serialize};

/// The whole of it, as one coordinator sees it. What only the leader knows is empty in what others tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The cluster's id.
    pub cluster: String,
    /// Who tells this.
    pub node: NodeId,
    /// Who leads, as far as this coordinator knows.
    pub leader: Option<NodeId>,
    /// Its term.
    pub term: u64,
    /// The last entry that this coordinator has applied.
    pub applied: u64,
    /// How many shards the cluster was made with; `None` before it was.
    pub shard_count: Option<u16>,
    /// The coordinators.
    pub coordinators: Vec<Coordinator>,
    /// The workers, by name.
    pub workers: Vec<Worker>,
    /// Shards that nobody has.
    pub unassigned: u32,
    /// Shards that change hands because of balance or a stop.
    pub moves: Moves,
    /// Whether shards are being brought back that lost their worker.
    pub recovery: Option<Recovery>,
}

/// A coordinator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coordinator {
    /// Its number.
    pub node: NodeId,
    /// Where it is.
    pub address: String,
    /// Whether it answers; `None` if whoever tells this does not lead.
    pub answers: Option<bool>,
    /// The entries that it does not have yet; `None` if whoever tells this does not lead.
    pub behind: Option<u64>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Its name.
    pub worker: String,
    /// This start of it.
    pub incarnation: u64,
    /// How much it takes, compared to others.
    pub weight: u32,
    /// Whether it stops.
    pub draining: bool,
    /// How it is connected.
    pub link: Link,
    /// How long ago it last proved that it lives, milliseconds.
    pub proven_ms: Option<u64>,
    /// How many shards it has.
    pub shards: u32,
    /// How many it should have.
    pub target: u32,
}

/// How a worker is connected to the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// It hears and is heard.
    Attached,
    /// Its stream is open, and it is not heard.
    Silent,
    /// It has no stream. It may be alive: then it goes on with what it has.
    CutOff,
    /// Whoever tells this does not lead.
    Unknown,
}

/// Shards that change hands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moves {
    /// Still to be begun.
    pub planned: u32,
    /// Begun, and not yet served by their next worker.
    pub under_way: u32,
}

/// Shards that lost their worker and are brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// How many there are.
    pub shards: u32,
    /// How many of them are not served yet.
    pub left: u32,
    /// How long it has been going on, milliseconds.
    pub elapsed_ms: u64,
    /// How long it will go on at this pace, milliseconds; `None` before there is one.
    pub remaining_ms: Option<u64>,
}
