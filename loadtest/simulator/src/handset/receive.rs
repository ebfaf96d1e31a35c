//! What a phone does with what arrives: decrypt, note, confirm, read, or ask again.

use wacore::messages::{decode_plaintext, unwrap_device_sent};
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::SignalProtocolError;
use waproto::whatsapp::Message;

use super::inbox::Content;
use super::{Handset, Job, Task};
use crate::account::Account;
use crate::address::{Address, Addressing, PHONE};
use crate::receipt::{self, Receipt};
use crate::stanza;
use crate::world::World;
use std::sync::Arc;

/// Messages an offline phone holds; the oldest goes first.
const WAITING_LIMIT: usize = 10_000;
/// Retry receipts carry keys from the second one on, as WhatsApp's do.
const KEYS_FROM_RETRY: u8 = wacore::protocol::retry::MIN_RETRY_COUNT_FOR_KEYS;

/// How a ciphertext was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    /// `pkmsg`: starts a session.
    PreKey,
    /// `msg`: inside a session.
    Session,
}

impl Encryption {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "pkmsg" => Some(Self::PreKey),
            "msg" => Some(Self::Session),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PreKey => "pkmsg",
            Self::Session => "msg",
        }
    }
}

/// One message for a phone.
pub(crate) struct Incoming {
    pub(crate) from: Address,
    pub(crate) addressing: Addressing,
    pub(crate) id: String,
    /// When the server took it, in Unix seconds.
    pub(crate) timestamp: u64,
    /// `None` for ciphertexts phones here do not know, such as sender keys of groups.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) ciphertext: Vec<u8>,
}

/// What decrypting came to.
enum Outcome {
    Opened(Box<Message>),
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
    let confirmed = match outcome {
        Outcome::Opened(message) => {
            world.counters.handset_decrypted.one();
            if own {
                handset.own_copies += 1;
                drop(handset);
                answer_own(world, account, &incoming, &message);
                return;
            }
            let limit = world.options.inbox_limit;
            let content = content(&message);
            handset.inbox.surface(incoming.from, incoming.addressing, &incoming.id, content, limit);
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
    let ids = std::slice::from_ref(&incoming.id);
    if habits.auto_receipt {
        confirm(world, account, incoming.from.phone, incoming.addressing, ids, None);
    }
    if habits.auto_read {
        confirm(world, account, incoming.from.phone, incoming.addressing, ids, Some("read"));
    }
}

/// Takes what waited for the phone to come online.
pub(super) fn wake(world: &World, account: &Arc<Account>) {
    let waiting = std::mem::take(&mut account.handset().waiting);
    for incoming in waiting {
        receive(world, account, incoming);
    }
}

/// Sends read receipts for messages of the inbox.
pub(super) fn mark_read(world: &World, account: &Arc<Account>, ids: &[String]) {
    let items = account.handset().inbox.by_ids(ids);
    for item in items {
        let addressing = if item.lid_addressed { Addressing::Lid } else { Addressing::Pn };
        if let Ok(sender) = item.from.parse() {
            confirm(world, account, sender, addressing, std::slice::from_ref(&item.id), Some("read"));
        }
    }
}

fn open(handset: &mut Handset, incoming: &Incoming) -> Outcome {
    let Some(encryption) = incoming.encryption else {
        return Outcome::Failed;
    };
    match handset.decrypt(incoming.from, encryption, &incoming.ciphertext) {
        Ok(padded) => match decode_plaintext(&padded, 2) {
            Ok(message) => Outcome::Opened(Box::new(unwrap_device_sent(message))),
            Err(_) => Outcome::Failed,
        },
        Err(SignalProtocolError::DuplicatedMessage(..)) => Outcome::Duplicate,
        Err(_) => Outcome::Failed,
    }
}

fn content(message: &Message) -> Content {
    if let Some(text) = &message.conversation {
        return Content { text: Some(text.clone()), quoted_id: None };
    }
    let Some(extended) = message.extended_text_message.as_option() else {
        return Content { text: None, quoted_id: None };
    };
    Content {
        text: extended.text.clone(),
        quoted_id: extended.context_info.as_option().and_then(|context| context.stanza_id.clone()),
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
        let wanted = request.placeholder_message_resend_request.iter();
        let wanted = wanted.filter_map(|wanted| wanted.message_key.as_option().cloned()).collect();
        Task::ShareMessages { device, request: incoming.id.clone(), wanted }
    } else {
        return;
    };
    world.handsets.follow_up(Job { account: Arc::clone(account), task });
}

fn confirm(world: &World, account: &Account, sender: u64, addressing: Addressing, ids: &[String], kind: Option<&str>) {
    let Some(sender) = world.directory.by_phone(sender) else { return };
    let receipt = Receipt { from: account.jid(PHONE, addressing), from_phone: account.phone, ids, kind };
    receipt::relay(world, &sender, &receipt);
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
    let node = NodeBuilder::new("receipt")
        .attr("from", account.jid(PHONE, incoming.addressing))
        .attr("id", incoming.id.as_str())
        .attr("type", "retry")
        .attr("t", stanza::unix_seconds())
        .children(children)
        .build();
    if let Some(sender) = world.directory.by_phone(incoming.from.phone) {
        receipt::relay_retry(world, &sender, incoming.from.device, account.phone, &incoming.id, &node);
    }
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
