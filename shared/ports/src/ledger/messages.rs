//! Messages: accepted by the edge, moved on by the owner.

use async_trait::async_trait;
use serde_json::{Map, Value};
use warren_domain::{
    Delivery, Direction, InstanceId, Message, MessageId, MessageStatus, Result, TenantId, Timestamp,
    group::MemberReceipt,
    media::Media,
    message::{Content, Outbound, Quoted},
};

/// The caller's key for one mutating request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The header's text: 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 over method, route and body: the same key with another one is a mistake of the caller.
    pub fingerprint: [u8; 32],
}

/// An outbound message to be accepted.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Its id, made by the gateway.
    pub id: MessageId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which instance sends it.
    pub instance: InstanceId,
    /// Its id at WhatsApp, made by the gateway: fixed for all attempts.
    pub whatsapp_id: String,
    /// Its message secret: fixed for all attempts.
    pub secret: [u8; 32],
    /// Address of the chat.
    pub chat: String,
    /// What it says.
    pub content: Content,
    /// The file that it carries, if that is made known with it: a pending one, of a link.
    pub media: Option<Media>,
    /// What it answers.
    pub quoted: Option<Quoted>,
    /// What to do when in doubt.
    pub delivery: Delivery,
    /// Not to be sent after this moment.
    pub expires_at: Option<Timestamp>,
    /// Not to be sent before this moment.
    pub send_at: Option<Timestamp>,
    /// The caller's own data.
    pub metadata: Map<String, Value>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The caller's key, if it sent one.
    pub idempotency: Option<IdempotencyKey>,
    /// Which part of the caller's request it is, if one key and fingerprint stand for several messages.
    pub part: Option<u32>,
    /// How many open (`queued` or `handed`) messages the instance may have, this one included.
    pub queue_limit: u32,
}

/// What became of a message that was to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// Committed as `queued`.
    New(Message),
    /// The same key and fingerprint were seen before: the message made then, as it is now.
    Replay(Message),
    /// The same key was seen with another fingerprint.
    Mismatch,
    /// The instance has too many open messages.
    QueueFull,
    /// The tenant has no such instance.
    NoInstance,
    /// The instance was never paired, or is logged out.
    NotPaired,
}

/// How an instance stands to people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acquaintance {
    /// The chats with people with whom it never exchanged a message.
    pub strangers: Vec<String>,
    /// When it wrote first to somebody, oldest first.
    pub opened: Vec<Timestamp>,
}

/// Held messages that were let go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Of which instances, each once.
    pub instances: Vec<InstanceId>,
    /// When the next held message is due, of those that are left.
    pub next: Option<Timestamp>,
}

/// What a list of messages is narrowed to; every part that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Sent or received.
    pub direction: Option<Direction>,
    /// In this status.
    pub status: Option<MessageStatus>,
    /// In this chat.
    pub chat: Option<String>,
}

/// Messages.
#[async_trait]
pub trait Messages: Send + Sync {
    /// Commits outbound messages, each on its own verdict, all in one commit. Their order in the queue of an instance is
    /// their order here; of two calls, the one that returned before the other was made comes first. Of calls with the
    /// same key (per tenant), exactly one is `New`. A key that was seen is answered before the instance is looked at; if its
    /// message went with a deleted instance, the answer is `NoInstance`. Messages with a `part` share their key: each part is
    /// made once, and a key that was seen with another fingerprint, in whatever part, is a mismatch for all of them.
    /// A message whose `send_at` is in the future is held: it is open, and no owner is shown it before
    /// [`Messages::release_due`].
    async fn accept(&self, messages: Vec<NewMessage>) -> Result<Vec<Accepted>>;
    /// The tenant's message with this id.
    async fn message(&self, tenant: TenantId, id: MessageId) -> Result<Option<Message>>;
    /// The tenant's messages of an instance with this WhatsApp id (ids are unique only per chat and author); at most 100.
    async fn messages_by_whatsapp_id(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        whatsapp_id: &str,
    ) -> Result<Vec<Message>>;
    /// Up to `limit` of the tenant's messages of an instance, newest first, older than `before`.
    async fn messages(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        filter: &MessageFilter,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<Message>>;

    /// Who a message of the tenant's goes to in its group, as far as it was said ([`super::Op::Audience`]), with what each
    /// did with it, by address; empty for every other message, and for an unknown one. At most 2,048.
    async fn member_receipts(&self, tenant: TenantId, id: MessageId) -> Result<Vec<MemberReceipt>>;

    /// For the owner: of each of these instances, all messages that were `handed`, then up to `limit` that are `queued` and
    /// not held; both in the order in which they were accepted.
    async fn open_messages(&self, instances: &[InstanceId], limit: u32) -> Result<Vec<Outbound>>;
    /// [`Messages::open_messages`] of one instance without what is `queued` for people with whom it never exchanged a message.
    async fn open_messages_to_known(&self, instance: InstanceId, limit: u32) -> Result<Vec<Outbound>>;
    /// For the owner: which of these chats are with people with whom the instance never exchanged a message, and when it wrote
    /// first to others since `since`, oldest first, at most 10,000 times. Known is who was received from, under any of his
    /// addresses, and to whom something was `sent`. A group is no person.
    async fn acquaintance(&self, instance: InstanceId, chats: &[String], since: Timestamp) -> Result<Acquaintance>;
    /// Lets up to `limit` held messages go whose `send_at` is not after `now`. Says of which instances, and when the next one
    /// is due. Needs no owner.
    async fn release_due(&self, now: Timestamp, limit: u32) -> Result<Released>;
    /// For the owner: which of these shards' instances have open messages that are not held; the sweep that finds what no ring
    /// announced.
    async fn instances_with_open_messages(&self, shards: &[warren_domain::Shard]) -> Result<Vec<InstanceId>>;
    /// For the owner: the outbound message with this WhatsApp id, to answer a recipient's request to encrypt it again.
    async fn outbound_by_whatsapp_id(&self, instance: InstanceId, whatsapp_id: &str) -> Result<Option<Outbound>>;
    /// For the owner: whether an inbound message with this identity is committed.
    async fn has_inbound(&self, instance: InstanceId, chat: &str, author: &str, whatsapp_id: &str) -> Result<bool>;
}
