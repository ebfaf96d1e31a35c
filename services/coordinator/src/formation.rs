//! How a group is made, once; and how a coordinator whose disk was lost comes back without harm.
//!
//! The first coordinator makes the group, when a majority is there and none of them knows of one already. The others wait for it.
//! A coordinator with an empty store might have lost one that a majority relied on: were it to vote as if it knew nothing, what
//! was agreed on could be agreed on anew, differently. So it votes for nobody, except in a group that has agreed on nothing yet,
//! until a leader has brought its log to where the group is.

use crate::{
    consensus::{LogId, Membership},
    network::{NEW, New},
    node::Node,
};
use openraft::{BasicNode, error::InitializeError, error::RaftError};
use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

/// How long one of the others is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before they are asked again.
const AGAIN: Duration = Duration::from_millis(200);

/// Makes the group, if it is this coordinator's to make and there is none. Ends when there is one.
pub(crate) async fn form(node: &Node) {
    if node.network.peers.iter().map(|(peer, _)| peer).min() != Some(node.seat.node) {
        return;
    }
    let mut has_said = false;
    while node.is_new() {
        match look(node).await {
            Found::Nobody => {}
            Found::Majority => match node.raft.initialize(members(node)).await {
                Ok(()) => tracing::info!("the group of coordinators is made"),
                Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
                Err(error) => tracing::error!(%error, "the group of coordinators cannot be made"),
            },
            Found::Group if has_said => {}
            Found::Group => {
                has_said = true;
                tracing::warn!("this coordinator's store is empty, and the group exists: it waits to be told everything");
            }
        }
        tokio::time::sleep(AGAIN.mul_f64(rand::random_range(0.5..1.0))).await;
    }
}

enum Found {
    /// Too few answer.
    Nobody,
    /// A majority answers, and is as new as this one.
    Majority,
    /// Somebody knows of a group.
    Group,
}

async fn look(node: &Node) -> Found {
    let others = node.network.peers.iter().map(|(peer, _)| peer).filter(|peer| *peer != node.seat.node);
    let asked = others.map(|peer| node.network.ask::<New>(peer, NEW, &(), PATIENCE));
    let answers: Vec<_> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    if answers.iter().any(|answer| !answer.is_new) {
        return Found::Group;
    }
    let majority = node.seat.coordinators.len() / 2 + 1;
    if answers.len() + 1 >= majority { Found::Majority } else { Found::Nobody }
}

fn members(node: &Node) -> BTreeMap<u64, BasicNode> {
    node.network.peers.iter().map(|(peer, address)| (peer, BasicNode::new(address))).collect()
}

/// Whether this coordinator may vote for one whose log ends there.
pub(crate) fn may_vote(node: &Node, last: Option<LogId>) -> bool {
    // The first entry is the list of members, which every one of them writes alike.
    node.may_vote() || last.is_none_or(|last| last.index == 0)
}

/// A leader brought entries, and says what the group has agreed on.
pub(crate) fn learn(node: &Node, committed: Option<LogId>) {
    if node.may_vote() {
        return;
    }
    let metrics = node.raft.metrics();
    let applied = metrics.borrow().last_applied;
    if committed.is_some() && applied >= committed {
        node.unlearned.store(false, Ordering::Release);
        tracing::info!("this coordinator knows what the group knows");
    }
}

/// Whether a coordinator votes in this group; all do, before there is one.
pub(crate) fn is_voter(membership: &Membership, node: u64) -> bool {
    let mut voters = membership.voter_ids().peekable();
    voters.peek().is_none() || voters.any(|voter| voter == node)
}
