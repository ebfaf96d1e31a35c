//! Messages of clients: accepted, noted, fanned out to every device they were encrypted for, acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use wacore::messages::MessageUtils;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, JidExt as _, Node, NodeRef, Server};

use crate::account::{Account, Outgoing};
use crate::address::{Address, Addressing, PHONE};
use crate::groups::relay::{self, Letter};
use crate::groups::{self, Group, Refusal};
use crate::handset::{Ciphertext, Encryption, Incoming, Job, Task};
use crate::queue::Class;
use crate::trouble::{self, Verdict};
use crate::world::World;
use crate::{newsletters, profile, stanza, tokens};

/// Children of a message that recipients get as they are, besides their own `<enc>`.
pub(crate) const FORWARDED: [&str; 2] = ["meta", "biz"];

/// What a message leads to.
#[derive(Default)]
pub(crate) struct Handled {
    /// The server's answer, and how long to hold it back.
    pub(crate) reply: Option<(Duration, Node)>,
    pub(crate) jobs: Vec<Job>,
}

/// Where a message goes.
enum Chat {
    Direct(Arc<Account>),
    Group(Arc<Group>),
    /// `status@broadcast`.
    Status,
}

impl Chat {
    /// The chat of an address, if this account may write to it now.
    fn open(world: &World, sender: &Account, to: &Jid, node: &NodeRef<'_>) -> Result<Self, u16> {
        if to.is_status_broadcast() {
            return relay::check_status(node).map(|()| Self::Status).map_err(|refusal| refusal.code);
        }
        if !to.is_group() {
            return world.directory.locate(to).map(Self::Direct).ok_or(404);
        }
        let group = groups::id_of(to).and_then(|id| world.groups.get(id)).ok_or(Refusal::NO_GROUP.code)?;
        let admitted = group.may_write(sender.phone).and_then(|()| relay::check_addressing(&group, node));
        admitted.map(|()| Self::Group(group)).map_err(|refusal| refusal.code)
    }
}

/// One direct message being relayed.
struct Relay<'a> {
    world: &'a World,
    sender: &'a Arc<Account>,
    device: u16,
    recipient: &'a Arc<Account>,
    to: &'a Jid,
    id: &'a str,
    node: &'a NodeRef<'a>,
    timestamp: u64,
    jobs: Vec<Job>,
    /// The devices it was encrypted for.
    reached: BTreeSet<Address>,
    /// The addressing of the fan-out; clients may address devices otherwise than the chat.
    fanout: Option<Addressing>,
}

/// Takes a message of a companion. `raw` is the marshaled stanza, for the ledger.
pub(crate) fn handle(world: &World, sender: &Arc<Account>, device: u16, node: &NodeRef<'_>, raw: &[u8]) -> Handled {
    let (Some(id), Some(to)) = (stanza::attr(node, "id"), stanza::attr_jid(node, "to")) else {
        world.counters.protocol_errors.one();
        return Handled::default();
    };
    if to.server == Server::Newsletter {
        return to_newsletter(world, sender, device, node, (&id, &to));
    }
    let chat = match Chat::open(world, sender, &to, node) {
        Ok(chat) => chat,
        Err(code) => {
            world.counters.messages_nacked.one();
            return refused(&id, &to, code);
        }
    };
    let peer = stanza::attr_is(node, "category", "peer");
    if let Chat::Direct(recipient) = &chat
        && let Some(code) = refuses(world, sender, recipient, node)
    {
        sender.state().ledger.nacked += 1;
        world.counters.messages_restricted.one();
        return refused(&id, &to, code);
    }
    let verdict = if peer { Verdict::Relay { ack: Some(Duration::ZERO) } } else { judge(world, sender) };
    let ack = match verdict {
        Verdict::Drop => {
            sender.state().ledger.swallowed += 1;
            world.counters.messages_dropped.one();
            return Handled::default();
        }
        Verdict::Nack(code) => {
            sender.state().ledger.nacked += 1;
            world.counters.messages_nacked.one();
            return refused(&id, &to, code);
        }
        Verdict::Relay { ack } => ack,
    };
    if !peer {
        let copies = sender.state().ledger.accept(&id, to.to_string(), raw, world.options.ledger_limit);
        world.counters.messages_accepted.one();
        if copies > 1 && world.options.dedupe_repeated_ids {
            world.counters.messages_deduplicated.one();
            let reply = ack.map(|delay| (delay, acknowledged(&id, &to, None)));
            return Handled { reply, jobs: Vec::new() };
        }
    }
    let (jobs, phash) = match &chat {
        Chat::Direct(recipient) => {
            if profile::acquaint(sender, recipient) {
                trouble::begin_chat(world, sender);
            }
            let mut relay = Relay::new(world, sender, device, recipient, &to, &id, node);
            relay.fan_out();
            let phash = if peer { None } else { relay.participant_hash() };
            (relay.jobs, phash)
        }
        Chat::Group(group) => {
            let letter = Letter::read(world, sender, device, &id, node);
            (relay::deliver(world, group, &letter), relay::participant_hash(world, group, node))
        }
        Chat::Status => {
            let letter = Letter::read(world, sender, device, &id, node);
            (relay::post(world, node, &letter), None)
        }
    };
    Handled { reply: ack.map(|delay| (delay, acknowledged(&id, &to, phash))), jobs }
}

/// Why a message to this account is refused: limits of the sender, or what the recipient asks to be shown.
fn refuses(world: &World, sender: &Account, recipient: &Account, node: &NodeRef<'_>) -> Option<u16> {
    let limit = trouble::refuses(world, sender, recipient);
    limit.or_else(|| (!tokens::admit(recipient, sender, node)).then_some(tokens::MISSING))
}

/// Posts are not encrypted and go to no phone.
fn to_newsletter(world: &World, sender: &Arc<Account>, device: u16, node: &NodeRef<'_>, (id, to): (&str, &Jid)) -> Handled {
    let received = world.newsletters.get(to).and_then(|found| newsletters::receive(world, &found, sender, device, node));
    match received {
        Ok(received) => {
            world.counters.messages_accepted.one();
            let mut reply = acknowledged(id, to, None);
            reply.attrs.insert("server_id", received.server_id.to_string());
            Handled { reply: Some((Duration::ZERO, reply)), jobs: Vec::new() }
        }
        Err(refusal) => {
            world.counters.messages_nacked.one();
            refused(id, to, refusal.code())
        }
    }
}

/// The account's own trouble goes before everybody's.
fn judge(world: &World, sender: &Account) -> Verdict {
    let own = sender.state().trouble.judge();
    match own {
        Verdict::Relay { ack: Some(Duration::ZERO) } => world.trouble().judge(),
        decided => decided,
    }
}

impl<'a> Relay<'a> {
    fn new(
        world: &'a World,
        sender: &'a Arc<Account>,
        device: u16,
        recipient: &'a Arc<Account>,
        to: &'a Jid,
        id: &'a str,
        node: &'a NodeRef<'a>,
    ) -> Self {
        Self {
            world,
            sender,
            device,
            recipient,
            to,
            id,
            node,
            timestamp: stanza::unix_seconds(),
            jobs: Vec::new(),
            reached: BTreeSet::new(),
            fanout: None,
        }
    }

    fn fan_out(&mut self) {
        let node = self.node;
        if let Some(participants) = node.get_optional_child("participants") {
            for to in participants.get_children_by_tag("to") {
                if let (Some(jid), Some(enc)) = (stanza::attr_jid(to, "jid"), to.get_optional_child("enc")) {
                    self.hand_over(&jid, enc);
                }
            }
        }
        // Without a fan-out the one ciphertext is for the addressed device: peer messages, and single-device chats.
        if let Some(enc) = node.get_optional_child("enc") {
            let to = self.to.clone();
            self.hand_over(&to, enc);
        }
    }

    fn hand_over(&mut self, jid: &Jid, enc: &NodeRef<'_>) {
        let Some(target) = self.world.directory.locate(jid) else { return };
        let concerned = target.phone == self.recipient.phone || target.phone == self.sender.phone;
        if !concerned {
            return;
        }
        if target.state().blocked.contains(self.sender.phone) {
            // It counts as reached: the sender must not learn of it.
            self.reached.insert(Address { phone: target.phone, device: jid.device });
            return;
        }
        let addressing = Addressing::of(jid).unwrap_or(Addressing::Pn);
        self.fanout.get_or_insert(addressing);
        self.reached.insert(Address { phone: target.phone, device: jid.device });
        if jid.device == PHONE {
            self.hand_to_phone(target, enc);
        } else {
            self.hand_to_companion(&target, jid.device, enc);
        }
    }

    fn hand_to_phone(&mut self, target: Arc<Account>, enc: &NodeRef<'_>) {
        let kind = stanza::attr(enc, "type").unwrap_or_default();
        let incoming = Incoming {
            from: Address { phone: self.sender.phone, device: self.device },
            addressing: self.addressing(),
            id: self.id.to_owned(),
            timestamp: self.timestamp,
            group: None,
            ciphertexts: vec![Ciphertext {
                encryption: Encryption::parse(&kind),
                bytes: enc.content_bytes().unwrap_or_default().to_vec(),
            }],
        };
        self.jobs.push(Job { account: target, task: Task::Receive(Box::new(incoming)) });
    }

    fn hand_to_companion(&self, target: &Account, device: u16, enc: &NodeRef<'_>) {
        let addressing = self.addressing();
        let from = self.sender.jid(self.device, addressing);
        let noted_from = (!stanza::attr_is(self.node, "category", "peer")).then(|| from.to_string());
        let node = self.inbound(target, from, addressing, enc);
        let Ok(marshaled) = wacore_binary::marshal(&node) else { return };
        let outgoing = Outgoing {
            class: Class::Message,
            id: self.id.to_owned(),
            from: self.sender.phone,
            stanza: Bytes::from(marshaled),
            noted_from,
        };
        if target.enqueue(self.world, device, outgoing) {
            self.world.counters.messages_relayed.one();
        }
    }

    /// The chat's addressing is that of the `to` the sender chose. What devices of one account tell each other comes under
    /// the name that the account goes by: clients expect it by LID once their chats are.
    fn addressing(&self) -> Addressing {
        if stanza::attr_is(self.node, "category", "peer") {
            return crate::bundle::addressing_of(self.sender);
        }
        Addressing::of(self.to).unwrap_or(Addressing::Pn)
    }

    /// The stanza as the target sees it. A sender's own devices see its address and the `recipient`; others see the
    /// sender under the name the chat uses, and the other name beside it.
    fn inbound(&self, target: &Account, from: Jid, addressing: Addressing, enc: &NodeRef<'_>) -> Node {
        let name = self.sender.state().name.clone();
        let kind = stanza::attr(self.node, "type").unwrap_or_else(|| "text".to_owned());
        let mut builder = NodeBuilder::new("message")
            .attr("from", from)
            .attr("id", self.id)
            .attr("t", self.timestamp)
            .attr("type", kind)
            .attr("notify", name);
        for key in ["category", "edit"] {
            if let Some(value) = self.node.get_attr(key) {
                builder = builder.attr(key, value.to_node_value());
            }
        }
        if target.phone == self.sender.phone {
            if !stanza::attr_is(self.node, "category", "peer") {
                builder = builder.attr("recipient", self.to.to_non_ad());
                if addressing == Addressing::Lid {
                    builder = builder.attr("peer_recipient_pn", self.recipient.jid(PHONE, Addressing::Pn));
                }
            }
        } else {
            builder = match addressing {
                Addressing::Pn => builder.attr("sender_lid", self.sender.jid(self.device, Addressing::Lid)),
                Addressing::Lid => builder.attr("sender_pn", self.sender.jid(self.device, Addressing::Pn)),
            };
        }
        let mut children = vec![enc.to_owned()];
        if stanza::attr_is(enc, "type", "pkmsg")
            && let Some(identity) = self.node.get_optional_child("device-identity")
        {
            children.push(identity.to_owned());
        }
        for child in self.node.children().unwrap_or_default() {
            if FORWARDED.contains(&child.tag.as_ref()) {
                children.push(child.to_owned());
            }
        }
        builder.children(children).build()
    }

    /// The hash over the devices that should have been reached, when the sender reached others: it learns from it that
    /// its device list is stale.
    fn participant_hash(&self) -> Option<String> {
        let addressing = self.fanout?;
        let mut expected: BTreeSet<Address> = BTreeSet::new();
        for account in [self.recipient, self.sender] {
            expected.extend(account.device_ids().into_iter().map(|device| Address { phone: account.phone, device }));
        }
        expected.remove(&Address { phone: self.sender.phone, device: self.device });
        if expected == self.reached {
            return None;
        }
        let jids: Vec<Jid> = expected
            .into_iter()
            .map(|address| {
                let account = if address.phone == self.sender.phone { self.sender } else { self.recipient };
                account.jid(address.device, addressing)
            })
            .collect();
        MessageUtils::participant_list_hash(&jids).ok()
    }
}

fn acknowledged(id: &str, to: &Jid, phash: Option<String>) -> Node {
    let mut builder =
        NodeBuilder::new("ack").attr("class", "message").attr("id", id).attr("from", to).attr("t", stanza::unix_seconds());
    if let Some(phash) = phash {
        builder = builder.attr("phash", phash);
    }
    builder.build()
}

fn refused(id: &str, to: &Jid, code: u16) -> Handled {
    let node = NodeBuilder::new("ack")
        .attr("class", "message")
        .attr("id", id)
        .attr("from", to)
        .attr("t", stanza::unix_seconds())
        .attr("error", code)
        .build();
    Handled { reply: Some((Duration::ZERO, node)), jobs: Vec::new() }
}
