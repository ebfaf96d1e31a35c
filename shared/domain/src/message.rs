//! Messages, sent and received: one kind of resource.

pub use crate::content::{Attachment, Contact, Content, Edit, Location, Reaction, Target, Text};

use crate::{Epoch, InstanceId, MessageId, Person, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which way a message went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Received by the instance.
    Inbound,
    /// Sent by the instance.
    Outbound,
}

/// How far a message is. Only climbs; `failed` is reached only from `queued` and `handed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageStatus {
    /// Committed, not yet on the wire.
    Queued,
    /// Claimed by an owner: its encrypted form is stored and may be on the wire.
    Handed,
    /// WhatsApp's server acknowledged it.
    Sent,
    /// It reached the recipient's phone.
    Delivered,
    /// The recipient read it.
    Read,
    /// The recipient played it (voice notes).
    Played,
    /// It will never be sent; see the reason.
    Failed,
}

impl MessageStatus {
    /// The number by which the store compares: a status never falls.
    #[must_use]
    pub const fn rank(self) -> i64 {
        match self {
            Self::Queued => 0,
            Self::Handed => 1,
            Self::Sent => 2,
            Self::Delivered => 3,
            Self::Read => 4,
            Self::Played => 5,
            Self::Failed => 9,
        }
    }

    /// The status with this rank.
    #[must_use]
    pub const fn from_rank(rank: i64) -> Option<Self> {
        Some(match rank {
            0 => Self::Queued,
            1 => Self::Handed,
            2 => Self::Sent,
            3 => Self::Delivered,
            4 => Self::Read,
            5 => Self::Played,
            9 => Self::Failed,
            _ => return None,
        })
    }

    /// The name as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Handed => "handed",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Played => "played",
            Self::Failed => "failed",
        }
    }

    /// Whether the owner still has to act on it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Handed)
    }
}

/// Why a message failed: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// Its `expires_at` passed while it was queued.
    Expired,
    /// The recipient has no WhatsApp.
    NotOnWhatsapp,
    /// WhatsApp's server refused it.
    Rejected,
    /// WhatsApp limits how many strangers this number may write to.
    ReachoutLimit,
    /// Its media could not be had or uploaded.
    Media,
    /// The instance was logged out or deleted.
    LoggedOut,
    /// The caller cancelled it.
    Cancelled,
    /// It may or may not have been sent, and `at_most_once` forbids trying again.
    OutcomeUnknown,
    /// It is larger than WhatsApp takes.
    TooLarge,
}

impl FailureReason {
    const ALL: [Self; 9] = [
        Self::Expired,
        Self::NotOnWhatsapp,
        Self::Rejected,
        Self::ReachoutLimit,
        Self::Media,
        Self::LoggedOut,
        Self::Cancelled,
        Self::OutcomeUnknown,
        Self::TooLarge,
    ];

    /// The name as the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::NotOnWhatsapp => "not_on_whatsapp",
            Self::Rejected => "rejected",
            Self::ReachoutLimit => "reachout_limit",
            Self::Media => "media",
            Self::LoggedOut => "logged_out",
            Self::Cancelled => "cancelled",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::TooLarge => "too_large",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What to do when it cannot be known whether a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Send again, at the risk that the recipient sees it twice.
    #[default]
    AtLeastOnce,
    /// Fail with `outcome_unknown`.
    AtMostOnce,
}

/// The message that a message answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Quoted {
    /// Its id here, if it is stored.
    pub message_id: Option<MessageId>,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// Address of its author, without a device.
    pub author: String,
    /// What it said, if known; the recipient's phone shows it.
    pub content: Option<Content>,
}

/// When a message reached each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Times {
    /// Accepted (outbound), or written by its author (inbound, by WhatsApp's clock).
    pub created: Timestamp,
    /// First handed to the wire.
    pub handed: Option<Timestamp>,
    /// Acknowledged by WhatsApp's server.
    pub sent: Option<Timestamp>,
    /// Reached the recipient.
    pub delivered: Option<Timestamp>,
    /// Read.
    pub read: Option<Timestamp>,
    /// Played.
    pub played: Option<Timestamp>,
    /// Failed.
    pub failed: Option<Timestamp>,
}

/// A message as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which instance sent or received it.
    pub instance: InstanceId,
    /// Which way it went.
    pub direction: Direction,
    /// Its id at WhatsApp: ours to choose when sending.
    pub whatsapp_id: String,
    /// Address of the chat.
    pub chat: String,
    /// Who wrote it; `None` when the instance did.
    pub author: Option<Person>,
    /// What it says.
    pub content: Content,
    /// What it answers.
    pub quoted: Option<Quoted>,
    /// How far it is. Inbound messages are `delivered`.
    pub status: MessageStatus,
    /// Why it failed.
    pub reason: Option<FailureReason>,
    /// What to do when in doubt (outbound).
    pub delivery: Delivery,
    /// Not to be sent after this moment (outbound, while queued).
    pub expires_at: Option<Timestamp>,
    /// Not to be sent before this moment (outbound).
    pub send_at: Option<Timestamp>,
    /// The caller's own data.
    pub metadata: Map<String, Value>,
    /// Whether it was caught up after a gap (inbound).
    pub backfilled: bool,
    /// When it reached each status.
    pub times: Times,
}

/// An outbound message with what only its owner needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Outbound {
    /// The message.
    pub message: Message,
    /// Its place in the instance's queue: larger is later.
    pub order: i64,
    /// The message secret, fixed at accept so that every encryption carries the same.
    pub secret: [u8; 32],
    /// How often it was handed.
    pub attempt: u32,
    /// Under which epoch it was handed last.
    pub handed_epoch: Option<Epoch>,
    /// The encrypted stanza, from the first claim until `sent`. A re-send repeats exactly these bytes.
    pub stanza: Option<Vec<u8>>,
    /// What WhatsApp's media host answered for its file, as the owner wrote it: the same for every encryption.
    pub upload: Option<Vec<u8>>,
}
