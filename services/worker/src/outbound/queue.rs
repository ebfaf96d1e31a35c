//! The open rows of one instance in memory: one un-acked message a chat, chats side by side.

use super::decide::{LinkState, RowState, Step, decide};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use warren_domain::{Epoch, InstanceId, MessageId, Timestamp, message::Outbound};
use warren_ports::ledger::OwnerLedger;

/// A message that was given to the library or to the wire.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) message: MessageId,
    pub(crate) chat: String,
    /// When its write returned; `None` while it is being encrypted and written.
    pub(crate) written: Option<Instant>,
    /// Whether this is a repeated copy: a refusal of it may only mean that it is stale.
    pub(crate) repeated: bool,
}

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    chats: HashMap<String, VecDeque<Outbound>>,
    known: HashSet<MessageId>,
    in_flight: HashMap<String, InFlight>,
    /// Stanzas that the server refused as stale on this connection.
    dead_stanzas: HashSet<MessageId>,
    /// What was settled since the fetch that is under way began: its rows may be older than that.
    settled_since_fetch: HashSet<MessageId>,
    /// Chats that wait before their head is tried again.
    paused: HashMap<String, Instant>,
}

/// What to do next.
pub(crate) struct Next {
    pub(crate) row: Outbound,
    pub(crate) step: Step,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn fetch_begins(&mut self) {
        self.settled_since_fetch.clear();
    }

    /// Takes fetched rows in. Known ones stay as they are; the order of the queue is kept a chat.
    pub(crate) fn offer(&mut self, rows: Vec<Outbound>) {
        for row in rows {
            let id = row.message.id;
            if self.settled_since_fetch.contains(&id) || !self.known.insert(id) {
                continue;
            }
            let chat = self.chats.entry(row.message.chat.clone()).or_default();
            let place = chat.iter().position(|other| other.order > row.order).unwrap_or(chat.len());
            chat.insert(place, row);
        }
    }

    /// The heads of chats that something can be done with now, at most `room` of them. Each is then in flight until
    /// [`Self::settle`] or [`Self::retry_later`].
    pub(crate) fn take_ready(&mut self, epoch: Epoch, drained: bool, now: Timestamp, room: usize) -> Vec<Next> {
        let mut ready = Vec::new();
        let instant = Instant::now();
        self.paused.retain(|_, until| *until > instant);
        for (name, chat) in &self.chats {
            if ready.len() + self.in_flight.len() >= room {
                break;
            }
            let Some(row) = chat.front() else { continue };
            if self.in_flight.contains_key(&row.message.whatsapp_id) || self.paused.contains_key(name) {
                continue;
            }
            let link =
                LinkState { epoch, drained, awaiting_ack: false, stanza_dead: self.dead_stanzas.contains(&row.message.id) };
            match decide(state(row, now), link) {
                Step::Wait | Step::Settled => {}
                step => ready.push(Next { row: row.clone(), step }),
            }
        }
        for next in &ready {
            let message = &next.row.message;
            let entry = InFlight {
                message: message.id,
                chat: message.chat.clone(),
                written: None,
                repeated: matches!(next.step, Step::Resend),
            };
            self.in_flight.insert(message.whatsapp_id.clone(), entry);
        }
        ready
    }

    /// The message's write returned: the server's answer is awaited from now on.
    pub(crate) fn written(&mut self, whatsapp_id: &str) {
        if let Some(entry) = self.in_flight.get_mut(whatsapp_id) {
            entry.written.get_or_insert_with(Instant::now);
        }
    }

    pub(crate) fn in_flight(&self, whatsapp_id: &str) -> Option<&InFlight> {
        self.in_flight.get(whatsapp_id)
    }

    /// The message is done with: its row is committed as settled. Frees its chat; whether it was in flight.
    pub(crate) fn settle(&mut self, whatsapp_id: &str) -> bool {
        let Some(entry) = self.in_flight.remove(whatsapp_id) else { return false };
        self.forget(&entry.chat, entry.message);
        true
    }

    fn forget(&mut self, chat: &str, message: MessageId) {
        self.known.remove(&message);
        self.dead_stanzas.remove(&message);
        self.settled_since_fetch.insert(message);
        if let Some(rows) = self.chats.get_mut(chat) {
            rows.retain(|row| row.message.id != message);
            if rows.is_empty() {
                self.chats.remove(chat);
            }
        }
    }

    /// The message was not sent (nothing of it left, or the server refused this copy): its chat tries again after `pause`.
    /// How often its head was tried is its `attempt`, kept here too for what never reached a claim.
    pub(crate) fn retry_later(&mut self, whatsapp_id: &str, pause: Duration, stanza_dead: bool) -> u32 {
        let Some(entry) = self.in_flight.remove(whatsapp_id) else { return 0 };
        if stanza_dead {
            self.dead_stanzas.insert(entry.message);
        }
        self.paused.insert(entry.chat.clone(), Instant::now() + pause);
        let head = self.chats.get_mut(&entry.chat).and_then(VecDeque::front_mut);
        head.map_or(0, |row| {
            row.attempt += 1;
            row.attempt
        })
    }

    /// What the message's file became at WhatsApp is in its row now.
    pub(crate) fn keep_upload(&mut self, whatsapp_id: &str, upload: &[u8]) {
        let Some(entry) = self.in_flight.get(whatsapp_id) else { return };
        let head = self.chats.get_mut(&entry.chat).and_then(VecDeque::front_mut);
        if let Some(row) = head.filter(|row| row.message.id == entry.message) {
            row.upload = Some(upload.to_vec());
        }
    }

    /// The message was not tried: its chat waits for `pause`.
    pub(crate) fn wait(&mut self, whatsapp_id: &str, pause: Duration) {
        if let Some(entry) = self.in_flight.remove(whatsapp_id) {
            self.paused.insert(entry.chat, Instant::now() + pause);
        }
    }

    /// A written message that got no answer within `deadline`.
    pub(crate) fn has_overdue(&self, deadline: Duration) -> bool {
        self.in_flight.values().any(|entry| entry.written.is_some_and(|at| at.elapsed() > deadline))
    }

    /// Whether nothing of it can become due by itself.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.in_flight.is_empty() && self.paused.is_empty()
    }

    /// Whether something was written that may still be answered.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.in_flight.values().any(|entry| entry.written.is_some())
    }
}

fn state(row: &Outbound, now: Timestamp) -> RowState {
    let first_handed = row.message.times.handed.unwrap_or(now);
    RowState {
        status: row.message.status,
        has_stanza: row.stanza.is_some(),
        handed_epoch: row.handed_epoch,
        delivery: row.message.delivery,
        expired: row.message.expires_at.is_some_and(|at| at <= now),
        age: Duration::from_millis(u64::try_from(now.as_millis() - first_handed.as_millis()).unwrap_or(0)),
    }
}

/// Reads open rows for many instances in one query: whoever asks while a query is under way shares the next one.
#[derive(Clone)]
pub(crate) struct Fetcher {
    requests: mpsc::Sender<(InstanceId, oneshot::Sender<Vec<Outbound>>)>,
}

/// Instances in one query.
const FETCH_BATCH: usize = 128;

impl Fetcher {
    pub(crate) fn new(ledger: Arc<dyn OwnerLedger>, window: u32) -> Self {
        let (requests, receiver) = mpsc::channel(4 * FETCH_BATCH);
        tokio::spawn(serve(ledger, window, receiver));
        Self { requests }
    }

    /// The open rows of an instance, oldest first, at most the window; empty if the ledger cannot be read now (a later
    /// sweep asks again).
    pub(crate) async fn fetch(&self, instance: InstanceId) -> Vec<Outbound> {
        let (answer, rows) = oneshot::channel();
        if self.requests.send((instance, answer)).await.is_err() {
            return Vec::new();
        }
        rows.await.unwrap_or_default()
    }
}

async fn serve(
    ledger: Arc<dyn OwnerLedger>,
    window: u32,
    mut requests: mpsc::Receiver<(InstanceId, oneshot::Sender<Vec<Outbound>>)>,
) {
    let mut batch = Vec::with_capacity(FETCH_BATCH);
    while requests.recv_many(&mut batch, FETCH_BATCH).await > 0 {
        let ids: Vec<_> = batch.iter().map(|(instance, _)| *instance).collect();
        let mut rows: HashMap<InstanceId, Vec<Outbound>> = HashMap::new();
        match ledger.open_messages(&ids, window).await {
            Ok(found) => {
                for row in found {
                    rows.entry(row.message.instance).or_default().push(row);
                }
            }
            Err(error) => tracing::warn!(%error, "open messages could not be read"),
        }
        for (instance, answer) in batch.drain(..) {
            // Nobody waits for an instance that was dropped meanwhile.
            let _ = answer.send(rows.remove(&instance).unwrap_or_default());
        }
    }
}
