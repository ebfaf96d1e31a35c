//! One coordinator: its store, its part in the group, and who leads.

use crate::{
    Error, Options, Seat,
    consensus::{self, Metrics, Raft},
    metrics::Figures,
    network::{Network, Peers},
    reign::Desk,
    state::State,
    store::{Log, Machine, Store},
};
use openraft::ServerState;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;
use warren_domain::shard::SHARD_HASH;
use warren_raft::{Caller, wire::NodeId};

/// A leader that no majority has answered for so long leads nobody.
pub(crate) const ALONE: Duration = Duration::from_secs(1);

/// What every part of a coordinator needs.
pub(crate) struct Node {
    pub(crate) options: Options,
    pub(crate) seat: Seat,
    pub(crate) raft: Raft,
    pub(crate) network: Network,
    pub(crate) figures: Figures,
    /// The state, as far as it is applied here.
    pub(crate) state: watch::Receiver<Arc<State>>,
    /// Where the leader in this process takes requests, while there is one.
    pub(crate) desk: watch::Sender<Option<Desk>>,
    /// The store was empty at the start, and what the group knows is not here yet.
    pub(crate) unlearned: AtomicBool,
}

impl Node {
    /// Opens the store, and begins to take part.
    pub(crate) async fn start(options: Options, seat: Seat, figures: Figures) -> Result<Self, Error> {
        let store = Store::open(&seat.data_folder, seat.credential.cluster(), seat.node).await?;
        let is_pristine = store.is_pristine().await?;
        let machine = Machine::load(store.clone()).await?;
        let state = machine.published();
        let network = Network {
            caller: Caller::trusting(seat.credential.clone(), seat.tls.as_ref().map(|tls| &tls.trust)),
            node: seat.node,
            peers: Arc::new(Peers::new(seat.peers(), figures.peers_away.clone())),
        };
        let config = consensus::config(seat.credential.cluster());
        let raft = Raft::new(seat.node, config, network.clone(), Log::new(store), machine).await?;
        let node = Self {
            options,
            seat,
            raft,
            network,
            figures,
            state,
            desk: watch::Sender::new(None),
            unlearned: AtomicBool::new(is_pristine),
        };
        let checked = match node.check_group().await {
            Ok(()) => node.check_founding(),
            refused => refused,
        };
        if let Err(error) = checked {
            node.stop().await;
            return Err(error);
        }
        Ok(node)
    }

    /// Ends taking part.
    pub(crate) async fn stop(&self) {
        self.desk.send_replace(None);
        if self.raft.shutdown().await.is_err() {
            tracing::error!("the consensus ended by a panic");
        }
    }

    /// Whether the store knows nothing that a majority might rely on.
    pub(crate) fn is_new(&self) -> bool {
        self.raft.metrics().borrow().last_log_index.is_none()
    }

    pub(crate) fn may_vote(&self) -> bool {
        !self.unlearned.load(Ordering::Acquire)
    }

    /// Who leads, as far as is known here.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.raft.metrics().borrow().current_leader
    }

    /// The group that is on disk is the one of the settings.
    async fn check_group(&self) -> Result<(), Error> {
        let voters = self.raft.with_raft_state(|state| state.membership_state.effective().voter_ids().collect());
        let voters: BTreeSet<NodeId> = voters.await?;
        let wanted: BTreeSet<NodeId> = self.network.peers.iter().map(|(node, _)| node).collect();
        if voters.is_empty() || voters == wanted {
            return Ok(());
        }
        Err(Error::OtherGroup { made_of: voters.len(), set: wanted.len() })
    }

    /// The cluster that the group has made is the one of the settings.
    pub(crate) fn check_founding(&self) -> Result<(), Error> {
        let state = self.state.borrow();
        let Some(founding) = state.founding() else { return Ok(()) };
        if founding.cluster != self.seat.credential.cluster() {
            return Err(Error::OtherCluster { made_as: founding.cluster.clone() });
        }
        if founding.shard_count != self.seat.shard_count || founding.hash != SHARD_HASH {
            return Err(Error::OtherShards {
                made_with: founding.shard_count.0.get(),
                hash: founding.hash.clone(),
                set: self.seat.shard_count.0.get(),
            });
        }
        Ok(())
    }
}

/// Whether these are the figures of a leader whom a majority hears.
pub(crate) fn leads(metrics: &Metrics) -> bool {
    metrics.state == ServerState::Leader
        && metrics.current_leader == Some(metrics.id)
        && metrics.millis_since_quorum_ack.is_some_and(|millis| u128::from(millis) < ALONE.as_millis())
}
