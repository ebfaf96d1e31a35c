//! Settings clients read at login and change rarely: server props, privacy, blocklist, and what is only acknowledged.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{Answer, Request, tokens};
use crate::stanza;

/// What everybody shows to everybody: the defaults of a fresh account.
const PRIVACY: [(&str, &str); 8] = [
    ("readreceipts", "all"),
    ("profile", "all"),
    ("status", "all"),
    ("online", "all"),
    ("last", "all"),
    ("groupadd", "all"),
    ("calladd", "all"),
    ("messages", "all"),
];

pub(super) fn answer(request: &Request<'_>, namespace: &str) -> Answer {
    match (namespace, request.set) {
        ("abt" | "w", false) if request.child("props").is_some() => request.result(props()),
        ("blocklist", false) => request.result(stanza::leaf("list")),
        ("blocklist", true) => request.result(stanza::leaf("list")),
        ("privacy", false) => request.result(privacy()),
        ("privacy", true) => match request.child("tokens") {
            Some(issued) => tokens::issue(request, issued),
            None => changed_privacy(request),
        },
        // Accepted without effect.
        ("urn:xmpp:whatsapp:dirty" | "w:stats" | "disappearing_mode" | "urn:xmpp:whatsapp:push", true) => request.done(),
        _ => request.unknown(),
    }
}

fn props() -> Node {
    NodeBuilder::new("props")
        .attr("protocol", "1")
        .attr("ab_key", "simulator")
        .attr("hash", "simulator")
        .attr("refresh", "86400")
        .attr("refresh_id", "1")
        .attr("delta_update", "false")
        .children(Vec::<Node>::new())
        .build()
}

fn privacy() -> Node {
    let categories =
        PRIVACY.iter().map(|(name, value)| NodeBuilder::new("category").attr("name", *name).attr("value", *value).build());
    NodeBuilder::new("privacy").children(categories).build()
}

/// A change is echoed; everybody goes on seeing the defaults.
fn changed_privacy(request: &Request<'_>) -> Answer {
    let Some(child) = request.node.children().and_then(<[NodeRef<'_>]>::first) else {
        return request.error(400, "bad-request");
    };
    request.result(child.to_owned())
}
