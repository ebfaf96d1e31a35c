//! Requests of logged-in clients, one answer each. What nobody here knows is answered with 501 and counted, because a
//! client that gets no answer waits for 75 seconds.

mod app_state;
mod communities;
mod encrypt;
mod groups;
mod media;
mod mex;
mod newsletters;
mod profile;
mod settings;
mod tokens;
pub(crate) mod usync;

use std::sync::Arc;

use wacore_binary::{Node, NodeRef};

use crate::account::Account;
use crate::handset::Job;
use crate::stanza;
use crate::world::World;

/// What a connection does after the answer.
pub(crate) enum After {
    Nothing,
    /// Deliver the offline queue, then everything live.
    Activate,
    /// Stop delivering.
    Deactivate,
    /// The client logged itself out.
    Close,
}

/// The answer to one IQ.
pub(crate) struct Answer {
    pub(crate) reply: Option<Node>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) after: After,
}

/// One IQ, with everything an answer may need.
struct Request<'a> {
    world: &'a World,
    account: &'a Arc<Account>,
    device: u16,
    id: &'a str,
    node: &'a NodeRef<'a>,
    set: bool,
}

impl Answer {
    fn reply(node: Node) -> Self {
        Self { reply: Some(node), jobs: Vec::new(), after: After::Nothing }
    }

    fn nothing() -> Self {
        Self { reply: None, jobs: Vec::new(), after: After::Nothing }
    }
}

impl Request<'_> {
    fn done(&self) -> Answer {
        Answer::reply(stanza::iq_result(self.id, Vec::new()))
    }

    fn result(&self, child: Node) -> Answer {
        Answer::reply(stanza::iq_result(self.id, vec![child]))
    }

    fn error(&self, code: u16, text: &'static str) -> Answer {
        Answer::reply(stanza::iq_error(self.id, code, text))
    }

    fn unknown(&self) -> Answer {
        self.world.counters.iq_unknown.one();
        self.error(501, "feature-not-implemented")
    }

    fn child(&self, tag: &str) -> Option<&NodeRef<'_>> {
        self.node.get_optional_child(tag)
    }
}

/// Answers one IQ of a companion. Results and errors of the client's own are not answered.
pub(crate) fn answer(world: &World, account: &Arc<Account>, device: u16, node: &NodeRef<'_>) -> Answer {
    let set = match stanza::attr(node, "type").as_deref() {
        Some("set") => true,
        Some("get") => false,
        _ => return Answer::nothing(),
    };
    let Some(id) = stanza::attr(node, "id") else { return Answer::nothing() };
    let namespace = stanza::attr(node, "xmlns").unwrap_or_default();
    let request = Request { world, account, device, id: &id, node, set };
    match namespace.as_str() {
        "w:p" | "urn:xmpp:ping" => request.done(),
        "passive" => passive(&request),
        "encrypt" => encrypt::answer(&request),
        "usync" => usync::answer(&request),
        "w:sync:app:state" => app_state::answer(&request),
        "md" => linked_devices(&request),
        "w:g2" => groups::answer(&request),
        "w:m" => media::answer(&request),
        "w:profile:picture" => profile::picture(&request),
        "status" => profile::status(&request),
        "w:biz" => profile::business(&request),
        "w:mex" => mex::answer(&request),
        "newsletter" => newsletters::posts(&request),
        _ => settings::answer(&request, &namespace),
    }
}

fn passive(request: &Request<'_>) -> Answer {
    let after = if request.child("active").is_some() { After::Activate } else { After::Deactivate };
    Answer { after, ..request.done() }
}

/// A client that logs out removes itself from the account.
fn linked_devices(request: &Request<'_>) -> Answer {
    if !request.set || request.child("remove-companion-device").is_none() {
        return request.unknown();
    }
    {
        let mut state = request.account.state();
        state.devices.remove(&request.device);
        state.devices_changed();
    }
    request.account.touch();
    Answer { after: After::Close, ..request.done() }
}
