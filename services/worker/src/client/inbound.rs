//! Inbound: every decrypted message is committed, with its event, before the library acknowledges it to the server.

use super::{attachment, content};
use crate::{session::SessionStore, shared::Shared};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::mpsc;
use wacore::types::events::InboundMessage;
use wacore_binary::{Jid, Server};
use warren_domain::{
    Delivery, Direction, MediaId, Message, MessageId, MessageStatus, Person, Timestamp,
    event::NewEvent,
    media::{Media, MediaState},
    message::Times,
};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Inbound, Op, Write},
};
use warren_runtime::fault;
use whatsapp_rust::{Client, InboundDurabilityHook};

/// How long to look for the message that another one is about.
const LOOKUP: Duration = Duration::from_secs(2);

/// The durability hook of one client.
pub(super) struct Inbox {
    shared: Arc<Shared>,
    // Weak: the client holds the hook and the store.
    store: Weak<SessionStore>,
    /// Who fetches files as they come in, where that is set.
    files: Option<mpsc::Sender<MediaId>>,
}

impl Inbox {
    pub(super) fn new(shared: Arc<Shared>, store: Arc<SessionStore>, files: Option<mpsc::Sender<MediaId>>) -> Self {
        Self { shared, store: Arc::downgrade(&store), files }
    }

    /// Commits messages with their events; one that is committed already stays as it is.
    pub(super) async fn take(&self, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let store = self.store.upgrade().ok_or_else(|| anyhow::anyhow!("the session is gone"))?;
        let now = self.shared.ports.clock.now();
        let (mut writes, mut files) = (Vec::with_capacity(batch.len()), Vec::new());
        for inbound in batch {
            let Some(mut message) = received(inbound, &store) else { continue };
            self.name_target(&mut message).await;
            let media = attachment::of(inbound, &message, &store, &self.shared.ports.limits, now);
            let event = event(inbound, &message, media.as_ref(), now);
            files.extend(media.as_ref().filter(|media| media.state == MediaState::Pending).map(|media| media.id));
            writes.push(store.fenced(Op::Receive(Box::new(Inbound { message, event, media }))));
        }
        if writes.is_empty() {
            return Ok(());
        }
        if fault::mutation("ack_before_commit") {
            let (shared, store) = (self.shared.clone(), store.clone());
            let inbox = Self::new(shared, store.clone(), self.files.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                fault::point("inbound.before_commit");
                let _ = inbox.commit(&store, writes).await;
            });
            return Ok(());
        }
        if fault::mutation("inbound_not_buffered") {
            store.sessions_stored().await;
        }
        fault::point("inbound.before_commit");
        self.commit(&store, writes).await?;
        if let Some(fetcher) = &self.files {
            for media in files {
                // When too many wait, it is fetched when somebody asks.
                let _ = fetcher.try_send(media);
            }
        }
        Ok(())
    }

    /// Finds the id here of the message that this one is about. One that is not stored, or cannot be looked up now, is named
    /// by its id at WhatsApp alone.
    async fn name_target(&self, message: &mut Message) {
        let (tenant, instance, chat) = (message.tenant, message.instance, message.chat.clone());
        let Some(target) = message.content.target_mut() else { return };
        let lookup = self.shared.ports.ledger.messages_by_whatsapp_id(tenant, instance, &target.whatsapp_id);
        let found = tokio::time::timeout(LOOKUP, lookup).await.ok().and_then(warren_domain::Result::ok).unwrap_or_default();
        // One name of the chat may be its number and the other its LID: without a better one, any with this id.
        let best = found.iter().find(|found| found.chat == chat).or_else(|| found.first());
        target.message_id = best.map(|found| found.id);
    }

    async fn commit(&self, store: &SessionStore, writes: Vec<Write>) -> anyhow::Result<()> {
        let count = writes.len() as u64;
        store.commit(writes).await?;
        self.shared.metrics.inbound_messages.inc_by(count);
        self.shared.ports.bus.ring(Topic::Log(store.tenant), Ring::Log);
        Ok(())
    }
}

#[async_trait]
impl InboundDurabilityHook for Inbox {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        self.take(batch).await
    }
}

/// The message as Warren keeps it; `None` for what is not a message to anybody (key distribution, protocol upkeep).
fn received(inbound: &InboundMessage, store: &SessionStore) -> Option<Message> {
    let info = &inbound.info;
    let source = &info.source;
    let content = content::read(&inbound.message)?;
    Some(Message {
        id: MessageId::generate(),
        tenant: store.tenant,
        instance: store.instance,
        direction: Direction::Inbound,
        whatsapp_id: info.id.clone(),
        chat: source.chat.to_non_ad().to_string(),
        author: Some(Person {
            jid: source.sender.to_non_ad().to_string(),
            pn: address(&source.sender, source.sender_alt.as_ref(), Server::Pn),
            lid: address(&source.sender, source.sender_alt.as_ref(), Server::Lid),
            push_name: Some(info.push_name.clone()).filter(|name| !name.is_empty()),
        }),
        quoted: content::quoted(&inbound.message),
        content,
        status: MessageStatus::Delivered,
        reason: None,
        delivery: Delivery::default(),
        expires_at: None,
        send_at: None,
        metadata: serde_json::Map::new(),
        backfilled: info.is_offline,
        times: Times { created: Timestamp::from_millis(info.timestamp.timestamp_millis()), ..Times::default() },
    })
}

fn event(inbound: &InboundMessage, message: &Message, media: Option<&Media>, now: Timestamp) -> NewEvent {
    let info = &inbound.info;
    let mut event = NewEvent::message_received(message, now);
    if let (Some(media), Some(Value::Object(shown))) = (media, event.data.get_mut(message.content.kind())) {
        shown.insert("state".into(), json!(media.state));
    }
    if info.source.is_from_me {
        event.data.insert("from_me".into(), Value::Bool(true));
    }
    if info.unavailable_request_id.is_some() {
        // The own phone told it, later than it came.
        event.data.insert("recovered".into(), Value::Bool(true));
    }
    if info.source.is_group {
        event.data.insert("group".into(), json!(true));
    }
    event
}

/// The address of a person on one server, device cut off.
fn address(jid: &Jid, other: Option<&Jid>, server: Server) -> Option<String> {
    [Some(jid), other].into_iter().flatten().find(|jid| jid.server == server).map(|jid| jid.to_non_ad().to_string())
}
