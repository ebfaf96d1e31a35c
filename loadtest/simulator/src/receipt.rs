//! Receipts: what they retire, and to whom they go on.

use std::sync::Arc;

use bytes::Bytes;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, NodeRef};

use crate::account::{Account, Outgoing};
use crate::address::{Address, Addressing, PHONE};
use crate::groups;
use crate::handset::{Job, Task};
use crate::queue::Class;
use crate::stanza;
use crate::world::World;

/// Receipt types that only tell the server that a device has something; nobody else hears of them.
const SERVER_ONLY: [&str; 6] = ["sender", "peer_msg", "read-self", "played-self", "hist_sync", "server-error"];

/// What a receipt holds that is about a call (`wacore::stanza::call`).
const CALLS: [&str; 3] = ["offer", "accept", "reject"];

/// Who sent a receipt, as the other side sees it: a device, or a participant of a group.
pub(crate) struct Origin {
    from: Jid,
    participant: Option<Jid>,
    /// The participant's phone number, where groups name people by LID.
    participant_pn: Option<Jid>,
}

impl Origin {
    pub(crate) fn new(account: &Account, device: u16, addressing: Addressing, group: Option<u64>) -> Self {
        let jid = account.jid(device, addressing);
        let Some(group) = group else {
            return Self { from: jid, participant: None, participant_pn: None };
        };
        let pn = (addressing == Addressing::Lid).then(|| account.jid(device, Addressing::Pn));
        Self { from: groups::jid(group), participant: Some(jid), participant_pn: pn }
    }

    /// Adds the attributes that say it.
    pub(crate) fn sign(&self, builder: NodeBuilder) -> NodeBuilder {
        let mut builder = builder.attr("from", &self.from);
        if let Some(participant) = &self.participant {
            builder = builder.attr("participant", participant);
        }
        if let Some(pn) = &self.participant_pn {
            builder = builder.attr("participant_pn", pn);
        }
        builder
    }
}

/// Whose messages a receipt or ack of a client is about.
struct Subject {
    writer: Arc<Account>,
    /// The device it names.
    jid: Jid,
    group: Option<u64>,
}

impl Subject {
    /// Groups name the writer beside the chat.
    fn of(world: &World, to: &Jid, node: &NodeRef<'_>) -> Option<Self> {
        let group = groups::id_of(to);
        let jid = if group.is_some() { stanza::attr_jid(node, "participant")? } else { to.clone() };
        Some(Self { writer: world.directory.locate(&jid)?, jid, group })
    }
}

/// A receipt on its way to whoever wrote the messages.
pub(crate) struct Receipt<'a> {
    pub(crate) from: Origin,
    pub(crate) from_phone: u64,
    pub(crate) ids: &'a [String],
    /// `None` is delivery.
    pub(crate) kind: Option<&'a str>,
}

/// What a client's receipt leads to.
pub(crate) struct Handled {
    /// The server's ack for it.
    pub(crate) reply: Option<Node>,
    pub(crate) jobs: Vec<Job>,
}

/// Takes a receipt of a companion.
pub(crate) fn handle(world: &World, account: &Arc<Account>, device: u16, node: &NodeRef<'_>) -> Handled {
    let ids = stanza::receipt_ids(node);
    let to = stanza::attr_jid(node, "to");
    let (Some(first), Some(to)) = (ids.first(), to) else {
        return Handled { reply: None, jobs: Vec::new() };
    };
    let kind = stanza::attr(node, "type");
    let reply = Some(ack(first, &to, kind.as_deref(), node));
    if CALLS.iter().any(|action| node.get_optional_child(action).is_some()) {
        // About a call, not a message: the device rings.
        retire(account, device, Class::Call, &ids, None);
        return Handled { reply, jobs: Vec::new() };
    }
    let Some(subject) = Subject::of(world, &to, node) else {
        return Handled { reply, jobs: Vec::new() };
    };
    let writer = Arc::clone(&subject.writer);
    if kind.as_deref() == Some("server-error") {
        tell_media_missing(world, account, device, first, node);
        return Handled { reply, jobs: Vec::new() };
    }
    let retry = matches!(kind.as_deref(), Some("retry" | "enc_rekey_retry"));
    if !retry {
        retire(account, device, Class::Message, &ids, Some(writer.phone));
    }
    let addressing = Addressing::of(&subject.jid).unwrap_or(Addressing::Pn);
    let mut jobs = Vec::new();
    if retry {
        account.state().ledger.retry_receipts_sent += 1;
        jobs.extend(forward_retry(world, account, device, &subject, node));
    } else if !kind.as_deref().is_some_and(|kind| SERVER_ONLY.contains(&kind)) && writer.phone != account.phone {
        let from = Origin::new(account, device, addressing, subject.group);
        let receipt = Receipt { from, from_phone: account.phone, ids: &ids, kind: kind.as_deref() };
        if relay(world, &writer, &receipt) {
            let read = matches!(kind.as_deref(), Some("read" | "played"));
            jobs.push(Job { account: writer, task: Task::Receipt { read, count: ids.len() as u64 } });
        }
    }
    Handled { reply, jobs }
}

/// A companion misses a file on the media host and asks the phone of whoever sent it (`<rmr>`) to bring it again. Phones
/// here keep no files beside those on the host: the answer is that it is not there.
fn tell_media_missing(world: &World, account: &Account, device: u16, id: &str, node: &NodeRef<'_>) {
    let Some(about) = node.get_optional_child_by_tag(&["rmr"]) else { return };
    let Some(chat) = stanza::attr_jid(about, "jid") else { return };
    let error = NodeBuilder::new("error").attr("code", "2").build();
    let told = NodeBuilder::new("notification")
        .attr("type", "mediaretry")
        .attr("id", id)
        .attr("from", &chat)
        .attr("t", stanza::unix_seconds())
        .children([error])
        .build();
    let Ok(marshaled) = wacore_binary::marshal(&told) else { return };
    let stanza = Bytes::from(marshaled);
    account.enqueue(
        world,
        device,
        Outgoing { class: Class::Notification, id: id.to_owned(), from: 0, stanza, noted_from: None },
    );
}

/// Takes an `<ack class id to>` of a companion.
pub(crate) fn handle_ack(world: &World, account: &Account, device: u16, node: &NodeRef<'_>) {
    let class = match stanza::attr(node, "class").as_deref() {
        Some("message") => Class::Message,
        Some("receipt") => Class::Receipt,
        Some("notification") => Class::Notification,
        Some("call") => Class::Call,
        _ => return,
    };
    let Some(id) = stanza::attr(node, "id") else { return };
    let from = match class {
        Class::Message => {
            let subject = stanza::attr_jid(node, "to").and_then(|to| Subject::of(world, &to, node));
            subject.map(|subject| subject.writer.phone)
        }
        _ => None,
    };
    retire(account, device, class, std::slice::from_ref(&id), from);
}

fn retire(account: &Account, device: u16, class: Class, ids: &[String], from: Option<u64>) {
    let mut state = account.state();
    let state = &mut *state;
    let Some(target) = state.devices.get_mut(&device) else { return };
    for id in ids {
        for place in target.queue.retire(class, id, from).into_iter().flatten() {
            state.ledger.acked(place);
        }
    }
    account.touch();
}

/// Queues a receipt for every companion of the writer; `false` when injected trouble swallowed it.
pub(crate) fn relay(world: &World, writer: &Account, receipt: &Receipt<'_>) -> bool {
    let swallowed = writer.state().trouble.swallows_receipt() || world.trouble().swallows_receipt();
    if swallowed {
        world.counters.receipts_withheld.one();
        return false;
    }
    let Some((first, rest)) = receipt.ids.split_first() else { return false };
    let mut builder =
        receipt.from.sign(NodeBuilder::new("receipt")).attr("id", first.as_str()).attr("t", stanza::unix_seconds());
    if let Some(kind) = receipt.kind {
        builder = builder.attr("type", kind);
    }
    if !rest.is_empty() {
        let items = rest.iter().map(|id| NodeBuilder::new("item").attr("id", id.as_str()).build());
        builder = builder.children([NodeBuilder::new("list").children(items).build()]);
    }
    let Ok(marshaled) = wacore_binary::marshal(&builder.build()) else { return false };
    let stanza = Bytes::from(marshaled);
    writer.enqueue_for_all(world, |_| Outgoing {
        class: Class::Receipt,
        id: first.clone(),
        from: receipt.from_phone,
        stanza: stanza.clone(),
        noted_from: None,
    });
    world.counters.receipts_relayed.one();
    true
}

/// Queues a retry receipt for the one device that can encrypt the message again.
pub(crate) fn relay_retry(world: &World, writer: &Account, device: u16, from: u64, id: &str, node: &Node) {
    writer.state().ledger.retry_receipts_received += 1;
    world.counters.retry_receipts.one();
    let Ok(marshaled) = wacore_binary::marshal(node) else { return };
    let outgoing =
        Outgoing { class: Class::Receipt, id: id.to_owned(), from, stanza: Bytes::from(marshaled), noted_from: None };
    writer.enqueue(world, device, outgoing);
}

fn forward_retry(world: &World, account: &Account, device: u16, subject: &Subject, node: &NodeRef<'_>) -> Option<Job> {
    let id = stanza::attr(node, "id")?;
    let addressing = Addressing::of(&subject.jid)?;
    let group = match subject.group {
        // A phone's post is not encrypted again: it goes to the next ones.
        Some(groups::STATUS) if subject.jid.device == PHONE => return None,
        Some(groups::STATUS) | None => None,
        Some(group) => Some(world.groups.get(group)?),
    };
    if subject.jid.device == PHONE {
        world.counters.retry_receipts.one();
        let task = Task::Resend { to: Address { phone: account.phone, device }, addressing, group, id };
        return Some(Job { account: Arc::clone(&subject.writer), task });
    }
    let mut forwarded = Origin::new(account, device, addressing, subject.group)
        .sign(NodeBuilder::new("receipt"))
        .attr("id", id.as_str())
        .attr("type", stanza::attr(node, "type")?)
        .attr("t", stanza::unix_seconds());
    for key in ["recipient", "category"] {
        if let Some(value) = node.get_attr(key) {
            forwarded = forwarded.attr(key, value.to_node_value());
        }
    }
    let children = node.children().unwrap_or_default().iter().map(NodeRef::to_owned);
    let forwarded = forwarded.children(children).build();
    relay_retry(world, &subject.writer, subject.jid.device, account.phone, &id, &forwarded);
    None
}

/// `<ack class="receipt" id from [type] [participant]>`.
fn ack(id: &str, to: &Jid, kind: Option<&str>, node: &NodeRef<'_>) -> Node {
    let mut builder = NodeBuilder::new("ack").attr("class", "receipt").attr("id", id).attr("from", to);
    if let Some(kind) = kind {
        builder = builder.attr("type", kind);
    }
    if let Some(participant) = node.get_attr("participant") {
        builder = builder.attr("participant", participant.to_node_value());
    }
    builder.build()
}
