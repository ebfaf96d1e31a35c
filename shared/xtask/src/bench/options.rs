//! What is measured, and how large.

use super::rows::Kind;
use std::path::PathBuf;

/// What to measure. All of it takes some hours, most of it for what breaks.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Clients of the simulator alone, and the texts a second that they write.
    #[arg(long, default_value_t = 10_000)]
    pub(super) simulator_clients: usize,
    #[arg(long, default_value_t = 11_000)]
    pub(super) simulator_rate: u64,
    /// Idle instances in rows 1 and 3.
    #[arg(long, default_value_t = 5_000)]
    pub(super) idle_instances: usize,
    /// Instances of standalone that send, receive, and are restarted.
    #[arg(long, default_value_t = 1_000)]
    pub(super) instances: usize,
    /// WebSockets in row 9.
    #[arg(long, default_value_t = 1_000)]
    pub(super) sockets: usize,
    /// How long each sending phase takes, seconds.
    #[arg(long, default_value_t = 30)]
    pub(super) seconds: u64,
    /// How long to be idle, seconds; less than the clients' half-minute of keep-alives measures a part of it.
    #[arg(long, default_value_t = 40)]
    pub(super) idle: u64,
    /// How often both sides are measured by turns where their ratio counts.
    #[arg(long, default_value_t = 5)]
    pub(super) rounds: u32,
    /// Instances of the cluster that send and receive.
    #[arg(long, default_value_t = 1_000)]
    pub(super) cluster_instances: usize,
    /// Workers of that cluster.
    #[arg(long, default_value_t = 2)]
    pub(super) cluster_workers: usize,
    /// How long texts go both ways before every invariant is checked, seconds.
    #[arg(long, default_value_t = 600)]
    pub(super) soak_seconds: u64,
    /// Texts a second out while that lasts; half as many come in.
    #[arg(long, default_value_t = 500)]
    pub(super) soak_rate: u64,
    /// Resumes of a WebSocket in row 15.
    #[arg(long, default_value_t = 1_000)]
    pub(super) resumes: u64,
    /// Instances of the cluster that starts as a whole, row 13.
    #[arg(long, default_value_t = 5_000)]
    pub(super) cold_instances: usize,
    /// Instances where a worker or a coordinator is killed, or everything is restarted.
    #[arg(long, default_value_t = 3_000)]
    pub(super) failover_instances: usize,
    /// How often each of that is done.
    #[arg(long, default_value_t = 5)]
    pub(super) failover_repetitions: u32,
    /// A folder with `warren` and `swarm` that are measured, instead of building them.
    #[arg(long, value_name = "FOLDER")]
    pub(super) binaries: Option<PathBuf>,
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
}

/// A part of the scorecard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Part {
    /// The simulator itself: it must not be what limits the others.
    Simulator,
    /// Rows 1 and 3.
    Idle,
    /// Rows 4, 6 and 8 of standalone.
    Send,
    /// Row 6 of standalone.
    Receive,
    /// Row 8 of standalone: for long, with every invariant.
    Soak,
    /// Row 9.
    Sockets,
    /// Row 15, on disk, of standalone.
    Disk,
    /// How standalone starts.
    Restart,
    /// Row 5.
    Bus,
    /// Rows 4, 6 and 8 of a cluster.
    ClusterSend,
    /// Row 7.
    Postgres,
    /// Row 6 of a cluster.
    ClusterReceive,
    /// Row 8 of a cluster: for long, with every invariant.
    ClusterSoak,
    /// Row 10.
    Inbound,
    /// Row 15, of streams.
    Resumes,
    /// Row 15, on disk, of a cluster.
    ClusterDisk,
    /// Row 13, from nothing.
    Coldstart,
    /// Row 11.
    Failover,
    /// Row 12.
    Coordinator,
    /// Row 13, of a rolling restart.
    Handover,
}

impl Part {
    /// Those that share one standalone Warren.
    pub(super) const STANDALONE: &[Self] = &[Self::Send, Self::Receive, Self::Disk, Self::Restart];
    /// Those that share one cluster.
    pub(super) const CLUSTER: &[Self] =
        &[Self::ClusterSend, Self::Postgres, Self::ClusterReceive, Self::Inbound, Self::Resumes, Self::ClusterDisk];
    /// Those that need Postgres, Redis or NATS.
    pub(super) const NEED_SERVERS: &[Self] = &[
        Self::Bus,
        Self::ClusterSend,
        Self::Postgres,
        Self::ClusterReceive,
        Self::Inbound,
        Self::Resumes,
        Self::ClusterDisk,
        Self::ClusterSoak,
        Self::Coldstart,
        Self::Failover,
        Self::Coordinator,
        Self::Handover,
    ];
}

impl Options {
    pub(super) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(super) fn wants_any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| self.wants(*part))
    }

    /// How many instances of a kind of Warren send and receive.
    pub(super) fn senders(&self, kind: Kind) -> usize {
        if kind.is_cluster() { self.cluster_instances } else { self.instances }
    }
}
