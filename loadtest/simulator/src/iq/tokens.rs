//! Trusted-contact tokens: an account gives somebody it talks to a token; the server hands it to that side's devices,
//! which attach it to what they send.

use wacore_binary::NodeRef;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::account::Account;
use crate::address::{Addressing, PHONE};
use crate::notification::{self, Notification};
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
    let (id, from) = (notification::id("token"), request.account);
    let token = NodeBuilder::new("token").attr("type", "trusted_contact").attr("t", issued).bytes(token).build();
    let node = notification::begin(from.jid(PHONE, addressing), "privacy_token", &id)
        .attr("sender_lid", from.jid(PHONE, Addressing::Lid))
        .children([NodeBuilder::new("tokens").children([token]).build()])
        .build();
    if let Some(notification) = Notification::of(id, from.phone, &node) {
        notification.tell(request.world, target);
    }
}
