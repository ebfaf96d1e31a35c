//! Messages, sent and received: one kind of resource.

pub(crate) mod about;
pub(crate) mod attachment;
pub(crate) mod batch;
mod cancel;
pub(crate) mod checks;
pub(crate) mod draft;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod read;
pub(crate) mod receipts;
pub(crate) mod seen;
pub(crate) mod send;
mod settled;

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use warren_domain::{
    Delivery, Direction, FailureReason, InstanceId, Message, MessageId, MessageStatus, Person, Timestamp,
    message::{Content, Quoted, Times},
};

/// A message as it is shown.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e53c",
    "instance_id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b",
    "direction": "outbound",
    "whatsapp_id": "3EB0F0E1D2C3B4A5968778",
    "status": "sent",
    "reason": null,
    "chat": "628123456789@s.whatsapp.net",
    "to": "628123456789@s.whatsapp.net",
    "type": "text",
    "text": {"body": "Hello"},
    "reply_to": null,
    "delivery": "at_least_once",
    "expires_at": null,
    "metadata": {},
    "created_at": "2026-11-22T09:30:00.000Z",
    "handed_at": "2026-11-22T09:30:00.020Z",
    "sent_at": "2026-11-22T09:30:00.140Z"
})))]
pub(crate) struct View {
    id: MessageId,
    instance_id: InstanceId,
    direction: Direction,
    whatsapp_id: String,
    status: MessageStatus,
    reason: Option<FailureReason>,
    chat: String,
    /// To whom (outbound).
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// From whom (inbound).
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Person>,
    /// `type`, and the object of that name.
    #[serde(flatten)]
    content: Content,
    reply_to: Option<Quoted>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_at: Option<Timestamp>,
    /// Your own data.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    handed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    played_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_at: Option<Timestamp>,
    /// Caught up after a gap.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    backfilled: bool,
}

impl From<Message> for View {
    fn from(message: Message) -> Self {
        let is_outbound = message.direction == Direction::Outbound;
        let times = message.times;
        Self {
            id: message.id,
            instance_id: message.instance,
            direction: message.direction,
            whatsapp_id: message.whatsapp_id,
            status: message.status,
            reason: message.reason,
            to: is_outbound.then(|| message.chat.clone()),
            chat: message.chat,
            from: message.author,
            content: message.content,
            reply_to: message.quoted,
            delivery: is_outbound.then_some(message.delivery),
            expires_at: message.expires_at,
            send_at: message.send_at,
            metadata: message.metadata,
            created_at: times.created,
            handed_at: times.handed,
            sent_at: times.sent,
            delivered_at: times.delivered,
            read_at: times.read,
            played_at: times.played,
            failed_at: times.failed,
            backfilled: message.backfilled,
        }
    }
}

/// The message as it was when it was accepted: what the first answer to a send shows, and every replay of it.
fn as_accepted(message: Message) -> Message {
    let times = Times { created: message.times.created, ..Times::default() };
    Message { status: MessageStatus::Queued, reason: None, times, ..message }
}
