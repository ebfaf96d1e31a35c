//! A group as clients and the admin API see it.

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Ephemeral, Group, Rank, State, community, mode};
use crate::address::{Addressing, PHONE};
use crate::stanza;
use crate::world::World;

/// A person under the name a group uses.
pub(crate) fn name(world: &World, phone: u64, addressing: Addressing) -> Option<Jid> {
    world.directory.by_phone(phone).map(|account| account.jid(PHONE, addressing))
}

/// `<participant jid type>` with the other name beside it.
pub(crate) fn participant(world: &World, group: &Group, phone: u64, rank: Rank) -> Option<Node> {
    let mut builder = named(world, group, phone)?;
    if let Some(rank) = rank.wire() {
        builder = builder.attr("type", rank);
    }
    Some(builder.build())
}

/// `<participant jid type="200">`, or `error` with a code: the answer to a change.
pub(crate) fn outcome(world: &World, group: &Group, phone: u64, code: u16) -> Option<Node> {
    let builder = named(world, group, phone)?;
    Some(if code == 200 { builder.attr("type", code) } else { builder.attr("error", code) }.build())
}

fn named(world: &World, group: &Group, phone: u64) -> Option<NodeBuilder> {
    let account = world.directory.by_phone(phone)?;
    let builder = NodeBuilder::new("participant").attr("jid", account.jid(PHONE, group.addressing));
    Some(match group.addressing {
        Addressing::Lid => builder.attr("phone_number", account.jid(PHONE, Addressing::Pn)),
        Addressing::Pn => builder.attr("lid", account.jid(PHONE, Addressing::Lid)),
    })
}

/// `<group>`: everything a member may know.
pub(crate) fn info(world: &World, group: &Group, state: &State) -> Node {
    let mut children: Vec<Node> =
        state.members.iter().filter_map(|(phone, member)| participant(world, group, *phone, member.rank)).collect();
    children.extend(settings(state));
    children.extend(description(world, group, state));
    header(world, group, state).children(children).build()
}

/// `<group>` without its members, for people who hold an invite code.
pub(crate) fn preview(world: &World, group: &Group, state: &State) -> Node {
    let children: Vec<Node> = settings(state).into_iter().chain(description(world, group, state)).collect();
    header(world, group, state).children(children).build()
}

fn header(world: &World, group: &Group, state: &State) -> NodeBuilder {
    let mut builder = NodeBuilder::new("group")
        .attr("id", group.id.to_string())
        .attr("subject", state.subject.text.as_str())
        .attr("s_t", state.subject.at)
        .attr("creation", group.created)
        .attr("addressing_mode", mode(group.addressing))
        .attr("size", state.members.len() as u64);
    for (phone, plain, pn) in [(group.creator, "creator", "creator_pn"), (state.subject.by, "s_o", "s_o_pn")] {
        if let Some(jid) = name(world, phone, group.addressing) {
            builder = builder.attr(plain, jid);
        }
        if group.addressing == Addressing::Lid
            && let Some(jid) = name(world, phone, Addressing::Pn)
        {
            builder = builder.attr(pn, jid);
        }
    }
    builder
}

fn settings(state: &State) -> Vec<Node> {
    let settings = &state.settings;
    let mut nodes = vec![add_mode(settings.admins_add)];
    if settings.announce {
        nodes.push(stanza::leaf("announcement"));
    }
    if settings.locked {
        nodes.push(stanza::leaf("locked"));
    }
    if settings.approval {
        nodes.push(approval(true));
    }
    nodes.extend(settings.ephemeral.map(ephemeral));
    nodes.extend(community::nodes(state));
    nodes
}

fn description(world: &World, group: &Group, state: &State) -> Option<Node> {
    let description = state.description.as_ref()?;
    let mut builder = NodeBuilder::new("description").attr("id", description.id.as_str()).attr("t", description.signed.at);
    if let Some(jid) = name(world, description.signed.by, group.addressing) {
        builder = builder.attr("participant", jid);
    }
    if group.addressing == Addressing::Lid
        && let Some(jid) = name(world, description.signed.by, Addressing::Pn)
    {
        builder = builder.attr("participant_pn", jid);
    }
    // As bytes: a text with an `@` would be written as an address.
    let body = stanza::bytes("body", description.signed.text.as_str());
    Some(builder.children([body]).build())
}

pub(super) fn add_mode(admins: bool) -> Node {
    NodeBuilder::new("member_add_mode").string_content(if admins { "admin_add" } else { "all_member_add" }).build()
}

pub(super) fn approval(on: bool) -> Node {
    let join = NodeBuilder::new("group_join").attr("state", if on { "on" } else { "off" }).build();
    NodeBuilder::new("membership_approval_mode").children([join]).build()
}

pub(super) fn ephemeral(ephemeral: Ephemeral) -> Node {
    let mut builder = NodeBuilder::new("ephemeral").attr("expiration", ephemeral.expiration);
    if let Some(trigger) = ephemeral.trigger {
        builder = builder.attr("trigger", trigger);
    }
    builder.build()
}

/// For the admin API; people are phone numbers.
pub(crate) fn json(group: &Group) -> Value {
    let state = group.state();
    let members: Vec<Value> = state
        .members
        .iter()
        .map(|(phone, member)| json!({"phone": phone.to_string(), "rank": member.rank, "joined": member.joined}))
        .collect();
    let requests: Vec<String> = state.requests.keys().map(ToString::to_string).collect();
    json!({
        "id": group.jid().to_string(),
        "subject": state.subject.text,
        "description": state.description.as_ref().map(|description| &description.signed.text),
        "owner": group.creator.to_string(),
        "created": group.created,
        "addressing": mode(group.addressing),
        "participants": members,
        "requests": requests,
        "invite_code": state.invite,
        "announce": state.settings.announce,
        "locked": state.settings.locked,
        "admins_add": state.settings.admins_add,
        "approval": state.settings.approval,
        "ephemeral_seconds": state.settings.ephemeral.map_or(0, |ephemeral| ephemeral.expiration),
    })
}
