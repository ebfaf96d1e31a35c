//! The types of openraft, as they are used here.

use crate::command::Command;
use openraft::{BasicNode, SnapshotPolicy, error::Fatal};
use std::{io::Cursor, sync::Arc};
use warren_raft::wire::NodeId;

openraft::declare_raft_types!(
    /// An entry is a list of commands; it has no answer but its index.
    pub(crate) Types:
        D = Vec<Command>,
        R = (),
        NodeId = NodeId,
        Node = BasicNode,
        SnapshotData = Cursor<Vec<u8>>,
);

pub(crate) type Raft = openraft::Raft<Types>;
pub(crate) type Entry = openraft::Entry<Types>;
pub(crate) type LogId = openraft::LogId<NodeId>;
pub(crate) type Vote = openraft::Vote<NodeId>;
pub(crate) type Membership = openraft::StoredMembership<NodeId, BasicNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<NodeId, BasicNode>;
pub(crate) type Snapshot = openraft::Snapshot<Types>;
pub(crate) type StorageError = openraft::StorageError<NodeId>;
pub(crate) type Stopped = Fatal<NodeId>;
pub(crate) type Metrics = openraft::RaftMetrics<NodeId, BasicNode>;

/// A leader says this often that it is there; how long an append may take.
const HEARTBEAT_MS: u64 = 100;
/// Nobody stands for election before the leader was silent for the longer of these and a random time between them: 500 to 600
/// milliseconds. Looked at every one and a half heartbeats, that is less than a second to a new leader.
const ELECTION_MS: std::ops::Range<u64> = 200..300;
/// A snapshot is made after so many entries.
const SNAPSHOT_EVERY: u64 = 200;
/// So many entries that are in a snapshot are kept, for those that lag.
const KEPT_ENTRIES: u64 = 100;
/// Who lags by more than this gets the snapshot.
const LAG: u64 = 300;
/// Entries of one append: an entry can name every shard.
const ENTRIES_AT_ONCE: u64 = 32;
/// A piece of a snapshot. In JSON it is about four times as long.
const SNAPSHOT_PIECE: u64 = 256 << 10;
const SNAPSHOT_PIECE_MS: u64 = 2_000;

/// How the group works.
pub(crate) fn config(cluster: &str) -> Arc<openraft::Config> {
    Arc::new(openraft::Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: ELECTION_MS.start,
        election_timeout_max: ELECTION_MS.end,
        install_snapshot_timeout: SNAPSHOT_PIECE_MS,
        max_payload_entries: ENTRIES_AT_ONCE,
        replication_lag_threshold: LAG,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        snapshot_max_chunk_size: SNAPSHOT_PIECE,
        max_in_snapshot_log_to_keep: KEPT_ENTRIES,
        purge_batch_size: 32,
        ..openraft::Config::default()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_times_fit_each_other() {
        let config = openraft::Config::clone(&config("c")).validate().unwrap();
        assert!(config.replication_lag_threshold > SNAPSHOT_EVERY, "a snapshot ends the lag");
        // Leader lease, a random timeout, and the tick that sees it.
        let worst = config.election_timeout_max * 2 + config.heartbeat_interval * 3 / 2;
        assert!(worst < 800, "{worst}");
    }
}
