//! Inbound: every decrypted message is committed, with its event, before the library acknowledges it to the server.

use crate::{
    session::{Poison, SessionStore},
    shared::Shared,
};
use async_trait::async_trait;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use wacore::{proto_helpers::MessageExt, types::events::InboundMessage};
use wacore_binary::{Jid, Server};
use waproto::whatsapp as wa;
use warren_domain::{
    Delivery, Direction, Message, MessageId, MessageStatus, Person, Timestamp,
    event::NewEvent,
    message::{Content, Quoted, Text, Times},
};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Inbound, Op, Outcome, Write},
};
use warren_runtime::fault;
use whatsapp_rust::{Client, InboundDurabilityHook};

/// As the session store's own patience: beyond it the client is given up, un-acknowledged.
const PATIENCE: Duration = Duration::from_secs(30);

/// The durability hook of one client.
pub(super) struct Inbox {
    shared: Arc<Shared>,
    // Weak: the client holds the hook and the store.
    store: Weak<SessionStore>,
}

impl Inbox {
    pub(super) fn new(shared: Arc<Shared>, store: Arc<SessionStore>) -> Self {
        Self { shared, store: Arc::downgrade(&store) }
    }

    /// Commits messages with their events; one that is committed already stays as it is.
    pub(super) async fn take(&self, batch: &[InboundMessage]) -> anyhow::Result<()> {
        let store = self.store.upgrade().ok_or_else(|| anyhow::anyhow!("the session is gone"))?;
        let now = self.shared.ports.clock.now();
        let writes: Vec<_> = batch
            .iter()
            .filter_map(|inbound| received(inbound, &store, now))
            .map(|inbound| Write {
                fence: store.owner.fence(),
                tenant: store.tenant,
                instance: store.instance,
                op: Op::Receive(Box::new(inbound)),
            })
            .collect();
        if writes.is_empty() {
            return Ok(());
        }
        if fault::mutation("ack_before_commit") {
            let (shared, store) = (self.shared.clone(), store.clone());
            let inbox = Self::new(shared, store.clone());
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
        self.commit(&store, writes).await
    }

    async fn commit(&self, store: &SessionStore, writes: Vec<Write>) -> anyhow::Result<()> {
        let count = writes.len() as u64;
        let commit = self.shared.ports.ledger.commit(writes);
        let Ok(outcomes) = tokio::time::timeout(PATIENCE, commit).await else {
            store.give_up(Poison::Timeout).await;
            anyhow::bail!("the ledger did not answer in time");
        };
        for outcome in outcomes {
            let reason = match outcome {
                Outcome::Done | Outcome::NoChange => continue,
                Outcome::OwnershipLost => Poison::OwnershipLost,
                Outcome::LedgerBehind => Poison::LedgerBehind,
                Outcome::Refused(error) => {
                    tracing::error!(instance = %store.instance, %error, "the ledger refused an inbound message");
                    Poison::Refused
                }
            };
            store.give_up(reason).await;
            anyhow::bail!("the ledger refused the commit");
        }
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
fn received(inbound: &InboundMessage, store: &SessionStore, now: Timestamp) -> Option<Inbound> {
    let info = &inbound.info;
    let source = &info.source;
    let content = content(&inbound.message)?;
    let message = Message {
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
        quoted: quoted(&inbound.message),
        content,
        status: MessageStatus::Delivered,
        reason: None,
        delivery: Delivery::default(),
        expires_at: None,
        metadata: serde_json::Map::new(),
        backfilled: info.is_offline,
        times: Times { created: Timestamp::from_millis(info.timestamp.timestamp_millis()), ..Times::default() },
    };
    let mut event = NewEvent::message_received(&message, now);
    if source.is_from_me {
        event.data.insert("from_me".into(), Value::Bool(true));
    }
    if info.unavailable_request_id.is_some() {
        // The own phone told it, later than it came.
        event.data.insert("recovered".into(), Value::Bool(true));
    }
    if source.is_group {
        event.data.insert("group".into(), json!(true));
    }
    Some(Inbound { message, event })
}

/// The address of a person on one server, device cut off.
fn address(jid: &Jid, other: Option<&Jid>, server: Server) -> Option<String> {
    [Some(jid), other].into_iter().flatten().find(|jid| jid.server == server).map(|jid| jid.to_non_ad().to_string())
}

fn content(message: &wa::Message) -> Option<Content> {
    let base = message.get_base_message();
    if let Some(body) = base.text_content().filter(|_| is_text(base)) {
        return Some(Content::Text { text: Text { body: body.to_owned() } });
    }
    let upkeep = base.protocol_message.is_set() || *base == key_distribution_only(base);
    (!upkeep).then_some(Content::Unsupported)
}

fn is_text(message: &wa::Message) -> bool {
    message.conversation.is_some() || message.extended_text_message.is_set()
}

/// The message with nothing but what distributes keys.
fn key_distribution_only(message: &wa::Message) -> wa::Message {
    wa::Message {
        sender_key_distribution_message: message.sender_key_distribution_message.clone(),
        message_context_info: message.message_context_info.clone(),
        ..Default::default()
    }
}

fn quoted(message: &wa::Message) -> Option<Quoted> {
    let base = message.get_base_message();
    let context = base.extended_text_message.as_option()?.context_info.as_option()?;
    Some(Quoted {
        message_id: None,
        whatsapp_id: context.stanza_id.clone()?,
        author: context.participant.clone().unwrap_or_default(),
        content: context.quoted_message.as_option().and_then(content),
    })
}
