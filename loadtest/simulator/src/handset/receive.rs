//! What a phone does with what arrives: decrypt, note, confirm, read, or ask again.

use wacore::messages::{decode_plaintext, unwrap_device_sent};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Node, NodeContent};
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::whatsapp::Message;

use super::content::{Content, Kind};
use super::{Handset, Job, Task, history, rules};
use crate::account::Account;
use crate::address::{Address, Addressing, PHONE};
use crate::groups;
use crate::receipt::{self, Origin, Receipt};
use crate::stanza;
use crate::world::World;
use std::sync::Arc;
use std::time::Duration;

/// Messages an offline phone holds; the oldest goes first.
const WAITING_LIMIT: usize = 10_000;
/// Retry receipts carry keys from the second one on, as WhatsApp's do.
const KEYS_FROM_RETRY: u8 = wacore::protocol::retry::MIN_RETRY_COUNT_FOR_KEYS;

/// Every further retry receipt for a message waits so long: clients drop one that comes while they are at work on the one
/// before (`retry.rs` of the client library), which the way through the real network makes unlikely.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How a ciphertext was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// `pkmsg`: starts a session.
    PreKey,
    /// `msg`: inside a session.
    Session,
    /// `skmsg`: for everybody in a group who has the author's sender key.
    SenderKey,
}

impl Encryption {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "pkmsg" => Some(Self::PreKey),
            "msg" => Some(Self::Session),
            "skmsg" => Some(Self::SenderKey),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PreKey => "pkmsg",
            Self::Session => "msg",
            Self::SenderKey => "skmsg",
        }
    }
}

/// What one `<enc>` holds.
pub(crate) struct Ciphertext {
    /// `None` for kinds that phones here do not know.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) bytes: Vec<u8>,
}

impl Ciphertext {
    pub(crate) fn of(enc: &Node) -> Self {
        let kind = enc.attrs.get("type").map(|kind| kind.as_str().into_owned()).unwrap_or_default();
        let bytes = match &enc.content {
            Some(NodeContent::Bytes(bytes)) => bytes.to_vec(),
            _ => Vec::new(),
        };
        Self { encryption: Encryption::parse(&kind), bytes }
    }
}

/// One message for a phone.
pub(crate) struct Incoming {
    pub(crate) from: Address,
    pub(crate) addressing: Addressing,
    pub(crate) id: String,
    /// When the server took it, in Unix seconds.
    pub(crate) timestamp: u64,
    /// The group it was written to; `None` in a direct chat.
    pub(crate) group: Option<u64>,
    /// In the order they have to be opened in.
    pub(crate) ciphertexts: Vec<Ciphertext>,
}

/// What decrypting came to.
enum Outcome {
    /// The message, and, of one that another device of the account sent, its chat.
    Opened(Box<Message>, Option<String>),
    Duplicate,
    Failed,
}

/// Takes one message, or holds it while the phone is offline.
pub(super) fn receive(world: &World, account: &Arc<Account>, incoming: Incoming) {
    let habits = account.state().habits;
    if !habits.online {
        let mut handset = account.handset();
        if handset.waiting.len() >= WAITING_LIMIT {
            handset.waiting.pop_front();
            world.counters.queue_overflows.one();
        }
        handset.waiting.push_back(incoming);
        return;
    }
    let own = incoming.from.phone == account.phone;
    let mut handset = account.handset();
    let outcome = open(&mut handset, &incoming);
    let mut text = None;
    let confirmed = match outcome {
        Outcome::Opened(message, chat) => {
            world.counters.handset_decrypted.one();
            if own {
                handset.own_copies += 1;
                if let Some(chat) = chat_of_copy(world, &incoming, chat.as_deref()) {
                    handset.own_messages.note(chat, &incoming.id, &message);
                }
                drop(handset);
                answer_own(world, account, &incoming, &message);
                return;
            }
            let limit = world.options.inbox_limit;
            let content = Content::read(world, &message);
            let fetch = content.awaits_media();
            if habits.echo && content.kind == Kind::Text {
                text.clone_from(&content.text);
            }
            handset.inbox.surface(incoming.from, incoming.addressing, &incoming.id, content, limit);
            if let (Some(group), Some(item)) = (incoming.group, handset.inbox.find(incoming.from.phone, &incoming.id)) {
                item.group = Some(groups::jid(group).to_string());
            }
            if fetch {
                let task = Task::Fetch { from: incoming.from.phone, id: incoming.id.clone() };
                world.handsets.follow_up(Job { account: Arc::clone(account), task });
            }
            true
        }
        Outcome::Duplicate => {
            world.counters.handset_duplicates.one();
            handset.inbox.copy(incoming.from.phone, &incoming.id);
            !own
        }
        Outcome::Failed => {
            world.counters.handset_undecryptable.one();
            handset.undecryptable += 1;
            ask_again(world, account, &mut handset, &incoming);
            false
        }
    };
    drop(handset);
    if !confirmed {
        return;
    }
    rules::react(world, account, &incoming, habits, text);
}

/// Takes what waited for the phone to come online.
pub(super) fn wake(world: &World, account: &Arc<Account>) {
    let (owed_key, waiting) = {
        let mut handset = account.handset();
        (std::mem::take(&mut handset.owed_key), std::mem::take(&mut handset.waiting))
    };
    for device in owed_key {
        super::outbound::share_key(world, account, device, &[]);
    }
    for incoming in waiting {
        receive(world, account, incoming);
    }
}

/// Sends read receipts for messages of the inbox.
pub(super) fn mark_read(world: &World, account: &Arc<Account>, ids: &[String]) {
    let items = account.handset().inbox.by_ids(ids);
    for item in items {
        let addressing = if item.lid_addressed { Addressing::Lid } else { Addressing::Pn };
        let group = item.group.as_deref().and_then(groups::parse_id);
        if let Ok(with) = item.from.parse() {
            let chat = Chat { with, addressing, group };
            confirm(world, account, &chat, std::slice::from_ref(&item.id), Some("read"));
        }
    }
}

/// Opens one ciphertext after the other: the last one is the message, one before it brings the sender key for it.
fn open(handset: &mut Handset, incoming: &Incoming) -> Outcome {
    let mut outcome = Outcome::Failed;
    for ciphertext in &incoming.ciphertexts {
        outcome = open_one(handset, incoming, ciphertext);
        match &outcome {
            Outcome::Opened(message, _) => take_sender_key(handset, incoming, message),
            Outcome::Duplicate => {}
            Outcome::Failed => return outcome,
        }
    }
    outcome
}

fn take_sender_key(handset: &mut Handset, incoming: &Incoming, message: &Message) {
    let distribution = message.sender_key_distribution_message.as_option();
    let key = distribution.and_then(|distribution| distribution.axolotl_sender_key_distribution_message.as_deref());
    if let (Some(group), Some(key)) = (incoming.group, key) {
        // A key that is none leaves the message after it unreadable, which is asked for again.
        let _ = handset.take_sender_key(incoming.from, group, key);
    }
}

fn open_one(handset: &mut Handset, incoming: &Incoming, ciphertext: &Ciphertext) -> Outcome {
    let bytes = &ciphertext.bytes;
    let opened = match (ciphertext.encryption, incoming.group) {
        (Some(Encryption::SenderKey), Some(group)) => handset.decrypt_group(incoming.from, group, bytes),
        (Some(encryption), _) => handset.decrypt(incoming.from, encryption, bytes),
        (None, _) => return Outcome::Failed,
    };
    match opened {
        Ok(padded) => match decode_plaintext(&padded, 2) {
            Ok(message) => {
                let chat = message.device_sent_message.as_option().and_then(|sent| sent.destination_jid.clone());
                Outcome::Opened(Box::new(unwrap_device_sent(message)), chat)
            }
            Err(_) => Outcome::Failed,
        },
        Err(SignalProtocolError::DuplicatedMessage(..)) => Outcome::Duplicate,
        Err(_) => Outcome::Failed,
    }
}

/// The chat of a message that another device of the account sent; what devices tell each other is in none.
fn chat_of_copy(world: &World, incoming: &Incoming, destination: Option<&str>) -> Option<history::Chat> {
    match incoming.group {
        Some(groups::STATUS) => None,
        Some(group) => Some(history::Chat::Group(group)),
        None => history::Chat::parse(world, destination?),
    }
}

/// What a companion may want of its own phone: the app state key, messages that it could not read.
fn answer_own(world: &World, account: &Arc<Account>, incoming: &Incoming, message: &Message) {
    let device = incoming.from.device;
    let Some(protocol) = message.protocol_message.as_option() else { return };
    let task = if let Some(request) = protocol.app_state_sync_key_request.as_option() {
        let requested = request.key_ids.iter().filter_map(|id| id.key_id.clone()).collect();
        Task::ShareKey { device, requested }
    } else if let Some(request) = protocol.peer_data_operation_request_message.as_option() {
        if let Some(asked) = request.history_sync_on_demand_request.as_option() {
            history::answer(world, account, device, &incoming.id, asked);
            return;
        }
        let wanted = request.placeholder_message_resend_request.iter();
        let wanted = wanted.filter_map(|wanted| wanted.message_key.as_option().cloned()).collect();
        Task::ShareMessages { device, request: incoming.id.clone(), wanted }
    } else {
        return;
    };
    world.handsets.follow_up(Job { account: Arc::clone(account), task });
}

/// Where a message came from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chat {
    pub(super) with: u64,
    pub(super) addressing: Addressing,
    pub(super) group: Option<u64>,
}

impl Chat {
    pub(super) fn of(incoming: &Incoming) -> Self {
        Self { with: incoming.from.phone, addressing: incoming.addressing, group: incoming.group }
    }
}

pub(super) fn confirm(world: &World, account: &Account, chat: &Chat, ids: &[String], kind: Option<&str>) {
    let Some(sender) = world.directory.by_phone(chat.with) else { return };
    let from = Origin::new(account, PHONE, chat.addressing, chat.group);
    receipt::relay(world, &sender, &Receipt { from, from_phone: account.phone, ids, kind });
}

/// A retry receipt to the device whose message could not be opened.
fn ask_again(world: &World, account: &Account, handset: &mut Handset, incoming: &Incoming) {
    let Some(count) = handset.next_retry(incoming.from, &incoming.id) else { return };
    handset.retries_sent += 1;
    let retry = NodeBuilder::new("retry")
        .attr("v", "1")
        .attr("id", incoming.id.as_str())
        .attr("t", incoming.timestamp)
        .attr("count", count)
        .build();
    let registration = stanza::bytes("registration", handset.keys.identity.registration.to_be_bytes());
    let mut children = vec![retry, registration];
    if count >= KEYS_FROM_RETRY {
        children.push(keys_node(account, handset));
    }
    if incoming.from.device == PHONE {
        // The other side is a phone too, which takes no stanzas.
        if let Some(task) = again(world, account, incoming)
            && let Some(sender) = world.directory.by_phone(incoming.from.phone)
        {
            world.handsets.follow_up(Job { account: sender, task });
        }
        return;
    }
    let node = Origin::new(account, PHONE, incoming.addressing, incoming.group)
        .sign(NodeBuilder::new("receipt"))
        .attr("id", incoming.id.as_str())
        .attr("type", "retry")
        .attr("t", stanza::unix_seconds())
        .children(children)
        .build();
    let Some(sender) = world.directory.by_phone(incoming.from.phone) else { return };
    let device = incoming.from.device;
    if count < KEYS_FROM_RETRY {
        receipt::relay_retry(world, &sender, device, account.phone, &incoming.id, &node);
        return;
    }
    let task = Task::PassRetry { device, from: account.phone, id: incoming.id.clone(), node: Box::new(node) };
    rules::put_off(world, ASK_AGAIN_AFTER, Job { account: sender, task });
}

/// The other phone's task of encrypting a message again; `None` when its group is gone.
fn again(world: &World, account: &Account, incoming: &Incoming) -> Option<Task> {
    let to = Address { phone: account.phone, device: PHONE };
    let (addressing, id) = (incoming.addressing, incoming.id.clone());
    let group = match incoming.group {
        Some(group) => Some(world.groups.get(group)?),
        None => None,
    };
    Some(Task::Resend { to, addressing, group, id })
}

fn keys_node(account: &Account, handset: &mut Handset) -> wacore_binary::Node {
    use wacore::iq::prekeys::{OneTimePreKeyNode, SignedPreKeyNode};
    use wacore::protocol::ProtocolNode as _;
    let (id, key) = handset.keys.one_time.issue();
    let signed = &handset.keys.signed;
    NodeBuilder::new("keys")
        .children([
            stanza::bytes("type", [5_u8]),
            stanza::bytes("identity", account.identity.public_key.public_key_bytes()),
            OneTimePreKeyNode::new(id, key.to_vec()).into_node(),
            SignedPreKeyNode::new(
                handset.keys.signed_id(),
                signed.pair.public_key.public_key_bytes().to_vec(),
                signed.signature.clone(),
            )
            .into_node(),
        ])
        .build()
}
