//! Events: what happened, in the order in which it happened to each instance.

mod cursor;
mod view;

pub use cursor::{Cursor, NoCursor};
pub use view::EventView;

use crate::group::GroupUpdate;
use crate::media::{MediaOutcome, MediaState};
use crate::message::{Content, Message, MessageStatus};
use crate::{
    FailureReason, Health, InstanceId, InstanceState, MediaId, MessageId, Person, Restriction, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{fmt, str::FromStr};

/// What happened: `object.verb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// The instance's state changed.
    InstanceStateChanged,
    /// The instance's health changed.
    InstanceHealthChanged,
    /// The instance was linked to an account.
    PairingSucceeded,
    /// A pairing ended without success.
    PairingFailed,
    /// A message came in.
    MessageReceived,
    /// An outbound message reached a new status.
    MessageStatus,
    /// Somebody put an emoji on a message, or took it back.
    MessageReaction,
    /// Somebody changed a text.
    MessageEdited,
    /// Somebody took a message back.
    MessageRevoked,
    /// A message came in that could not be read.
    MessageUndecryptable,
    /// A file of a message was fetched, or cannot be.
    MediaUpdated,
    /// A group was made, changed or left, or its members changed.
    GroupUpdated,
    /// A contact's name, picture or about changed.
    ContactUpdated,
    /// The account may not send everything for a time, or may again; what it may not waits in its queue.
    AccountRestricted,
    /// Ephemeral: a QR code to show.
    PairingQr,
    /// Ephemeral: a code to type on the phone.
    PairingCode,
    /// Ephemeral: somebody types or records in a chat, or ceased to.
    ChatTyping,
    /// Ephemeral: somebody came online or left.
    PresenceUpdated,
}

impl EventType {
    /// Every type.
    pub const ALL: [Self; 18] = [
        Self::InstanceStateChanged,
        Self::InstanceHealthChanged,
        Self::PairingSucceeded,
        Self::PairingFailed,
        Self::MessageReceived,
        Self::MessageStatus,
        Self::MessageReaction,
        Self::MessageEdited,
        Self::MessageRevoked,
        Self::MessageUndecryptable,
        Self::MediaUpdated,
        Self::GroupUpdated,
        Self::ContactUpdated,
        Self::AccountRestricted,
        Self::PairingQr,
        Self::PairingCode,
        Self::ChatTyping,
        Self::PresenceUpdated,
    ];

    /// The name as the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InstanceStateChanged => "instance.state_changed",
            Self::InstanceHealthChanged => "instance.health_changed",
            Self::PairingSucceeded => "pairing.succeeded",
            Self::PairingFailed => "pairing.failed",
            Self::MessageReceived => "message.received",
            Self::MessageStatus => "message.status",
            Self::MessageReaction => "message.reaction",
            Self::MessageEdited => "message.edited",
            Self::MessageRevoked => "message.revoked",
            Self::MessageUndecryptable => "message.undecryptable",
            Self::MediaUpdated => "media.updated",
            Self::GroupUpdated => "group.updated",
            Self::ContactUpdated => "contact.updated",
            Self::AccountRestricted => "account.restricted",
            Self::PairingQr => "pairing.qr",
            Self::PairingCode => "pairing.code",
            Self::ChatTyping => "chat.typing",
            Self::PresenceUpdated => "presence.updated",
        }
    }

    /// The type with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Ephemeral events are not stored, have no `seq` and no cursor, and may be dropped.
    #[must_use]
    pub const fn is_ephemeral(self) -> bool {
        matches!(self, Self::PairingQr | Self::PairingCode | Self::ChatTyping | Self::PresenceUpdated)
    }
}

impl utoipa::PartialSchema for EventType {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        let names = Self::ALL.map(Self::as_str);
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .description(Some("What happened: `object.verb`."))
            .enum_values(Some(names))
            .build()
            .into()
    }
}

impl utoipa::ToSchema for EventType {}

/// `evt_` and 32 hex digits: the instance is not visible in it, the place in the log is found by it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventId(pub MessageId);

impl EventId {
    /// A fresh id.
    #[must_use]
    pub fn generate() -> Self {
        Self(MessageId::generate())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{}", self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = crate::id::ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("evt_").ok_or(crate::id::ParseIdError)?.parse().map(Self)
    }
}

/// An event before the store gave it its place.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub kind: EventType,
    /// When.
    pub occurred_at: Timestamp,
    /// The particulars: a JSON object.
    pub data: Map<String, Value>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its place among the instance's events: gapless, from 1.
    pub seq: i64,
    /// Its place in the log: what a cursor holds. Grows, with gaps.
    pub position: i64,
    /// What happened.
    pub kind: EventType,
    /// Whose it is.
    pub tenant: TenantId,
    /// To which instance it happened.
    pub instance: InstanceId,
    /// When.
    pub occurred_at: Timestamp,
    /// The particulars.
    pub data: Map<String, Value>,
}

/// What the status event of an outbound message is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChange {
    /// The message.
    pub message: MessageId,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Address of the chat.
    pub chat: String,
    /// The new status.
    pub status: MessageStatus,
    /// Why it failed.
    pub reason: Option<FailureReason>,
    /// When.
    pub at: Timestamp,
}

impl NewEvent {
    /// An event of `kind` at `occurred_at`.
    #[must_use]
    pub fn new(kind: EventType, occurred_at: Timestamp, data: Map<String, Value>) -> Self {
        Self { id: EventId::generate(), kind, occurred_at, data }
    }

    /// The event of a changed state.
    #[must_use]
    pub fn state_changed(state: InstanceState, reason: Option<&str>, at: Timestamp) -> Self {
        Self::new(EventType::InstanceStateChanged, at, object(json!({"state": state, "reason": reason, "since": at})))
    }

    /// The event of a changed health.
    #[must_use]
    pub fn health_changed(health: &Health, at: Timestamp) -> Self {
        Self::new(EventType::InstanceHealthChanged, at, object(json!(health)))
    }

    /// The event of a received message: `message.received`, or what it does to another message (`message.reaction`,
    /// `message.edited`, `message.revoked`). `data` is the message as the API shows it, with its `message_id`.
    #[must_use]
    pub fn message_received(message: &Message, at: Timestamp) -> Self {
        let mut data = object(json!({
            "message_id": message.id,
            "whatsapp_id": message.whatsapp_id,
            "chat": message.chat,
            "from": message.author,
            "sent_at": message.times.created,
        }));
        data.extend(object(json!(message.content)));
        if let Some(quoted) = &message.quoted {
            data.insert("reply_to".into(), json!(quoted));
        }
        if message.backfilled {
            data.insert("backfilled".into(), Value::Bool(true));
        }
        let kind = match &message.content {
            Content::Reaction { .. } => EventType::MessageReaction,
            Content::Edit { .. } => EventType::MessageEdited,
            Content::Revoke { .. } => EventType::MessageRevoked,
            _ => EventType::MessageReceived,
        };
        Self::new(kind, at, data)
    }

    /// The event of a message that came in and could not be read. `reason` is `undecryptable`, or `lost_in_crash` for one
    /// whose key was used and whose text is nowhere.
    #[must_use]
    pub fn message_undecryptable(whatsapp_id: &str, chat: &str, author: &str, reason: &str, at: Timestamp) -> Self {
        let data = object(json!({
            "whatsapp_id": whatsapp_id,
            "chat": chat,
            "from": Person { jid: author.to_owned(), ..Person::default() },
            "reason": reason,
        }));
        Self::new(EventType::MessageUndecryptable, at, data)
    }

    /// The event of a restriction of what the account may send, or (`lifted`) of its end.
    #[must_use]
    pub fn account_restricted(restriction: &Restriction, lifted: bool, at: Timestamp) -> Self {
        let held = Some(restriction).filter(|_| !lifted);
        let data = object(json!({
            "reason": restriction.reason,
            "scope": restriction.scope,
            "until": held.and_then(|held| held.until),
            "restarts_at": held.map(|held| held.restarts_at),
            "lifted": lifted,
        }));
        Self::new(EventType::AccountRestricted, at, data)
    }

    /// The event of what a contact changed: `change` holds what is new of it (`picture_id`, `about`; `null` for taken away).
    #[must_use]
    pub fn contact_updated(contact: &Person, change: Map<String, Value>, at: Timestamp) -> Self {
        let mut data = object(json!({"from": contact}));
        data.extend(change);
        Self::new(EventType::ContactUpdated, at, data)
    }

    /// The event of something that happened to a group.
    #[must_use]
    pub fn group_updated(update: &GroupUpdate, at: Timestamp) -> Self {
        Self::new(EventType::GroupUpdated, at, object(json!(update)))
    }

    /// The event of a file that was fetched, or cannot be. `message` is the one that brought it, or is to send it.
    #[must_use]
    pub fn media_updated(media: MediaId, message: Option<MessageId>, outcome: &MediaOutcome, at: Timestamp) -> Self {
        let mut data = object(json!({"media_id": media, "message_id": message}));
        data.extend(object(match outcome {
            MediaOutcome::Ready { size, sha256, .. } => {
                json!({"state": MediaState::Ready, "reason": null, "size": size, "sha256": hex::encode(sha256)})
            }
            MediaOutcome::Failed(reason) => json!({"state": MediaState::Failed, "reason": reason}),
        }));
        Self::new(EventType::MediaUpdated, at, data)
    }

    /// The event of a new status of an outbound message.
    #[must_use]
    pub fn message_status(change: &StatusChange) -> Self {
        let data = object(json!({
            "message_id": change.message,
            "whatsapp_id": change.whatsapp_id,
            "chat": change.chat,
            "status": change.status,
            "reason": change.reason,
        }));
        Self::new(EventType::MessageStatus, change.at, data)
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Serialize for EventType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| serde::de::Error::custom("unknown event type"))
    }
}
