//! The way to the other coordinators.

use crate::consensus::Types;
use openraft::{
    BasicNode,
    error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Timeout, Unreachable},
    network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory},
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
        VoteResponse,
    },
};
use prometheus::IntGauge;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use warren_raft::{
    Caller, Failure, Request,
    wire::{Code, NodeId},
};

pub(crate) const APPEND: &str = "/raft/v1/append";
pub(crate) const VOTE: &str = "/raft/v1/vote";
pub(crate) const SNAPSHOT: &str = "/raft/v1/snapshot";
/// Whether a coordinator is new; asked before a group is made.
pub(crate) const NEW: &str = "/raft/v1/new";

/// The answer to [`NEW`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct New {
    pub(crate) is_new: bool,
}

/// Before one that cannot be reached is tried again.
const AGAIN: Duration = Duration::from_millis(150);

/// The other coordinators, and whether they answer.
#[derive(Debug)]
pub(crate) struct Peers {
    peers: BTreeMap<NodeId, Peer>,
    away: IntGauge,
}

#[derive(Debug)]
struct Peer {
    address: String,
    is_away: AtomicBool,
}

impl Peers {
    pub(crate) fn new(addresses: BTreeMap<NodeId, String>, away: IntGauge) -> Self {
        let peer = |(node, address)| (node, Peer { address, is_away: AtomicBool::new(false) });
        Self { peers: addresses.into_iter().map(peer).collect(), away }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &str)> {
        self.peers.iter().map(|(node, peer)| (*node, peer.address.as_str()))
    }

    pub(crate) fn contains(&self, node: NodeId) -> bool {
        self.peers.contains_key(&node)
    }

    /// Whether it answered when it was last called.
    pub(crate) fn answers(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| !peer.is_away.load(Ordering::Relaxed))
    }

    fn address(&self, node: NodeId) -> Option<&str> {
        self.peers.get(&node).map(|peer| peer.address.as_str())
    }

    /// Notes whether it answers, and says so when that changes.
    fn note(&self, node: NodeId, failure: Option<&Failure>) {
        let Some(peer) = self.peers.get(&node) else { return };
        // One that has much to learn answers all the same.
        let unlearned = Failure::Refused(Code::Unlearned.into());
        let failure = failure.filter(|failure| **failure != unlearned);
        if peer.is_away.swap(failure.is_some(), Ordering::Relaxed) == failure.is_some() {
            return;
        }
        match failure {
            Some(failure) => {
                self.away.inc();
                tracing::warn!(node, %failure, "a coordinator does not answer");
            }
            None => {
                self.away.dec();
                tracing::info!(node, "a coordinator answers again");
            }
        }
    }
}

/// Makes the ways to the others.
#[derive(Clone)]
pub(crate) struct Network {
    pub(crate) caller: Caller,
    pub(crate) node: NodeId,
    pub(crate) peers: Arc<Peers>,
}

/// The way to one of them.
pub(crate) struct Way {
    network: Network,
    target: NodeId,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    /// Where it is says the list of this process, and not the one that the group was made with: machines move.
    async fn new_client(&mut self, target: NodeId, _: &BasicNode) -> Way {
        Way { network: self.clone(), target }
    }
}

type Outcome<T, E> = Result<T, RPCError<NodeId, BasicNode, RaftError<NodeId, E>>>;

impl Network {
    /// Asks one of the others.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        target: NodeId,
        path: &str,
        said: &impl Serialize,
        within: Duration,
    ) -> Result<T, Failure> {
        let address = self.peers.address(target).unwrap_or_default();
        let request = Request { address, path, sender: self.node, target };
        let answer = self.caller.post(request, said, within).await;
        self.peers.note(target, answer.as_ref().err());
        answer
    }
}

impl Way {
    async fn call<T, E>(&self, path: &str, action: RPCTypes, said: &impl Serialize, option: &RPCOption) -> Outcome<T, E>
    where
        T: DeserializeOwned,
        E: std::error::Error + DeserializeOwned,
    {
        // A little less than openraft waits: who it is that does not answer is to be known.
        let within = option.hard_ttl().mul_f64(0.95);
        let answer = self.network.ask::<Result<T, RaftError<NodeId, E>>>(self.target, path, said, within).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(RPCError::RemoteError(RemoteError::new(self.target, error))),
            // It may only be slow: it is not given a pause on top.
            Err(Failure::Late) => {
                Err(RPCError::Timeout(Timeout { action, id: self.network.node, target: self.target, timeout: within }))
            }
            Err(failure) => Err(RPCError::Unreachable(Unreachable::new(&failure))),
        }
    }
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Outcome<AppendEntriesResponse<NodeId>, openraft::error::Infallible> {
        self.call(APPEND, RPCTypes::AppendEntries, &rpc, &option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Outcome<InstallSnapshotResponse<NodeId>, InstallSnapshotError> {
        self.call(SNAPSHOT, RPCTypes::InstallSnapshot, &rpc, &option).await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Outcome<VoteResponse<NodeId>, openraft::error::Infallible> {
        self.call(VOTE, RPCTypes::Vote, &rpc, &option).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AGAIN))
    }
}
