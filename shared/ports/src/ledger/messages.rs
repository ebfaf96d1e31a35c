//! Messages: accepted by the edge, moved on by the owner.

use async_trait::async_trait;
use serde_json::{Map, Value};
use warren_domain::{
    Delivery, Direction, InstanceId, Message, MessageId, MessageStatus, Result, TenantId, Timestamp,
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
    /// The caller's own data.
    pub metadata: Map<String, Value>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The caller's key, if it sent one.
    pub idempotency: Option<IdempotencyKey>,
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
    /// message went with a deleted instance, the answer is `NoInstance`.
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

    /// For the owner: up to `limit` open messages of each of these instances, in the order of their queues, those that
    /// were `handed` included.
    async fn open_messages(&self, instances: &[InstanceId], limit: u32) -> Result<Vec<Outbound>>;
    /// For the owner: which of these instances' have open messages; the sweep that finds what no ring announced.
    async fn instances_with_open_messages(&self, shards: &[warren_domain::Shard]) -> Result<Vec<InstanceId>>;
    /// For the owner: the outbound message with this WhatsApp id, to answer a recipient's request to encrypt it again.
    async fn outbound_by_whatsapp_id(&self, instance: InstanceId, whatsapp_id: &str) -> Result<Option<Outbound>>;
    /// For the owner: whether an inbound message with this identity is committed.
    async fn has_inbound(&self, instance: InstanceId, chat: &str, author: &str, whatsapp_id: &str) -> Result<bool>;
}
