//! `GET /v1/status`: how the cluster is, as this coordinator sees it.

use super::{Api, Body, say};
use crate::{
    node::Node,
    reign::{self, Briefing, Event},
};
use hyper::Response;
use warren_raft::{
    status::{Coordinator, Moves, Status},
    wire::Refusal,
};

pub(super) async fn get(api: &Api) -> Result<Response<Body>, Refusal> {
    let node = &api.node;
    let desk = node.desk.borrow().clone();
    let briefing = match desk {
        Some(desk) => desk.ask(Event::Brief).await.ok(),
        None => None,
    };
    say(&status(node, briefing))
}

fn status(node: &Node, briefing: Option<Briefing>) -> Status {
    let metrics = node.raft.metrics().borrow().clone();
    let state = node.state.borrow().clone();
    let leads = briefing.is_some();
    let last = metrics.last_log_index.unwrap_or_default();
    let coordinator = |(peer, address): (u64, &str)| {
        let is_self = peer == node.seat.node;
        let matched = metrics.replication.as_ref().and_then(|replication| replication.get(&peer));
        let has = matched.map(|matched| matched.map_or(0, |matched| matched.index));
        Coordinator {
            node: peer,
            address: address.to_owned(),
            answers: leads.then(|| is_self || node.network.peers.answers(peer)),
            behind: if leads && is_self { Some(0) } else { has.map(|has| last.saturating_sub(has)) },
        }
    };
    let briefing =
        briefing.unwrap_or_else(|| Briefing { workers: reign::workers(&state), moves: Moves::default(), recovery: None });
    Status {
        cluster: node.seat.credential.cluster().to_owned(),
        node: node.seat.node,
        leader: if leads { Some(node.seat.node) } else { node.leader().filter(|leader| *leader != node.seat.node) },
        term: metrics.current_term,
        applied: state.index(),
        shard_count: state.founding().map(|founding| founding.shard_count.0.get()),
        coordinators: node.network.peers.iter().map(coordinator).collect(),
        workers: briefing.workers,
        unassigned: u32::try_from(state.unassigned().count()).unwrap_or(u32::MAX),
        moves: briefing.moves,
        recovery: briefing.recovery,
    }
}
