//! Who owns what: a Raft group that agrees on members, shards and epochs, and on nothing else.
//!
//! Start reading at [`run`], then `state` (what is agreed on), `scheduler` (who is to have what), `evidence` (who is dead) and
//! `reign` (the leader: it hears workers, judges, moves and assigns). `consensus`, `store`, `network` and `formation` are openraft's
//! side, `api` is what others may ask. The client of all this is `warren_raft`.

mod api;
mod command;
mod consensus;
mod evidence;
mod formation;
mod metrics;
mod network;
mod node;
mod options;
mod reign;
mod scheduler;
mod server;
mod state;
mod store;
mod tls;

pub use options::{InvalidOptions, Options, Seat};
pub use store::Failure as StoreFailure;
pub use tls::Tls;

use consensus::Stopped;
use metrics::Figures;
use node::Node;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use warren_domain::time::Clock;
use warren_ports::lease::Leases;
use warren_runtime::{Health, Lifecycle, Metrics};

/// What a coordinator needs of the outside.
#[derive(Clone)]
pub struct Ports {
    /// Where workers prove that they live.
    pub leases: Arc<dyn Leases>,
    /// The time of day; asked once, when a cluster is made.
    pub clock: Arc<dyn Clock>,
    /// Where its metrics are registered.
    pub metrics: Metrics,
    /// It is ready while it knows a leader, and what the group knows.
    pub health: Health,
}

/// Why a coordinator cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options make no sense.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// The listener is no listener.
    #[error("the listener is unusable: {0}")]
    Listener(#[from] io::Error),
    /// Its store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreFailure),
    /// The settings name another group than the one on disk.
    #[error(
        "cluster.coordinators: the group was made of {made_of} coordinators, and {set} are set; a group keeps its size: \
         set what it was made with, or make a new one from empty data folders"
    )]
    OtherGroup {
        /// How many it was made of.
        made_of: usize,
        /// How many are set.
        set: usize,
    },
    /// The settings name another cluster than the one on disk.
    #[error("cluster.id: the group belongs to cluster `{made_as}`")]
    OtherCluster {
        /// Which one it was made as.
        made_as: String,
    },
    /// The settings name another way to make shards than the cluster has.
    #[error(
        "store.shard_count: the cluster was made with {made_with} shards by {hash}, and {set} are set; they never change"
    )]
    OtherShards {
        /// How many it was made with.
        made_with: u16,
        /// By which hash.
        hash: String,
        /// How many are set.
        set: u16,
    },
    /// The consensus ended.
    #[error("the consensus ended: {0}")]
    Consensus(#[source] Box<Stopped>),
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Self {
        Self::Consensus(Box::new(stopped))
    }
}

/// Takes part in the group, and listens on `listener` to the other coordinators and to workers, until the life begins to stop.
/// Whoever led is succeeded by another within a second.
///
/// # Errors
/// For options that make no sense, a data folder of somebody else, a cluster that was made differently, or a disk that fails.
pub async fn run(
    options: Options,
    seat: Seat,
    ports: Ports,
    listener: TcpListener,
    lifecycle: Lifecycle,
) -> Result<(), Error> {
    options.validate()?;
    seat.validate()?;
    let address: SocketAddr = listener.local_addr()?;
    options.allows(address, seat.tls.is_some())?;
    let node = Arc::new(Node::start(options, seat, Figures::new(&ports.metrics)).await?);
    let tls = node.seat.tls.is_some();
    tracing::info!(node = node.seat.node, port = address.port(), tls, "the coordinator is listening");
    let ready = ports.health.check("coordinator");
    let ended = tokio::select! {
        biased;
        () = lifecycle.stopping() => Ok(()),
        ended = reign::take_turns(Arc::clone(&node), &ports, &ready) => ended,
        () = server::serve(listener, Arc::clone(&node), lifecycle.clone()) => Ok(()),
        () = async { formation::form(&node).await; std::future::pending().await } => Ok(()),
    };
    ready.set(false);
    node.stop().await;
    ended
}
