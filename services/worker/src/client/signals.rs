//! What the library announces, narrowed to what an instance acts on.
//!
//! An inline handler on the library's event bus, into a bounded queue: the library's own delivery modes either drop acks or
//! grow without bound.

use super::groups::{self, GroupSignal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::mpsc;
use wacore::types::{
    events::{ConnectFailureReason, Event, EventHandler, EventInterest, EventKind, InboundMessage, MessageBatch},
    presence::{ChatPresence, ChatPresenceMedia, ReceiptType},
};
use wacore_binary::{Jid, JidExt as _, Server};
use warren_domain::{MessageStatus, Person, Timestamp, group::Member};
use whatsapp_rust::pair_code::PairCodeRejection;

/// Why the account was logged out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogoutCause {
    /// The device was removed on the phone, or WhatsApp refused its login.
    Removed,
    /// The account is locked by WhatsApp.
    Locked,
}

/// A receipt of a recipient.
#[derive(Debug, Clone)]
pub(crate) struct ReceiptSignal {
    pub(crate) ids: Vec<String>,
    pub(crate) status: MessageStatus,
    /// When, if that was while this instance was away; else it is now.
    pub(crate) at: Option<Timestamp>,
    /// Who sent it, in a group.
    pub(crate) member: Option<Member>,
}

/// What an instance acts on.
#[derive(Debug, Clone)]
pub(crate) enum Signal {
    /// A QR code to show, good for `valid_for`.
    Qr { code: String, valid_for: Duration },
    /// The codes of this connection ran out.
    QrExhausted,
    /// A code to type on the phone, good for `valid_for`.
    TypedCode { code: String, valid_for: Duration },
    /// The code to type is worth nothing any more; `by_hand`: WhatsApp wants the next one to be asked for by a person.
    TypedCodeOver { by_hand: bool },
    /// WhatsApp gives no code to type.
    NoTypedCode(Option<PairCodeRejection>),
    /// The phone took the code.
    Paired { pn: Jid, lid: Jid, push_name: Option<String> },
    /// The phone took the code and the pairing failed.
    PairingFailed,
    /// Logged in, session state in place.
    Ready,
    /// The offline backlog was received and committed.
    Drained,
    /// The server's answer to a message.
    Ack { id: String, error: Option<String> },
    /// A recipient's receipt.
    Receipt(ReceiptSignal),
    /// A message that could not be read.
    Undecryptable { id: String, chat: String, sender: String },
    /// Something happened to a group.
    Group(Box<GroupSignal>),
    /// The account's own name changed.
    Renamed,
    /// What a contact shows of itself changed.
    Contact(ContactSignal),
    /// Somebody types, records, comes or leaves.
    Sign(Sign),
    /// Another connection of this device took over.
    Replaced,
    /// The device is not linked any more.
    LoggedOut(LogoutCause),
    /// The account is banned for a time.
    Banned { expires_in: Duration },
    /// The login was refused.
    Failure(ConnectFailureReason),
}

/// What a contact shows of itself changed.
#[derive(Debug, Clone)]
pub(crate) struct ContactSignal {
    pub(crate) contact: Jid,
    pub(crate) at: Timestamp,
    pub(crate) change: ContactChange,
}

/// What is new of a contact.
#[derive(Debug, Clone)]
pub(crate) enum ContactChange {
    /// Its picture, by id; `None`: it was taken away.
    Picture(Option<String>),
    /// What it says about itself.
    About(String),
}

/// A sign of life of somebody: worth nothing a moment later.
#[derive(Debug, Clone)]
pub(crate) enum Sign {
    /// What somebody does in a chat.
    Activity { chat: Jid, from: Person, activity: &'static str },
    /// Whether somebody is there, or since when not, if that is shown.
    Presence { from: Person, available: bool, last_seen: Option<Timestamp> },
}

/// The handler.
pub(crate) struct Signals {
    queue: mpsc::Sender<Signal>,
    recovered: mpsc::Sender<InboundMessage>,
    overflowed: AtomicBool,
    dropped: prometheus::IntCounter,
}

impl Signals {
    pub(super) fn new(
        queue: mpsc::Sender<Signal>,
        recovered: mpsc::Sender<InboundMessage>,
        dropped: prometheus::IntCounter,
    ) -> Self {
        Self { queue, recovered, overflowed: AtomicBool::new(false), dropped }
    }

    fn push(&self, signal: Signal) {
        if self.overflowed.load(Ordering::Relaxed) {
            self.dropped.inc();
            return;
        }
        if self.queue.try_send(signal).is_err() {
            // From here on nothing of this connection is heard: the actor sees the missing answers and rebuilds it.
            self.overflowed.store(true, Ordering::Relaxed);
            self.dropped.inc();
        }
    }

    /// Passes on what may be lost: not into the half of the queue that acks and receipts need.
    fn push_minor(&self, signal: Signal) {
        if self.queue.capacity() < self.queue.max_capacity() / 2 {
            self.dropped.inc();
        } else {
            self.push(signal);
        }
    }

    /// What the own phone told. All others went through the durability hook before they are announced here.
    fn hand_on_recovered(&self, batch: &MessageBatch) {
        for message in batch.messages.iter().filter(|message| message.info.unavailable_request_id.is_some()) {
            if self.recovered.try_send(message.clone()).is_err() {
                self.dropped.inc();
            }
        }
    }
}

impl EventHandler for Signals {
    fn handle_event(&self, event: Arc<Event>) {
        if let Event::Messages(batch) = &*event {
            self.hand_on_recovered(batch);
        } else if let Some(sign) = read_sign(&event) {
            self.push_minor(Signal::Sign(sign));
        } else if let Some(signal) = read(&event) {
            self.push(signal);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::Connected,
            EventKind::PairSuccess,
            EventKind::PairError,
            EventKind::LoggedOut,
            EventKind::PairingQrCode,
            EventKind::PairingQrCodesExhausted,
            EventKind::PairingCode,
            EventKind::PairingCodeRefresh,
            EventKind::PairingCodeError,
            EventKind::PictureUpdate,
            EventKind::UserAboutUpdate,
            EventKind::ChatPresence,
            EventKind::Presence,
            EventKind::Receipt,
            EventKind::ServerAck,
            EventKind::UndecryptableMessage,
            EventKind::Messages,
            EventKind::GroupUpdate,
            EventKind::SelfPushNameUpdated,
            EventKind::OfflineSyncCompleted,
            EventKind::StreamReplaced,
            EventKind::TemporaryBan,
            EventKind::ConnectFailure,
            EventKind::ClientOutdated,
        ])
    }
}

fn read(event: &Event) -> Option<Signal> {
    Some(match event {
        Event::Connected(_) => Signal::Ready,
        Event::OfflineSyncCompleted(_) => Signal::Drained,
        Event::PairingQrCode(qr) => Signal::Qr { code: qr.code.clone(), valid_for: qr.timeout },
        Event::PairingQrCodesExhausted(_) => Signal::QrExhausted,
        Event::PairingCode(shown) => Signal::TypedCode { code: shown.code.clone(), valid_for: shown.timeout },
        Event::PairingCodeRefresh(over) => Signal::TypedCodeOver { by_hand: over.force_manual },
        Event::PairingCodeError(refused) => Signal::NoTypedCode(refused.rejection),
        Event::PairSuccess(paired) => {
            let push_name = Some(paired.business_name.clone()).filter(|name| !name.is_empty());
            Signal::Paired { pn: paired.id.clone(), lid: paired.lid.clone(), push_name }
        }
        Event::PairError(_) => Signal::PairingFailed,
        Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
            Signal::Ack { id: ack.id.clone(), error: ack.error.clone() }
        }
        Event::Receipt(receipt) => Signal::Receipt(read_receipt(receipt)?),
        Event::UndecryptableMessage(message) => Signal::Undecryptable {
            id: message.info.id.clone(),
            chat: message.info.source.chat.to_string(),
            sender: message.info.source.sender.to_string(),
        },
        Event::PictureUpdate(update) if is_person(&update.jid) => Signal::Contact(ContactSignal {
            contact: update.jid.to_non_ad(),
            at: Timestamp::from_millis(update.timestamp.timestamp_millis()),
            change: ContactChange::Picture(update.picture_id.clone().filter(|_| !update.removed)),
        }),
        Event::UserAboutUpdate(update) if is_person(&update.jid) => Signal::Contact(ContactSignal {
            contact: update.jid.to_non_ad(),
            at: Timestamp::from_millis(update.timestamp.timestamp_millis()),
            change: ContactChange::About(update.status.clone()),
        }),
        Event::GroupUpdate(update) => Signal::Group(Box::new(GroupSignal::read(update)?)),
        Event::SelfPushNameUpdated(_) => Signal::Renamed,
        Event::StreamReplaced(_) => Signal::Replaced,
        Event::LoggedOut(logout) => Signal::LoggedOut(match logout.reason {
            ConnectFailureReason::AccountLocked => LogoutCause::Locked,
            _ => LogoutCause::Removed,
        }),
        Event::TemporaryBan(ban) => {
            // A negative span is none.
            Signal::Banned { expires_in: ban.expire.to_std().unwrap_or_default() }
        }
        Event::ConnectFailure(failure) => Signal::Failure(failure.reason),
        Event::ClientOutdated(_) => Signal::Failure(ConnectFailureReason::ClientOutdated),
        _ => return None,
    })
}

fn read_sign(event: &Event) -> Option<Sign> {
    match event {
        Event::ChatPresence(update) => {
            let source = &update.source;
            let activity = match (update.state, update.media) {
                (ChatPresence::Composing, ChatPresenceMedia::Audio) => "recording",
                (ChatPresence::Composing, ChatPresenceMedia::Text) => "typing",
                (ChatPresence::Paused, _) => "paused",
            };
            let from = person(&source.sender, source.sender_alt.as_ref());
            Some(Sign::Activity { chat: source.chat.to_non_ad(), from, activity })
        }
        Event::Presence(update) if is_person(&update.from) => Some(Sign::Presence {
            from: person(&update.from, None),
            available: !update.unavailable,
            last_seen: update.last_seen.map(|at| Timestamp::from_millis(at.timestamp_millis())),
        }),
        _ => None,
    }
}

fn is_person(jid: &Jid) -> bool {
    matches!(jid.server, Server::Pn | Server::Lid)
}

fn person(jid: &Jid, other: Option<&Jid>) -> Person {
    let of = |server: Server| {
        let named = [Some(jid), other].into_iter().flatten().find(|jid| jid.server == server);
        named.map(|jid| jid.to_non_ad().to_string())
    };
    Person { jid: jid.to_non_ad().to_string(), pn: of(Server::Pn), lid: of(Server::Lid), push_name: None }
}

fn read_receipt(receipt: &wacore::types::events::Receipt) -> Option<ReceiptSignal> {
    if receipt.source.is_from_me {
        return None;
    }
    let status = match receipt.r#type {
        ReceiptType::Delivered => MessageStatus::Delivered,
        ReceiptType::Read => MessageStatus::Read,
        ReceiptType::Played => MessageStatus::Played,
        // A recipient that asks again has received something: the server took the message.
        ReceiptType::Retry | ReceiptType::Sent => MessageStatus::Sent,
        _ => return None,
    };
    // WhatsApp's own time has whole seconds: good enough only where the receipt waited for us.
    let at = receipt.offline.then(|| Timestamp::from_millis(receipt.timestamp.timestamp_millis()));
    let source = &receipt.source;
    let member = source.chat.is_group().then(|| groups::member(&source.sender, source.sender_alt.as_ref(), None));
    Some(ReceiptSignal { ids: receipt.message_ids.clone(), status, at, member })
}
