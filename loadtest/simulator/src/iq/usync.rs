//! `usync`: who is here, under which LID, with which devices.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use super::{Answer, Request};
use crate::account::{Account, State};
use crate::address::{Addressing, PHONE, parse_phone};
use crate::adv;
use crate::business;
use crate::notification::{self, Notification};
use crate::privacy::{self, Matter};
use crate::stanza;
use crate::world::World;

/// Users in one query.
const USER_LIMIT: usize = 5_000;

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let usync = request.child("usync");
    let (Some(query), Some(list)) = (
        usync.and_then(|usync| usync.get_optional_child("query")),
        usync.and_then(|usync| usync.get_optional_child("list")),
    ) else {
        return request.error(400, "bad-request");
    };
    let protocols: Vec<String> = query.children().unwrap_or_default().iter().map(|child| child.tag.to_string()).collect();
    let users = list
        .get_children_by_tag("user")
        .take(USER_LIMIT)
        .filter_map(|user| user_node(request, user, &protocols))
        .collect::<Vec<_>>();
    let sid = usync.and_then(|usync| stanza::attr(usync, "sid")).unwrap_or_default();
    let answered = NodeBuilder::new("usync")
        .attr("sid", sid)
        .attr("index", "0")
        .attr("last", "true")
        .attr("mode", "query")
        .children([NodeBuilder::new("result").build(), NodeBuilder::new("list").children(users).build()])
        .build();
    request.result(answered)
}

/// One user's answer; `None` for what names nobody at all.
fn user_node(request: &Request<'_>, user: &NodeRef<'_>, protocols: &[String]) -> Option<Node> {
    let world = request.world;
    let asked = stanza::attr_jid(user, "jid").map(|jid| jid.to_non_ad());
    let contact = user.get_optional_child("contact").and_then(NodeRef::content_as_string);
    let account = match (&asked, &contact) {
        (Some(jid), _) => world.directory.locate(jid),
        (None, Some(number)) => parse_phone(number).and_then(|phone| world.directory.by_number(phone)),
        (None, None) => return None,
    };
    // A LID is no name of somebody the server does not know; a number is.
    if account.is_none() && asked.as_ref().is_some_and(|jid| Addressing::of(jid) == Some(Addressing::Lid)) {
        return None;
    }
    let jid = match (&asked, &account, &contact) {
        (Some(jid), ..) => jid.clone(),
        (None, Some(account), _) => account.jid(PHONE, Addressing::Pn),
        (None, None, contact) => Jid::pn(parse_phone(contact.as_deref()?)?.to_string()),
    };
    let mut builder = NodeBuilder::new("user").attr("jid", &jid);
    if let Some(account) = &account
        && Addressing::of(&jid) == Some(Addressing::Lid)
    {
        builder = builder.attr("pn_jid", account.jid(PHONE, Addressing::Pn));
    }
    let children: Vec<Node> = protocols
        .iter()
        .filter_map(|protocol| protocol_node(request, protocol, account.as_deref(), contact.as_deref()))
        .collect();
    Some(builder.children(children).build())
}

fn protocol_node(request: &Request<'_>, protocol: &str, account: Option<&Account>, contact: Option<&str>) -> Option<Node> {
    let visible = |matter: Matter| account.filter(|owner| privacy::allows(owner, request.account, matter));
    match protocol {
        "contact" => {
            let kind = if account.is_some() { "in" } else { "out" };
            let mut node = NodeBuilder::new("contact").attr("type", kind);
            if let Some(number) = contact {
                node = node.string_content(number);
            }
            Some(node.build())
        }
        "lid" => Some(NodeBuilder::new("lid").attr("val", account?.jid(PHONE, Addressing::Lid)).build()),
        "devices" => devices_node(account?),
        "business" => account.and_then(business::verified_name),
        "status" => Some(match visible(Matter::About) {
            Some(owner) => about_node(owner),
            // Clients read this code as hidden.
            None => NodeBuilder::new("status").attr("code", "401").build(),
        }),
        "picture" if let Some(id) = picture_id(visible(Matter::Picture)) => {
            Some(NodeBuilder::new("picture").attr("id", id).build())
        }
        "picture" => Some(
            NodeBuilder::new("picture")
                .children([NodeBuilder::new("error").attr("code", 404_u16).attr("text", "item-not-found").build()])
                .build(),
        ),
        "disappearing_mode" => Some(disappearing_node(account)),
        _ => None,
    }
}

/// The text somebody says about themselves, with the time it was set.
fn about_node(account: &Account) -> Node {
    let profile = account.state().profile.clone();
    let node = NodeBuilder::new("status").attr("t", profile.about_set.to_string());
    if profile.about.is_empty() { node.build() } else { node.bytes(profile.about).build() }
}

fn disappearing_node(account: Option<&Account>) -> Node {
    let (duration, set) = account.map_or((0, 0), |account| {
        let state = account.state();
        (state.privacy.disappearing, state.privacy.disappearing_set)
    });
    NodeBuilder::new("disappearing_mode").attr("duration", duration).attr("t", set).build()
}

fn picture_id(account: Option<&Account>) -> Option<String> {
    account?.state().profile.picture.as_ref().map(|picture| picture.id.clone())
}

/// The device list. One with companions carries the phone's signature over their key indexes, or clients skip the user.
fn devices_node(account: &Account) -> Option<Node> {
    let mut state = account.state();
    let mut devices = vec![NodeBuilder::new("device").attr("id", PHONE).build()];
    for (id, device) in &state.devices {
        devices.push(NodeBuilder::new("device").attr("id", *id).attr("key-index", device.key_index).build());
    }
    let mut children = vec![NodeBuilder::new("device-list").children(devices).build()];
    if !state.devices.is_empty() {
        children.push(key_index_node(account, &mut state)?);
    }
    Some(NodeBuilder::new("devices").children(children).build())
}

fn key_index_node(account: &Account, state: &mut State) -> Option<Node> {
    let signed = match &state.signed_list {
        Some(signed) => signed.clone(),
        None => {
            let valid = state.devices.values().map(|device| device.key_index).collect();
            let current = state.next_key_index.saturating_sub(1);
            let signed = adv::key_index_list(&account.identity, state.raw_id, state.devices_changed, current, valid).ok()?;
            state.signed_list = Some(signed.clone());
            signed
        }
    };
    Some(NodeBuilder::new("key-index-list").attr("ts", state.devices_changed).bytes(signed).build())
}

/// Tells the account's other companions, and the clients of those it shares groups with, that its list of devices
/// changed: in a group nothing else makes a sender look.
pub(crate) fn announce_devices(world: &World, account: &Arc<Account>, added: u16) {
    let alone = account.companions().into_iter().all(|device| device == added);
    let fellows = world.groups.fellows(account.phone);
    if alone && fellows.is_empty() {
        return;
    }
    let (id, node) = {
        let mut state = account.state();
        let Some(device) = state.devices.get(&added) else { return };
        let listed = NodeBuilder::new("device")
            .attr("jid", account.jid(added, Addressing::Pn))
            .attr("lid", account.jid(added, Addressing::Lid))
            .attr("key-index", device.key_index)
            .build();
        let Some(signed) = key_index_node(account, &mut state) else { return };
        let id = format!("devices-{}", state.devices_changed);
        let begun = notification::begin(account.jid(PHONE, Addressing::Pn), "devices", &id);
        let node = begun.children([NodeBuilder::new("add").children([listed, signed]).build()]).build();
        (id, node)
    };
    let Some(notification) = Notification::of(id, 0, &node) else { return };
    notification.tell_others(world, account, Some(added));
    for fellow in fellows.into_iter().filter_map(|phone| world.directory.by_phone(phone)) {
        notification.tell(world, &fellow);
    }
}
