//! The coordinator's HTTP API: where, what is said, and how it is refused.

use serde::{Deserialize, Serialize};
use std::fmt;
use warren_domain::{Epoch, Shard, ShardCount};
use warren_ports::lease::Incarnation;

/// The version of all that is said. Another one is refused: a group is brought up to date with its workers.
pub const PROTOCOL: u32 = 1;

/// A coordinator: its place in `cluster.coordinators`, the first is 1.
pub type NodeId = u64;

/// Where a worker attaches itself: the answer is a stream of [`Line`]s, a JSON object a line, for as long as both live.
pub const ATTACH: &str = "/v1/workers/attach";
/// Where a worker says what became of its shards, and that it is there.
pub const REPORT: &str = "/v1/workers/report";
/// Where a worker says that it is gone.
pub const LEAVE: &str = "/v1/workers/leave";
/// Where everybody with the secret sees how the cluster is.
pub const STATUS: &str = "/v1/status";

/// The longest body of a call, bytes: a report of every shard that there can be.
pub const LONGEST_CALL: usize = 4 << 20;
/// The longest name of a worker, bytes.
pub const LONGEST_NAME: usize = 128;

/// The body of [`ATTACH`]: a worker joins, or is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Its name, the same after a restart: 1 to [`LONGEST_NAME`] bytes.
    pub worker: String,
    /// This start of it.
    pub incarnation: Incarnation,
    /// How much it takes, compared to others; at least 1.
    pub weight: u32,
    /// How many shards it believes there are.
    pub shard_count: ShardCount,
    /// How it believes that instances come into shards.
    pub hash: String,
    /// Whether it is stopping.
    pub draining: bool,
}

/// One line of the answer to [`ATTACH`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub enum Line {
    /// The first: everything that is the worker's.
    Full {
        /// Of which version of the cluster's state that is. It only grows, over every leader.
        version: i64,
        /// The shards, with their epochs.
        shards: Vec<(Shard, Epoch)>,
        /// After how many milliseconds the next line comes at the latest.
        heartbeat_ms: u64,
    },
    /// What is different since the line before.
    Change {
        /// Of which version of the cluster's state that is.
        version: i64,
        /// Shards that are the worker's now, under these epochs.
        assigned: Vec<(Shard, Epoch)>,
        /// Shards that it is to give up and to release.
        withdrawn: Vec<Shard>,
    },
    /// Nothing is different; the leader is there.
    Alive,
}

/// The body of [`REPORT`]. An empty one only says that the worker is there. A report of an epoch that is not the assigned one
/// changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notice {
    /// Who says it.
    pub worker: String,
    /// Which start of it.
    pub incarnation: u64,
    /// Given up cleanly.
    pub released: Vec<(Shard, Epoch)>,
    /// Could not be taken.
    pub not_taken: Vec<(Shard, Epoch)>,
    /// The ledger has lower epochs.
    pub ledger_behind: Vec<(Shard, Epoch)>,
    /// Served now.
    pub taken: Vec<(Shard, Epoch)>,
    /// The worker stops.
    pub draining: bool,
}

/// The body of [`LEAVE`]: this start of the worker does nothing any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leave {
    /// Who leaves.
    pub worker: String,
    /// Which start of it.
    pub incarnation: Incarnation,
}

/// The answer to what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {}

/// Why a call is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The signature is not made with this cluster's secret.
    WrongSecret,
    /// The caller speaks plain HTTP, and this cluster TLS.
    PlainHttp,
    /// The caller belongs to another cluster.
    OtherCluster,
    /// The caller speaks another version of all this.
    UnknownProtocol,
    /// The caller says that it is a coordinator, and is none of this group.
    NotAMember,
    /// The call is for another coordinator than the one that got it.
    WrongTarget,
    /// The caller counts shards differently.
    OtherShards,
    /// A later start of this worker is there.
    Superseded,
    /// This coordinator does not lead; the refusal names who does.
    NotLeader,
    /// Nobody leads now.
    NoLeader,
    /// This start of the worker is not a member: it has to attach itself first.
    UnknownWorker,
    /// More is waiting than can be worked on now.
    Busy,
    /// This coordinator has an empty store and may not vote before it knows what the others know.
    Unlearned,
    /// The call makes no sense.
    Malformed,
    /// The body is too long.
    TooLarge,
    /// There is no such path.
    NotFound,
    /// Something else, of a later version.
    #[serde(other)]
    Other,
}

impl Code {
    /// The HTTP status of this refusal.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::PlainHttp => 400,
            Self::WrongSecret => 401,
            Self::OtherCluster | Self::NotAMember => 403,
            Self::NotFound | Self::UnknownWorker => 404,
            Self::UnknownProtocol | Self::WrongTarget | Self::OtherShards | Self::Superseded => 409,
            Self::TooLarge => 413,
            Self::NotLeader => 421,
            Self::Malformed => 422,
            Self::NoLeader | Self::Busy | Self::Unlearned | Self::Other => 503,
        }
    }

    /// Its name, as it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WrongSecret => "wrong_secret",
            Self::PlainHttp => "plain_http",
            Self::OtherCluster => "other_cluster",
            Self::UnknownProtocol => "unknown_protocol",
            Self::NotAMember => "not_a_member",
            Self::WrongTarget => "wrong_target",
            Self::OtherShards => "other_shards",
            Self::Superseded => "superseded",
            Self::NotLeader => "not_leader",
            Self::NoLeader => "no_leader",
            Self::UnknownWorker => "unknown_worker",
            Self::Busy => "busy",
            Self::Unlearned => "unlearned",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
            Self::NotFound => "not_found",
            Self::Other => "other",
        }
    }

    /// What it means, for people.
    const fn sentence(self) -> &'static str {
        match self {
            Self::WrongSecret => "it refuses the secret; cluster.secret must be the same everywhere",
            Self::PlainHttp => "it speaks TLS and the caller plain HTTP; cluster.tls_authority must be set everywhere",
            Self::OtherCluster => "it belongs to another cluster; cluster.id must be the same everywhere",
            Self::UnknownProtocol => "it speaks another version; bring all processes of the cluster up to date",
            Self::NotAMember => {
                "the caller is no coordinator of this group; cluster.coordinators must be the same everywhere"
            }
            Self::WrongTarget => "it is another coordinator; cluster.coordinators must have the same order everywhere",
            Self::OtherShards => "it counts shards differently; shard_count must be what the cluster was made with",
            Self::Superseded => "another process started under this worker's name; names must be unique",
            Self::NotLeader => "it does not lead",
            Self::NoLeader => "nobody leads now",
            Self::UnknownWorker => "this start of the worker is not a member",
            Self::Busy => "it has more to do than it can",
            Self::Unlearned => "it has an empty store and may not vote yet",
            Self::Malformed => "the call makes no sense",
            Self::TooLarge => "the call is too long",
            Self::NotFound => "it knows no such call",
            Self::Other => "it refuses for a reason that this version does not know",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// The body of every answer that is not 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub code: Code,
    /// Who leads, if that is known and would help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<NodeId>,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self { code, leader: None }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_comes_back() {
        let lines = [
            Line::Full { version: 3, shards: vec![(Shard(1), Epoch(2))], heartbeat_ms: 250 },
            Line::Change { version: 4, assigned: vec![(Shard(7), Epoch(4))], withdrawn: vec![Shard(1)] },
            Line::Alive,
        ];
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert!(!text.contains('\n'), "{text}");
            assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
        }
    }

    #[test]
    fn a_refusal_of_a_later_version_is_understood_as_one() {
        let refusal: Refusal = serde_json::from_str(r#"{"code":"too_beautiful"}"#).unwrap();
        assert_eq!(refusal, Refusal::from(Code::Other));
        let text = serde_json::to_string(&Refusal { code: Code::NotLeader, leader: Some(2) }).unwrap();
        assert_eq!(text, r#"{"code":"not_leader","leader":2}"#);
        assert!(text.contains(Code::NotLeader.as_str()));
    }
}
