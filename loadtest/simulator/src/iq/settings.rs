//! Settings clients read at login and change rarely: server props, privacy, blocklist, and what is only acknowledged.

use wacore::iq::abprops::web;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{Answer, Request, tokens};
use crate::{blocklist, stanza};

/// Changes to a list in one request.
const LIST_LIMIT: usize = 1_024;

pub(super) fn answer(request: &Request<'_>, namespace: &str) -> Answer {
    match (namespace, request.set) {
        ("abt" | "w", false) if request.child("props").is_some() => request.result(props(request)),
        ("blocklist", false) => request.result(blocklist::list(request.world, request.account)),
        ("blocklist", true) => block(request),
        ("privacy", false) => request.result(request.account.state().privacy.node()),
        ("privacy", true) => match request.child("tokens") {
            Some(issued) => tokens::issue(request, issued),
            None => changed_privacy(request),
        },
        ("disappearing_mode", true) => disappearing(request),
        // Accepted without effect.
        ("urn:xmpp:whatsapp:dirty" | "w:stats" | "urn:xmpp:whatsapp:push", true) => request.done(),
        _ => request.unknown(),
    }
}

/// Experiments that change what clients send; the real server has some thousands.
fn props(request: &Request<'_>) -> Node {
    let traits = request.account.state().traits;
    let switches = [
        (web::PRIVACY_TOKEN_SENDING_ON_ALL_1_ON_1_MESSAGES, true),
        (web::WA_NCT_TOKEN_SEND_ENABLED, traits.sends_salted),
        (web::WA_NCT_TOKEN_HISTORY_SYNC_ENABLED, traits.salt_in_history.announced),
        (web::WA_NCT_TOKEN_SYNCD_ENABLED, traits.salt_in_app_state.announced),
    ];
    let props = switches.into_iter().map(|(prop, on)| {
        let value = if on { "1" } else { "0" };
        NodeBuilder::new("prop").attr("config_code", prop.code).attr("config_value", value).build()
    });
    NodeBuilder::new("props")
        .attr("protocol", "1")
        .attr("ab_key", "simulator")
        .attr("hash", "simulator")
        .attr("refresh", "86400")
        .attr("refresh_id", "1")
        .attr("delta_update", "false")
        .children(props)
        .build()
}

/// Blocks or unblocks the accounts of `<item action jid>`.
fn block(request: &Request<'_>) -> Answer {
    for item in request.node.get_children_by_tag("item").take(LIST_LIMIT) {
        let block = match stanza::attr(item, "action").as_deref() {
            Some("block") => true,
            Some("unblock") => false,
            _ => return request.error(400, "bad-request"),
        };
        let Some(other) = stanza::attr_jid(item, "jid").and_then(|jid| request.world.directory.locate(&jid)) else {
            return request.error(404, "item-not-found");
        };
        if !blocklist::set(request.world, request.account, &other, block, Some(request.device)) {
            return request.error(406, "not-acceptable");
        }
    }
    request.result(blocklist::list(request.world, request.account))
}

fn changed_privacy(request: &Request<'_>) -> Answer {
    let Some(asked) = request.child("privacy") else {
        return request.error(400, "bad-request");
    };
    for category in asked.get_children_by_tag("category").take(LIST_LIMIT) {
        let (Some(name), Some(value)) = (stanza::attr(category, "name"), stanza::attr(category, "value")) else {
            return request.error(400, "bad-request");
        };
        let (added, removed) = excepted(request, category);
        if request.account.state().privacy.set(&name, &value, &added, &removed).is_err() {
            return request.error(400, "bad-request");
        }
    }
    request.account.touch();
    request.result(request.account.state().privacy.node())
}

/// The people of `<user action jid>` who are excepted from now on, and no longer.
fn excepted(request: &Request<'_>, category: &NodeRef<'_>) -> (Vec<u64>, Vec<u64>) {
    let (mut added, mut removed) = (Vec::new(), Vec::new());
    for user in category.get_children_by_tag("user").take(LIST_LIMIT) {
        let Some(account) = stanza::attr_jid(user, "jid").and_then(|jid| request.world.directory.locate(&jid)) else {
            continue;
        };
        let list = if stanza::attr_is(user, "action", "remove") { &mut removed } else { &mut added };
        list.push(account.phone);
    }
    (added, removed)
}

/// For how long messages of new chats stay.
fn disappearing(request: &Request<'_>) -> Answer {
    let duration = request.child("disappearing_mode").and_then(|mode| stanza::attr(mode, "duration")?.parse().ok());
    let Some(duration) = duration else {
        return request.error(400, "bad-request");
    };
    {
        let mut state = request.account.state();
        state.privacy.disappearing = duration;
        state.privacy.disappearing_set = stanza::unix_seconds();
    }
    request.account.touch();
    request.done()
}
