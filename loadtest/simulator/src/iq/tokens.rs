//! Trusted-contact tokens: an account gives somebody it talks to a token; the server hands it to that side's devices,
//! which attach it to what they send.

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use super::{Answer, Request};
use crate::account::{Account, Outgoing};
use crate::address::{Addressing, PHONE};
use crate::queue::Class;
use crate::stanza;
use crate::tokens;

/// Tokens in one request.
const TOKEN_LIMIT: usize = 256;

pub(super) fn issue(request: &Request<'_>, issued: &NodeRef<'_>) -> Answer {
    for token in issued.get_children_by_tag("token").take(TOKEN_LIMIT) {
        let (Some(jid), Some(issued)) = (stanza::attr_jid(token, "jid"), stanza::attr(token, "t")) else {
            return request.error(400, "bad-request");
        };
        if let Some(target) = request.world.directory.locate(&jid)
            && target.phone != request.account.phone
        {
            let token = tokens::trusted(request.account, target.phone);
            hand_over(request, &target, Addressing::of(&jid).unwrap_or(Addressing::Pn), &issued, token);
        }
    }
    request.done()
}

fn hand_over(request: &Request<'_>, target: &Account, addressing: Addressing, issued: &str, token: Vec<u8>) {
    let id = format!("token-{}", uuid::Uuid::new_v4().simple());
    let Ok(marshaled) = wacore_binary::marshal(&notification(request.account, addressing, issued, &id, token)) else {
        return;
    };
    let stanza = Bytes::from(marshaled);
    target.enqueue_for_all(request.world, |_| Outgoing {
        class: Class::Notification,
        id: id.clone(),
        from: request.account.phone,
        stanza: stanza.clone(),
        noted_from: None,
    });
}

fn notification(from: &Account, addressing: Addressing, issued: &str, id: &str, token: Vec<u8>) -> Node {
    let token = NodeBuilder::new("token").attr("type", "trusted_contact").attr("t", issued).bytes(token).build();
    NodeBuilder::new("notification")
        .attr("from", from.jid(PHONE, addressing))
        .attr("sender_lid", from.jid(PHONE, Addressing::Lid))
        .attr("type", "privacy_token")
        .attr("id", id)
        .attr("t", stanza::unix_seconds())
        .children([NodeBuilder::new("tokens").children([token]).build()])
        .build()
}
