//! What clients are told about changes: `<notification type="w:gp2">`, one for each change, to every companion of
//! everybody concerned, the author's included.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Description, Group, Rank, Setting, State, mode, view};
use crate::account::Account;
use crate::address::{Addressing, PHONE};
use crate::notification::{self, Notification};
use crate::stanza;
use crate::world::World;

/// Queues one notification for everybody in `to`. Without `by`, the server itself changed something.
pub(super) fn tell(world: &World, group: &Group, by: Option<&Account>, to: impl IntoIterator<Item = u64>, action: Node) {
    let id = notification::id("group");
    let mut builder = notification::begin(group.jid(), "w:gp2", &id).attr("addressing_mode", mode(group.addressing));
    if let Some(by) = by {
        let name = by.state().name.clone();
        builder = builder.attr("participant", by.jid(PHONE, group.addressing)).attr("notify", name);
        if group.addressing == Addressing::Lid {
            builder = builder.attr("participant_pn", by.jid(PHONE, Addressing::Pn));
        }
    }
    hand_out(world, Notification::of(id, 0, &builder.children([action]).build()), to);
}

/// Queues a notification about a group for everybody in `to`.
pub(super) fn hand_out(world: &World, notification: Option<Notification>, to: impl IntoIterator<Item = u64>) {
    let Some(notification) = notification else { return };
    for account in to.into_iter().filter_map(|phone| world.directory.by_phone(phone)) {
        notification.tell(world, &account);
        world.counters.group_notices.one();
    }
}

/// `<add>`, `<remove>`, `<promote>`, `<demote>` with those concerned.
pub(super) fn members(world: &World, group: &Group, tag: &'static str, who: &[(u64, Rank)], reason: Option<&str>) -> Node {
    let listed: Vec<Node> = who.iter().filter_map(|(phone, rank)| view::participant(world, group, *phone, *rank)).collect();
    let mut builder = NodeBuilder::new(tag);
    if let Some(reason) = reason {
        builder = builder.attr("reason", reason);
    }
    builder.children(listed).build()
}

/// What those learn who are in the group from now on: all of it. `kind` is `new` for a new group; `reason` is `invite`
/// when they came by link.
pub(super) fn welcome(
    world: &World,
    group: &Group,
    state: &State,
    kind: Option<&'static str>,
    reason: Option<&str>,
) -> Node {
    let mut builder = NodeBuilder::new("create");
    if let Some(kind) = kind {
        builder = builder.attr("type", kind);
    }
    if let Some(reason) = reason {
        builder = builder.attr("reason", reason);
    }
    builder.children([view::info(world, group, state)]).build()
}

pub(super) fn subject(world: &World, group: &Group, state: &State) -> Node {
    let mut builder = NodeBuilder::new("subject").attr("subject", state.subject.text.as_str()).attr("s_t", state.subject.at);
    if let Some(owner) = view::name(world, state.subject.by, group.addressing) {
        builder = builder.attr("s_o", owner);
    }
    builder.build()
}

/// A new description, or that the one of this id replaced it by nothing.
pub(super) fn description(id: &str, now: Option<&Description>) -> Node {
    let content = match now {
        Some(description) => stanza::bytes("body", description.signed.text.as_str()),
        None => stanza::leaf("delete"),
    };
    NodeBuilder::new("description").attr("id", id).children([content]).build()
}

pub(super) fn setting(setting: Setting) -> Node {
    match setting {
        Setting::Announce(on) => stanza::leaf(if on { "announcement" } else { "not_announcement" }),
        Setting::Locked(on) => stanza::leaf(if on { "locked" } else { "unlocked" }),
        Setting::AdminsAdd(on) => view::add_mode(on),
        Setting::Approval(on) => view::approval(on),
        Setting::Ephemeral(Some(ephemeral)) => view::ephemeral(ephemeral),
        Setting::Ephemeral(None) => stanza::leaf("not_ephemeral"),
    }
}

/// To the admins: somebody asks to join.
pub(super) fn request(world: &World, group: &Group, phone: u64) -> Node {
    let asking = view::name(world, phone, group.addressing).map(|jid| {
        let mut builder = NodeBuilder::new("requested_user").attr("jid", jid);
        if group.addressing == Addressing::Lid
            && let Some(pn) = view::name(world, phone, Addressing::Pn)
        {
            builder = builder.attr("phone_number", pn);
        }
        builder.build()
    });
    NodeBuilder::new("created_membership_requests").attr("request_method", "invite_link").children(asking).build()
}

/// Requests that an admin rejected or their maker withdrew.
pub(super) fn requests_gone(world: &World, group: &Group, phones: &[u64]) -> Node {
    let listed: Vec<Node> = phones
        .iter()
        .filter_map(|phone| view::name(world, *phone, group.addressing))
        .map(|jid| NodeBuilder::new("participant").attr("jid", jid).build())
        .collect();
    NodeBuilder::new("revoked_membership_requests").children(listed).build()
}
