//! What the coordinators say to each other: openraft's own calls, from members of the group only, in their own name.

use super::{Admitted, Api, Body, say};
use crate::{
    consensus::{Types, Vote},
    formation,
    network::New,
};
use hyper::Response;
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use warren_raft::wire::{Code, Refusal};

pub(super) async fn append(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let said: AppendEntriesRequest<Types> = call.said()?;
    check(api, call, &said.vote)?;
    let committed = said.leader_commit;
    let answer = api.node.raft.append_entries(said).await;
    if matches!(answer, Ok(openraft::raft::AppendEntriesResponse::Success)) {
        formation::learn(&api.node, committed);
    }
    say(&answer)
}

pub(super) async fn vote(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let said: VoteRequest<u64> = call.said()?;
    check(api, call, &said.vote)?;
    if !formation::may_vote(&api.node, said.last_log_id) {
        return Err(Code::Unlearned.into());
    }
    say(&api.node.raft.vote(said).await)
}

pub(super) async fn snapshot(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    let said: InstallSnapshotRequest<Types> = call.said()?;
    check(api, call, &said.vote)?;
    say(&api.node.raft.install_snapshot(said).await)
}

pub(super) fn new(api: &Api, call: &Admitted) -> Result<Response<Body>, Refusal> {
    if call.sender == 0 {
        return Err(Code::NotAMember.into());
    }
    say(&New { is_new: api.node.is_new() })
}

/// Whoever stands or leads says so itself, and votes in this group.
fn check(api: &Api, call: &Admitted, vote: &Vote) -> Result<(), Code> {
    let speaks_for_itself = call.sender != 0 && vote.leader_id.voted_for() == Some(call.sender);
    let membership = api.node.raft.metrics().borrow().membership_config.clone();
    if speaks_for_itself && formation::is_voter(&membership, call.sender) { Ok(()) } else { Err(Code::NotAMember) }
}
