//! Calls, as far as they are signalled: offered, taken, refused, ended. There is no sound: nobody here relays media, so a
//! call that is taken stays silent until somebody ends it.
//!
//! Shapes as in `wacore::stanza::call`. What a real server tells whom in which order is guessed from what clients do with it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use crate::account::{Account, Outgoing};
use crate::address::{Addressing, PHONE};
use crate::bundle;
use crate::privacy::{self, Matter};
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// Calls remembered; the oldest goes.
const CALL_LIMIT: usize = 10_000;
/// Characters of a call's id, which its caller makes up.
const ID_LIMIT: usize = 128;
/// What a call's parties say to each other that changes nothing here.
const PASSED_ON: [&str; 8] =
    ["transport", "relaylatency", "preaccept", "video", "mute_v2", "enc_rekey", "user_action", "screen_share"];

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    Ringing,
    Taken,
    Refused,
    Ended,
}

/// One call. People are phone numbers.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    pub(crate) call_id: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) video: bool,
    pub(crate) phase: Phase,
    /// The device that offered it.
    pub(crate) from_device: u16,
    /// The device that took or refused it.
    pub(crate) by_device: Option<u16>,
    pub(crate) reason: Option<String>,
    pub(crate) began_ms: u64,
    pub(crate) ended_ms: Option<u64>,
}

impl Call {
    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Refused | Phase::Ended)
    }
}

/// The calls of the whole simulator, oldest first. Not kept over a restart.
#[derive(Default)]
pub(crate) struct Calls(VecDeque<Call>);

impl Calls {
    pub(crate) fn all(&self) -> impl Iterator<Item = &Call> {
        self.0.iter()
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Call> {
        self.0.iter().rev().find(|call| call.call_id == id)
    }

    fn begin(&mut self, call: Call) {
        if self.0.len() >= CALL_LIMIT {
            self.0.pop_front();
        }
        self.0.push_back(call);
    }

    /// Moves a call on; `None` when there is none, or it is over.
    fn turn(&mut self, id: &str, phase: Phase, by: Option<u16>, reason: Option<String>) -> Option<Call> {
        let call = self.0.iter_mut().rev().find(|call| call.call_id == id).filter(|call| !call.is_over())?;
        call.phase = phase;
        call.by_device = by.or(call.by_device);
        call.reason = reason.or(call.reason.take());
        if call.is_over() {
            call.ended_ms = Some(stanza::unix_millis());
        }
        Some(call.clone())
    }
}

/// Takes `<call>` of a companion; the server's ack for it.
pub(crate) fn take(world: &World, account: &Arc<Account>, device: u16, node: &NodeRef<'_>) -> Option<Node> {
    let id = stanza::attr(node, "id")?;
    let to = stanza::attr_jid(node, "to")?;
    let action = node.children().and_then(<[NodeRef<'_>]>::first)?;
    let tag = action.tag.to_string();
    let known = world.directory.locate(&to);
    let ack = NodeBuilder::new("ack").attr("class", "call").attr("id", id).attr("from", &to).attr("type", tag.as_str());
    let call_id = stanza::attr(action, "call-id").filter(|id| id.len() <= ID_LIMIT);
    let (Some(peer), Some(call_id)) = (known, call_id) else {
        return Some(ack.attr("error", 404_u16).build());
    };
    let reason = stanza::attr(action, "reason");
    let party = Party { world, account, device, peer: &peer, to: &to };
    match tag.as_str() {
        "offer" => party.offer(&call_id, action),
        "accept" => party.answer(&call_id, action, Phase::Taken, reason),
        "reject" => party.answer(&call_id, action, Phase::Refused, reason),
        "terminate" => party.end(&call_id, action, reason),
        other if PASSED_ON.contains(&other) => party.tell_peer(action),
        _ => world.counters.stanzas_unknown.one(),
    }
    Some(ack.build())
}

/// A companion in a call.
struct Party<'a> {
    world: &'a World,
    account: &'a Arc<Account>,
    device: u16,
    peer: &'a Arc<Account>,
    to: &'a Jid,
}

impl Party<'_> {
    fn addressing(&self) -> Addressing {
        Addressing::of(self.to).unwrap_or(Addressing::Pn)
    }

    fn offer(&self, call_id: &str, action: &NodeRef<'_>) {
        let video = action.get_optional_child("video").is_some();
        ring(self.world, self.account, self.device, self.peer, call_id.to_owned(), video);
        // Who does not let this account call is not rung, and the caller hears nothing of it.
        if privacy::allows(self.peer, self.account, Matter::Call) {
            self.tell_peer(action);
        }
    }

    /// The one it was offered to takes it or refuses; the callee's other companions stop ringing.
    fn answer(&self, call_id: &str, action: &NodeRef<'_>, phase: Phase, reason: Option<String>) {
        if self.world.calls().turn(call_id, phase, Some(self.device), reason).is_none() {
            return;
        }
        self.tell_peer(action);
        let elsewhere = if phase == Phase::Taken { "accepted_elsewhere" } else { "rejected_elsewhere" };
        let creator = stanza::attr_jid(action, "call-creator").unwrap_or_else(|| self.to.clone());
        let stop = terminate(call_id, &creator, Some(elsewhere));
        for other in self.account.companions().into_iter().filter(|other| *other != self.device) {
            send(self.world, self.peer, PHONE, self.addressing(), self.account, other, &stop);
        }
    }

    fn end(&self, call_id: &str, action: &NodeRef<'_>, reason: Option<String>) {
        if self.world.calls().turn(call_id, Phase::Ended, None, reason).is_some() {
            self.tell_peer(action);
        }
    }

    /// To the one device that is addressed, or to all companions.
    fn tell_peer(&self, action: &NodeRef<'_>) {
        let action = action.to_owned();
        for device in self.peer.companions() {
            if self.to.device == PHONE || self.to.device == device {
                send(self.world, self.account, self.device, self.addressing(), self.peer, device, &action);
            }
        }
    }
}

fn ring(world: &World, from: &Account, device: u16, to: &Account, call_id: String, video: bool) {
    world.calls().begin(Call {
        call_id,
        from: from.phone,
        to: to.phone,
        video,
        phase: Phase::Ringing,
        from_device: device,
        by_device: None,
        reason: None,
        began_ms: stanza::unix_millis(),
        ended_ms: None,
    });
}

/// A phone calls an account's companions; the call's id.
pub(crate) fn dial(world: &World, from: &Arc<Account>, to: &Arc<Account>, video: bool) -> String {
    let call_id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    ring(world, from, PHONE, to, call_id.clone(), video);
    if !privacy::allows(to, from, Matter::Call) {
        return call_id;
    }
    let addressing = bundle::addressing_of(to);
    let mut media = vec![NodeBuilder::new("audio").attr("enc", "opus").attr("rate", "16000").build()];
    if video {
        media.push(NodeBuilder::new("video").attr("enc", "vp8").build());
    }
    let offer = NodeBuilder::new("offer")
        .attr("call-id", call_id.as_str())
        .attr("call-creator", from.jid(PHONE, addressing))
        .attr("caller_pn", from.jid(PHONE, Addressing::Pn))
        .children(media)
        .build();
    for device in to.companions() {
        send(world, from, PHONE, addressing, to, device, &offer);
    }
    call_id
}

/// A phone that is in a call, or rung by one, ends it; `None` when it is not in this call, or the call is over.
pub(crate) fn hang_up(world: &World, by: &Arc<Account>, call_id: &str, reason: Option<&str>) -> Option<Call> {
    let call = world.calls().find(call_id).filter(|call| call.from == by.phone || call.to == by.phone).cloned()?;
    let refused = call.to == by.phone && call.phase == Phase::Ringing;
    let phase = if refused { Phase::Refused } else { Phase::Ended };
    let turned = world.calls().turn(call_id, phase, Some(PHONE), reason.map(ToOwned::to_owned))?;
    let other = world.directory.by_phone(if call.from == by.phone { call.to } else { call.from })?;
    let addressing = bundle::addressing_of(&other);
    let caller = world.directory.by_phone(call.from)?;
    let creator = caller.jid(call.from_device, addressing);
    let action = if refused {
        NodeBuilder::new("reject").attr("call-id", call_id).attr("call-creator", creator).build()
    } else {
        terminate(call_id, &creator, reason)
    };
    for device in other.companions() {
        send(world, by, PHONE, addressing, &other, device, &action);
    }
    Some(turned)
}

fn terminate(call_id: &str, creator: &Jid, reason: Option<&str>) -> Node {
    let node = NodeBuilder::new("terminate").attr("call-id", call_id).attr("call-creator", creator);
    match reason {
        Some(reason) => node.attr("reason", reason).build(),
        None => node.build(),
    }
}

fn send(world: &World, from: &Account, from_device: u16, addressing: Addressing, to: &Account, device: u16, action: &Node) {
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    let name = from.state().name.clone();
    let node = NodeBuilder::new("call")
        .attr("from", from.jid(from_device, addressing))
        .attr("id", id.as_str())
        .attr("t", stanza::unix_seconds())
        .attr("notify", name)
        .attr("platform", "android")
        .attr("version", "2.24.0")
        .children([action.clone()])
        .build();
    let Ok(marshaled) = wacore_binary::marshal(&node) else { return };
    let stanza = Bytes::from(marshaled);
    to.enqueue(world, device, Outgoing { class: Class::Call, id, from: from.phone, stanza, noted_from: None });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_over_stays_over() {
        let mut calls = Calls::default();
        let call = |id: &str| Call {
            call_id: id.to_owned(),
            from: 7,
            to: 8,
            video: false,
            phase: Phase::Ringing,
            from_device: 0,
            by_device: None,
            reason: None,
            began_ms: 1,
            ended_ms: None,
        };
        calls.begin(call("a"));
        assert!(calls.turn("a", Phase::Taken, Some(3), None).is_some_and(|call| call.by_device == Some(3)));
        assert!(calls.turn("a", Phase::Ended, None, Some("timeout".to_owned())).is_some());
        assert!(calls.turn("a", Phase::Taken, Some(4), None).is_none());
        assert!(calls.turn("b", Phase::Ended, None, None).is_none());
        for number in 0..CALL_LIMIT {
            calls.begin(call(&number.to_string()));
        }
        assert!(calls.find("a").is_none());
    }
}
