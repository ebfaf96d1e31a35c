//! Who is there, and who is typing: relayed to whoever asked or is concerned, kept nowhere but in a short list for tests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeRef};

use crate::account::{Account, Outgoing, State};
use crate::address::{Addressing, PHONE};
use crate::groups::{self, Group};
use crate::privacy::{self, Matter};
use crate::queue::Class;
use crate::stanza;
use crate::tokens;
use crate::world::World;

/// Accounts that are told about one account's presence; one more is not.
const SUBSCRIBERS: usize = 1_024;
/// Signs noted for one account; the oldest goes.
const NOTES: usize = 1_000;

/// The presence of one account. Not kept over a restart.
#[derive(Default)]
pub(crate) struct Presence {
    /// Companions that said they are there.
    available: BTreeSet<u16>,
    /// What a test said about a person; without it, a phone that is online is there.
    said: Option<bool>,
    /// When it was last there, in Unix seconds.
    last_seen: Option<u64>,
    /// By phone number, with the addressing under which each asked.
    subscribers: BTreeMap<u64, Addressing>,
    noted: VecDeque<Sign>,
}

/// A sign of life somebody got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Sign {
    /// A phone number.
    pub(crate) from: String,
    pub(crate) state: &'static str,
    /// The group it was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    pub(crate) at_ms: u64,
}

/// What somebody does in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Doing {
    Composing,
    Recording,
    Paused,
}

impl Doing {
    fn read(node: &NodeRef<'_>) -> Self {
        match node.get_optional_child("composing") {
            Some(composing) if stanza::attr_is(composing, "media", "audio") => Self::Recording,
            Some(_) => Self::Composing,
            None => Self::Paused,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Composing => "composing",
            Self::Recording => "recording",
            Self::Paused => "paused",
        }
    }

    fn node(self) -> Node {
        match self {
            Self::Composing => stanza::leaf("composing"),
            Self::Recording => NodeBuilder::new("composing").attr("media", "audio").build(),
            Self::Paused => stanza::leaf("paused"),
        }
    }
}

impl Presence {
    fn note(&mut self, from: u64, state: &'static str, group: Option<String>) {
        if self.noted.len() >= NOTES {
            self.noted.pop_front();
        }
        self.noted.push_back(Sign { from: from.to_string(), state, group, at_ms: stanza::unix_millis() });
    }

    /// Oldest first.
    pub(crate) fn noted(&self) -> Vec<Sign> {
        self.noted.iter().cloned().collect()
    }

    pub(crate) fn forget_noted(&mut self) {
        self.noted.clear();
    }
}

/// Whether an account is there: a companion said so, or, of a person, its phone is online.
fn is_available(account: &Account) -> bool {
    let state = account.state();
    let person = state.devices.is_empty() && state.habits.online;
    state.presence.said.unwrap_or(person) || !state.presence.available.is_empty()
}

/// Takes `<presence>` of a companion: its name, that it is there or not, a subscription.
pub(crate) fn take(world: &World, account: &Arc<Account>, device: u16, node: &NodeRef<'_>) {
    if let Some(name) = stanza::attr(node, "name").filter(|name| name.len() <= 256) {
        account.state().name = name;
        account.touch();
    }
    let other = stanza::attr_jid(node, "to").and_then(|to| Some((world.directory.locate(&to)?, Addressing::of(&to)?)));
    match (stanza::attr(node, "type").as_deref(), other) {
        (Some("available"), _) => change(world, account, |state| state.presence.available.extend([device])),
        (Some("unavailable"), _) => gone(world, account, device),
        // Who may not know is told nothing.
        (Some("subscribe"), Some((target, addressing)))
            if tokens::admit(&target, account, node) && privacy::allows(&target, account, Matter::Presence) =>
        {
            subscribe(world, account, &target, addressing);
        }
        (Some("unsubscribe"), Some((target, _))) => {
            target.state().presence.subscribers.remove(&account.phone);
        }
        _ => {}
    }
}

/// A companion's connection ended, or it said that it is away.
pub(crate) fn gone(world: &World, account: &Arc<Account>, device: u16) {
    change(world, account, |state| state.presence.available.retain(|known| *known != device));
}

/// Says of a person that it is there or not.
pub(crate) fn say(world: &World, account: &Arc<Account>, available: bool) {
    change(world, account, |state| state.presence.said = Some(available));
}

/// From now on, and at once, the asker hears of the target's presence.
pub(crate) fn subscribe(world: &World, asker: &Arc<Account>, target: &Arc<Account>, addressing: Addressing) {
    {
        let mut state = target.state();
        let subscribers = &mut state.presence.subscribers;
        if subscribers.len() < SUBSCRIBERS || subscribers.contains_key(&asker.phone) {
            subscribers.insert(asker.phone, addressing);
        }
    }
    tell(world, target, asker, addressing, is_available(target));
}

/// Changes an account; whoever asked is told when it is there or gone by that.
pub(crate) fn change<T>(world: &World, account: &Arc<Account>, apply: impl FnOnce(&mut State) -> T) -> T {
    let before = is_available(account);
    let applied = apply(&mut account.state());
    let after = is_available(account);
    if before == after {
        return applied;
    }
    let subscribers = {
        let mut state = account.state();
        if before {
            state.presence.last_seen = Some(stanza::unix_seconds());
        }
        state.presence.subscribers.clone()
    };
    for (phone, addressing) in subscribers {
        if let Some(asker) = world.directory.by_phone(phone) {
            tell(world, account, &asker, addressing, after);
        }
    }
    applied
}

fn tell(world: &World, about: &Account, asker: &Account, addressing: Addressing, available: bool) {
    let last_seen = about.state().presence.last_seen;
    let mut node = NodeBuilder::new("presence").attr("from", about.jid(PHONE, addressing));
    if !available {
        node = node.attr("type", "unavailable");
        node = match last_seen {
            Some(seconds) => node.attr("last", seconds.to_string()),
            None => node.attr("last", "deny"),
        };
    }
    asker.state().presence.note(about.phone, if available { "available" } else { "unavailable" }, None);
    send(world, about, asker, &node.build());
}

/// Takes `<chatstate>` of a companion and passes it on.
pub(crate) fn chat_state(world: &World, account: &Arc<Account>, node: &NodeRef<'_>) {
    let Some(to) = stanza::attr_jid(node, "to") else { return };
    let doing = Doing::read(node);
    if let Some(group) = groups::id_of(&to).and_then(|id| world.groups.get(id)) {
        do_in_group(world, account, &group, doing);
    } else if let (Some(target), Some(addressing)) = (world.directory.locate(&to), Addressing::of(&to)) {
        do_in_chat(world, account, &target, addressing, doing);
    }
}

/// Typing in a group goes to every other member; of somebody who is no member, to nobody.
pub(crate) fn do_in_group(world: &World, account: &Account, group: &Group, doing: Doing) {
    let members = group.members();
    if !members.contains(&account.phone) {
        return;
    }
    let node = NodeBuilder::new("chatstate")
        .attr("from", group.jid())
        .attr("participant", account.jid(PHONE, group.addressing))
        .children([doing.node()])
        .build();
    for target in members.into_iter().filter_map(|phone| world.directory.by_phone(phone)) {
        if target.phone != account.phone {
            target.state().presence.note(account.phone, doing.name(), Some(group.jid().to_string()));
            send(world, account, &target, &node);
        }
    }
}

/// Typing goes to every device of the other side that is there now.
pub(crate) fn do_in_chat(world: &World, account: &Account, target: &Account, addressing: Addressing, doing: Doing) {
    let node = NodeBuilder::new("chatstate").attr("from", account.jid(PHONE, addressing)).children([doing.node()]).build();
    if target.state().blocked.contains(account.phone) {
        return;
    }
    target.state().presence.note(account.phone, doing.name(), None);
    send(world, account, target, &node);
}

fn send(world: &World, from: &Account, target: &Account, node: &Node) {
    let Ok(marshaled) = wacore_binary::marshal(node) else { return };
    let stanza = Bytes::from(marshaled);
    target.enqueue_for_all(world, |_| Outgoing {
        class: Class::Ephemeral,
        id: String::new(),
        from: from.phone,
        stanza: stanza.clone(),
        noted_from: None,
    });
}
