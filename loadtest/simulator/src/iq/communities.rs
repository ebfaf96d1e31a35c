//! `w:g2` of a community: groups tied to it and untied, looked at and joined through it; and the same by `w:mex`.

use std::sync::Arc;

use serde_json::{Value, json};
use wacore::iq::mex_operations::{fetch_all_subgroups, query_subgroup_participant_count};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use super::Request;
use crate::groups::community::Role;
use crate::groups::{self, Change, Group, Rank, Refusal, view};
use crate::stanza;

/// Groups in one request.
const GROUP_LIMIT: usize = 100;
const DONE: u16 = 200;

type Result<T = Node> = std::result::Result<T, Refusal>;

/// `None` is a question nobody here knows.
pub(super) fn looked_at(change: &Change<'_>, action: &NodeRef<'_>) -> Option<Result> {
    match action.tag.as_ref() {
        "query_linked" => {
            Some(named(action).and_then(|id| change.group_of_community(id)).map(|group| linked(change, &group)))
        }
        "linked_groups_participants" => Some(change.people_of_community().map(|people| {
            let people =
                people.into_iter().filter_map(|phone| view::participant(change.world, change.group, phone, Rank::Member));
            NodeBuilder::new("linked_groups_participants").children(people).build()
        })),
        _ => None,
    }
}

/// `None` is a change nobody here knows.
pub(super) fn changed(change: &Change<'_>, action: &NodeRef<'_>) -> Option<Result> {
    match action.tag.as_ref() {
        "links" => Some(link(change, action)),
        "unlink" => Some(unlink(change, action)),
        "delete_parent" => Some(change.dissolve().map(|()| stanza::leaf("delete_parent"))),
        "join_linked_group" => Some(named(action).and_then(|id| change.join_group(id)).map(|group| linked(change, &group))),
        _ => None,
    }
}

fn named(action: &NodeRef<'_>) -> Result<u64> {
    stanza::attr_jid(action, "jid").as_ref().and_then(groups::id_of).ok_or(Refusal::MALFORMED)
}

fn linked(change: &Change<'_>, group: &Group) -> Node {
    let state = group.state();
    NodeBuilder::new("linked_group")
        .attr("jid", group.jid())
        .attr("type", "sub_group")
        .children([view::info(change.world, group, &state)])
        .build()
}

fn link(change: &Change<'_>, action: &NodeRef<'_>) -> Result {
    let link = action.get_optional_child("link").ok_or(Refusal::MALFORMED)?;
    let named = Named::of(change, link)?;
    let codes = change.link(&named.groups)?;
    let link = NodeBuilder::new("link").attr("link_type", "sub_group").children(named.outcomes(&codes)).build();
    Ok(NodeBuilder::new("links").children([link]).build())
}

fn unlink(change: &Change<'_>, action: &NodeRef<'_>) -> Result {
    let named = Named::of(change, action)?;
    let orphans = action.get_children_by_tag("group").any(|group| stanza::attr_is(group, "remove_orphaned_members", "true"));
    let codes = change.unlink(&named.groups, orphans)?;
    Ok(NodeBuilder::new("unlink").attr("unlink_type", "sub_group").children(named.outcomes(&codes)).build())
}

/// The groups a request names, in its order.
struct Named {
    jids: Vec<Jid>,
    groups: Vec<Option<Arc<Group>>>,
}

impl Named {
    fn of(change: &Change<'_>, list: &NodeRef<'_>) -> Result<Self> {
        let children = list.get_children_by_tag("group").take(GROUP_LIMIT);
        let jids: Vec<Jid> = children.filter_map(|group| stanza::attr_jid(group, "jid")).collect();
        if jids.is_empty() {
            return Err(Refusal::MALFORMED);
        }
        let groups = jids.iter().map(|jid| groups::id_of(jid).and_then(|id| change.world.groups.get(id))).collect();
        Ok(Self { jids, groups })
    }

    fn outcomes(&self, codes: &[u16]) -> Vec<Node> {
        let outcome = |(jid, code): (&Jid, &u16)| {
            let builder = NodeBuilder::new("group").attr("jid", jid);
            if *code == DONE { builder.build() } else { builder.attr("error", *code).build() }
        };
        self.jids.iter().zip(codes).map(outcome).collect()
    }
}

/// The groups of a community that its members see, by `w:mex`.
pub(super) fn all(request: &Request<'_>, variables: fetch_all_subgroups::Variables) -> Result<Value> {
    let community = community(request, variables.group_id.as_deref())?;
    let (announcements, others): (Vec<_>, Vec<_>) = request
        .world
        .groups
        .of_community(community.id)
        .into_iter()
        .partition(|group| group.state().ties.role == Role::Announcements);
    let edges: Vec<Value> = others.iter().map(|group| json!({"node": subgroup(group)})).collect();
    Ok(json!({"xwa2_group_query_by_id": {
        "__typename": "XWA2CommunityGroup",
        "id": community.jid().to_string(),
        "default_sub_group": announcements.first().map(|group| subgroup(group)),
        "sub_groups": {"edges": edges},
    }}))
}

fn subgroup(group: &Group) -> Value {
    let state = group.state();
    let general = if state.ties.role == Role::General { "1" } else { "0" };
    json!({
        "id": group.jid().to_string(),
        "subject": {"value": state.subject.text, "creation_time": state.subject.at},
        "properties": {
            "general_chat": general,
            "hidden_group": "0",
            "membership_approval_mode_enabled": state.settings.approval,
        },
        "membership_approval_requests": {"total_count": state.requests.len()},
    })
}

/// How many are in each group of a community, by `w:mex`.
pub(super) fn counts(request: &Request<'_>, variables: query_subgroup_participant_count::Variables) -> Result<Value> {
    let named = variables.input.and_then(|input| input.group_jid);
    let community = community(request, named.as_deref())?;
    let groups = request.world.groups.of_community(community.id);
    let edges: Vec<Value> = groups
        .iter()
        .map(|group| {
            let count = group.state().members.len();
            json!({"node": {"id": group.jid().to_string(), "total_participants_count": count}})
        })
        .collect();
    Ok(json!({"xwa2_group_query_by_id": {
        "__typename": "XWA2CommunityGroup",
        "id": community.jid().to_string(),
        "sub_groups": {"edges": edges},
    }}))
}

fn community(request: &Request<'_>, named: Option<&str>) -> Result<Arc<Group>> {
    let id = named.and_then(groups::parse_id).ok_or(Refusal::MALFORMED)?;
    let group = request.world.groups.get(id).ok_or(Refusal::NO_GROUP)?;
    // Who is in a group of it may look at it too.
    let change = Change { world: request.world, group: &group, by: request.account };
    change.people_of_community()?;
    Ok(group)
}
