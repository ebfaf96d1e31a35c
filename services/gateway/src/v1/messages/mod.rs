//! Messages, sent and received: one kind of resource.

pub(crate) mod about;
mod attachment;
mod checks;
mod draft;
pub(crate) mod list;
pub(crate) mod lookup;
pub(crate) mod read;
pub(crate) mod seen;
pub(crate) mod send;
mod settled;

use serde::Serialize;
use serde_json::{Map, Value};
use warren_domain::{
    Delivery, Direction, FailureReason, InstanceId, Message, MessageId, MessageStatus, Person, Timestamp,
    message::{Content, Quoted, Times},
};

/// A message as it is shown.
#[derive(Debug, Serialize)]
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
