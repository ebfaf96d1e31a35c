//! Messages to groups on their way to every device of every member: one ciphertext for all, and beside it, for those
//! that need one, the sender key under their own session.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use super::{Group, Refusal, STATUS, mode};
use crate::account::{Account, Outgoing};
use crate::address::{Address, Addressing, PHONE};
use crate::handset::{Ciphertext, Incoming, Job, Task};
use crate::message::FORWARDED;
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// People named in one post to `status@broadcast`.
const AUDIENCE_LIMIT: usize = 5_000;

/// One message to a group, as its author sealed it.
pub(crate) struct Letter<'a> {
    pub(crate) sender: &'a Arc<Account>,
    pub(crate) device: u16,
    pub(crate) id: &'a str,
    pub(crate) timestamp: u64,
    /// `text`, `media`, `reaction` ...
    pub(crate) kind: String,
    pub(crate) edit: Option<String>,
    /// What only one device can open: sender keys, and messages encrypted again for a device that asked.
    pub(crate) own: BTreeMap<Address, Node>,
    /// What every holder of the author's sender key can open.
    pub(crate) shared: Option<Node>,
    /// `<device-identity>`, and what else goes along as it is.
    pub(crate) identity: Option<Node>,
    pub(crate) forwarded: Vec<Node>,
}

impl<'a> Letter<'a> {
    /// Reads a companion's stanza. With a `participant`, it is for that device alone.
    pub(crate) fn read(world: &World, sender: &'a Arc<Account>, device: u16, id: &'a str, node: &NodeRef<'_>) -> Self {
        let mut own = BTreeMap::new();
        let mut shared = None;
        if let Some(participants) = node.get_optional_child("participants") {
            for to in participants.get_children_by_tag("to") {
                if let (Some(jid), Some(enc)) = (stanza::attr_jid(to, "jid"), to.get_optional_child("enc"))
                    && let Some(account) = world.directory.locate(&jid)
                {
                    own.insert(Address { phone: account.phone, device: jid.device }, enc.to_owned());
                }
            }
        }
        let only = stanza::attr_jid(node, "participant");
        for enc in node.get_children_by_tag("enc") {
            match &only {
                Some(jid) => {
                    if let Some(account) = world.directory.locate(jid) {
                        own.insert(Address { phone: account.phone, device: jid.device }, enc.to_owned());
                    }
                }
                None => shared = Some(enc.to_owned()),
            }
        }
        let children = node.children().unwrap_or_default().iter();
        Self {
            sender,
            device,
            id,
            timestamp: stanza::unix_seconds(),
            kind: stanza::attr(node, "type").unwrap_or_else(|| "text".to_owned()),
            edit: stanza::attr(node, "edit"),
            own,
            shared,
            identity: node.get_optional_child("device-identity").map(NodeRef::to_owned),
            forwarded: children.filter(|child| FORWARDED.contains(&child.tag.as_ref())).map(NodeRef::to_owned).collect(),
        }
    }
}

/// Whether a companion's stanza is addressed as the group is.
pub(crate) fn check_addressing(group: &Group, node: &NodeRef<'_>) -> Result<(), Refusal> {
    let named = stanza::attr(node, "addressing_mode");
    if named.is_some_and(|named| named != mode(group.addressing)) { Err(Refusal::WRONG_ADDRESSING) } else { Ok(()) }
}

/// A post says nothing of how it names people; clients report that the server refuses one that does.
pub(crate) fn check_status(node: &NodeRef<'_>) -> Result<(), Refusal> {
    if stanza::attr(node, "addressing_mode").is_some() { Err(Refusal::BAD_POST) } else { Ok(()) }
}

/// The hash over all devices of all members, when the author's own differs: it learns from it that its lists are stale.
/// Clients hash their own sending device along, and send a hash with everything but repetitions for one device.
pub(crate) fn participant_hash(world: &World, group: &Group, node: &NodeRef<'_>) -> Option<String> {
    let claimed = stanza::attr(node, "phash")?;
    let mut devices: Vec<Jid> = Vec::new();
    for account in group.members().into_iter().filter_map(|phone| world.directory.by_phone(phone)) {
        devices.extend(account.device_ids().into_iter().map(|device| account.jid(device, group.addressing)));
    }
    let true_hash = MessageUtils::participant_list_hash(&devices).ok()?;
    (true_hash != claimed).then_some(true_hash)
}

/// Hands a message to every device of every member but the one that wrote it. What follows for phones is returned:
/// the caller queues it, and may be made to wait by it. Nothing happens when the author is not in the group any more.
pub(crate) fn deliver(world: &World, group: &Group, letter: &Letter<'_>) -> Vec<Job> {
    // Held to the end: see the order that `Group` promises.
    let state = group.state();
    if state.rank(letter.sender.phone).is_none() {
        return Vec::new();
    }
    let circle = Circle { number: group.id, addressing: group.addressing, told: true };
    hand_round(world, &circle, letter, state.members.keys().copied())
}

/// Hands a post to `status@broadcast` to its audience, which is in the stanza: whoever the author named, and his own
/// other devices. An account that blocked the author gets none.
pub(crate) fn post(world: &World, node: &NodeRef<'_>, letter: &Letter<'_>) -> Vec<Job> {
    let named = node.get_optional_child("participants").into_iter().flat_map(|list| list.get_children_by_tag("to"));
    let named = named.take(AUDIENCE_LIMIT).filter_map(|to| world.directory.locate(&stanza::attr_jid(to, "jid")?));
    let mut audience: BTreeSet<u64> = named
        .filter(|account| !account.state().blocked.contains(letter.sender.phone))
        .map(|account| account.phone)
        .collect();
    audience.extend(letter.own.keys().map(|address| address.phone));
    audience.insert(letter.sender.phone);
    let circle = Circle { number: STATUS, addressing: Addressing::Lid, told: false };
    hand_round(world, &circle, letter, audience.into_iter())
}

/// Hands a phone's post to these accounts.
pub(crate) fn post_to(world: &World, audience: &[Arc<Account>], letter: &Letter<'_>) -> Vec<Job> {
    let circle = Circle { number: STATUS, addressing: Addressing::Lid, told: false };
    hand_round(world, &circle, letter, audience.iter().map(|account| account.phone))
}

/// Who reads a message together, and how they are named in it.
#[derive(Clone, Copy)]
struct Circle {
    number: u64,
    addressing: Addressing,
    /// Whether the stanza says how: in a group it does.
    told: bool,
}

fn hand_round(world: &World, circle: &Circle, letter: &Letter<'_>, people: impl Iterator<Item = u64>) -> Vec<Job> {
    let name = letter.sender.state().name.clone();
    let envelope = Envelope { circle: *circle, letter, name };
    let common = letter.shared.as_ref().and_then(|shared| envelope.marshaled(std::slice::from_ref(shared), false));
    let mut jobs = Vec::new();
    for account in people.filter_map(|phone| world.directory.by_phone(phone)) {
        for device in account.device_ids() {
            let address = Address { phone: account.phone, device };
            if address == (Address { phone: letter.sender.phone, device: letter.device }) {
                continue;
            }
            let own = letter.own.get(&address);
            if own.is_none() && letter.shared.is_none() {
                continue;
            }
            if device == PHONE {
                jobs.push(Job { account: Arc::clone(&account), task: Task::Receive(Box::new(envelope.incoming(own))) });
            } else {
                let stanza = match own {
                    None => common.clone(),
                    Some(own) => envelope.sealed_for_one(own),
                };
                if let Some(stanza) = stanza {
                    envelope.queue(world, &account, device, stanza);
                }
            }
        }
    }
    jobs
}

/// A letter with what stands on the outside.
struct Envelope<'a> {
    circle: Circle,
    letter: &'a Letter<'a>,
    name: String,
}

impl Envelope<'_> {
    fn author(&self, addressing: Addressing) -> Jid {
        self.letter.sender.jid(self.letter.device, addressing)
    }

    fn sealed_for_one(&self, own: &Node) -> Option<Bytes> {
        let mut sealed = vec![own.clone()];
        // Clients expect the session's ciphertext first: it brings the key to the other one.
        sealed.extend(self.letter.shared.clone());
        let first = own.attrs.get("type").is_some_and(|kind| kind.as_str() == "pkmsg");
        self.marshaled(&sealed, first)
    }

    /// The stanza as companions see it: from the group, by a participant under the name the group uses.
    fn marshaled(&self, sealed: &[Node], with_identity: bool) -> Option<Bytes> {
        let letter = self.letter;
        let mut builder = NodeBuilder::new("message")
            .attr("from", super::jid(self.circle.number))
            .attr("participant", self.author(self.circle.addressing))
            .attr("id", letter.id)
            .attr("t", letter.timestamp)
            .attr("type", letter.kind.as_str())
            .attr("notify", self.name.as_str());
        if self.circle.told {
            builder = builder.attr("addressing_mode", mode(self.circle.addressing));
        }
        builder = match self.circle.addressing {
            Addressing::Lid => builder.attr("participant_pn", self.author(Addressing::Pn)),
            Addressing::Pn => builder.attr("participant_lid", self.author(Addressing::Lid)),
        };
        if let Some(edit) = &letter.edit {
            builder = builder.attr("edit", edit.as_str());
        }
        let mut children = sealed.to_vec();
        if with_identity {
            children.extend(letter.identity.clone());
        }
        children.extend(letter.forwarded.iter().cloned());
        wacore_binary::marshal(&builder.children(children).build()).ok().map(Bytes::from)
    }

    fn queue(&self, world: &World, account: &Account, device: u16, stanza: Bytes) {
        let outgoing = Outgoing {
            class: Class::Message,
            id: self.letter.id.to_owned(),
            from: self.letter.sender.phone,
            stanza,
            noted_from: Some(self.author(self.circle.addressing).to_string()),
        };
        if account.enqueue(world, device, outgoing) {
            world.counters.messages_relayed.one();
        }
    }

    fn incoming(&self, own: Option<&Node>) -> Incoming {
        let letter = self.letter;
        Incoming {
            from: Address { phone: letter.sender.phone, device: letter.device },
            addressing: self.circle.addressing,
            id: letter.id.to_owned(),
            timestamp: letter.timestamp,
            group: Some(self.circle.number),
            ciphertexts: own.into_iter().chain(letter.shared.as_ref()).map(Ciphertext::of).collect(),
        }
    }
}

/// The devices of a group's members but one's own, with their accounts.
pub(crate) fn recipients(world: &World, group: &Group, but: Address) -> Vec<(Arc<Account>, u16)> {
    let accounts: Vec<_> = group.members().into_iter().filter_map(|phone| world.directory.by_phone(phone)).collect();
    devices_of(&accounts, but)
}

/// The devices of these accounts but one.
pub(crate) fn devices_of(accounts: &[Arc<Account>], but: Address) -> Vec<(Arc<Account>, u16)> {
    let devices = accounts.iter().flat_map(|account| {
        let ids = account.device_ids();
        ids.into_iter().map(move |device| (Arc::clone(account), device))
    });
    devices.filter(|(account, device)| (Address { phone: account.phone, device: *device }) != but).collect()
}

/// Who is meant by the devices of a group, as addresses.
pub(crate) fn addresses(devices: &[(Arc<Account>, u16)]) -> BTreeSet<Address> {
    devices.iter().map(|(account, device)| Address { phone: account.phone, device: *device }).collect()
}
