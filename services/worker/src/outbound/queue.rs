//! The open rows of one instance in memory: one un-acked message a chat, chats side by side.

use super::{
    decide::{LinkState, RowState, Step, decide},
    turn::Turn,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};
use warren_domain::{InstanceId, MessageId, MessageStatus, Timestamp, message::Outbound};
use warren_ports::ledger::OwnerLedger;

/// A message that was given to the library or to the wire.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) message: MessageId,
    pub(crate) chat: String,
    /// When it was taken out of the queue.
    pub(crate) begun: Instant,
    /// When its write returned; `None` while it is being encrypted and written.
    pub(crate) written: Option<Instant>,
    /// Whether this is a repeated copy: a refusal of it may only mean that it is stale.
    pub(crate) repeated: bool,
    /// Whether it is the first message to somebody, as far as is known.
    pub(crate) to_stranger: bool,
    /// Whether it was encrypted anew, from what WhatsApp told of its recipients just now.
    pub(crate) anew: bool,
}

/// A row in its chat.
struct Waiting {
    row: Outbound,
    /// Whether its sending began on this connection.
    begun: bool,
}

impl Waiting {
    fn turn(&self) -> Turn {
        let message = &self.row.message;
        Turn {
            begun: self.begun || message.status == MessageStatus::Handed,
            send_at: message.send_at.filter(|at| *at > message.times.created),
            accepted_at: message.times.created,
            order: self.row.order,
        }
    }
}

/// The queue.
#[derive(Default)]
pub(crate) struct Queue {
    chats: HashMap<String, VecDeque<Waiting>>,
    known: HashSet<MessageId>,
    in_flight: HashMap<String, InFlight>,
    /// Stanzas that the server refused as stale on this connection.
    dead_stanzas: HashSet<MessageId>,
    /// What was settled since the fetch that is under way began: its rows may be older than that.
    settled_since_fetch: HashSet<MessageId>,
    /// What is being cancelled, until the ledger said whether it is.
    cancelling: HashSet<MessageId>,
    /// Chats that wait before their head is tried again.
    paused: HashMap<String, Instant>,
    /// Chats with people with whom no message was ever exchanged, of those in the queue, as far as was asked.
    strangers: HashSet<String>,
}

/// What to do next.
pub(crate) struct Next {
    pub(crate) row: Outbound,
    pub(crate) step: Step,
}

/// What may be begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// How many messages may be encrypted for the first time; the first in turn are taken.
    pub(crate) fresh: usize,
    /// How many of these may go to strangers.
    pub(crate) strangers: usize,
}

impl Allowance {
    /// Without a limit it does not matter who is first.
    const fn is_limited(self) -> bool {
        self.fresh != usize::MAX || self.strangers != usize::MAX
    }
}

/// What can be done now, and what would be if it were allowed.
#[derive(Default)]
pub(crate) struct Ready {
    pub(crate) next: Vec<Next>,
    /// Whether a message waits that was not among the allowed ones.
    pub(crate) waits: bool,
    /// Whether one waits because it is for a stranger.
    pub(crate) stranger_waits: bool,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    pub(crate) fn fetch_begins(&mut self) {
        self.settled_since_fetch.clear();
    }

    /// Takes fetched rows in. Known ones stay as they are; each chat keeps the order of [`Turn`].
    pub(crate) fn offer(&mut self, rows: Vec<Outbound>) {
        for row in rows {
            let id = row.message.id;
            if self.settled_since_fetch.contains(&id) || self.cancelling.contains(&id) || !self.known.insert(id) {
                continue;
            }
            let chat = self.chats.entry(row.message.chat.clone()).or_default();
            let waiting = Waiting { row, begun: false };
            let turn = waiting.turn();
            let place = chat.iter().rposition(|other| other.turn().precedes(&turn)).map_or(0, |last| last + 1);
            chat.insert(place, waiting);
        }
    }

    /// The chats in the queue.
    pub(crate) fn chats(&self) -> Vec<String> {
        self.chats.keys().cloned().collect()
    }

    /// Who of these is a stranger.
    pub(crate) fn set_strangers(&mut self, asked: &[String], strangers: Vec<String>) {
        let (chats, in_flight) = (&self.chats, &self.in_flight);
        // Bounded by what is in memory.
        self.strangers.retain(|chat| {
            !asked.contains(chat) && (chats.contains_key(chat) || in_flight.values().any(|entry| entry.chat == *chat))
        });
        self.strangers.extend(strangers);
    }

    /// The message was taken by the server: whoever it is for is no stranger any more. Whether he was one until now.
    pub(crate) fn acquainted(&mut self, whatsapp_id: &str) -> bool {
        let Some(entry) = self.in_flight.get_mut(whatsapp_id) else { return false };
        self.strangers.remove(&entry.chat);
        std::mem::take(&mut entry.to_stranger)
    }

    /// Puts what waits for strangers out of memory, so that it is not in the way of the rest; the ledger keeps it.
    pub(crate) fn drop_strangers(&mut self) {
        for chat in &self.strangers {
            let Some(rows) = self.chats.get_mut(chat) else { continue };
            rows.retain(|waiting| {
                let stays = waiting.turn().begun;
                if !stays {
                    self.known.remove(&waiting.row.message.id);
                }
                stays
            });
            if rows.is_empty() {
                self.chats.remove(chat);
            }
        }
    }

    /// First messages to strangers that are not settled yet.
    pub(crate) fn strangers_in_flight(&self) -> usize {
        self.in_flight.values().filter(|entry| entry.to_stranger).count()
    }

    /// The heads of chats that something can be done with now, at most `room` of them. Each is then in flight until
    /// [`Self::settle`] or [`Self::retry_later`].
    pub(crate) fn take_ready(&mut self, link: LinkState, now: Timestamp, room: usize, allowed: Allowance) -> Ready {
        let mut ready = Ready::default();
        let mut fresh = Vec::new();
        let instant = Instant::now();
        self.paused.retain(|_, until| *until > instant);
        for (name, chat) in &self.chats {
            let counted = if allowed.is_limited() { 0 } else { fresh.len() };
            if ready.next.len() + counted + self.in_flight.len() >= room {
                break;
            }
            let Some(head) = chat.front() else { continue };
            let row = &head.row;
            if self.in_flight.contains_key(&row.message.whatsapp_id) || self.paused.contains_key(name) {
                continue;
            }
            let link = LinkState { stanza_dead: self.dead_stanzas.contains(&row.message.id), ..link };
            match decide(state(row, now), link) {
                Step::Wait | Step::Settled => {}
                Step::Encrypt if row.message.status == MessageStatus::Queued => fresh.push((head.turn(), name.clone())),
                step => ready.next.push(Next { row: row.clone(), step }),
            }
        }
        if allowed.is_limited() {
            fresh.sort_unstable_by_key(|(turn, _)| (turn.due(), turn.order));
        }
        let mut places = allowed.strangers;
        fresh.retain(|(_, name)| {
            let is_stranger = self.strangers.contains(name);
            if is_stranger && places == 0 {
                ready.stranger_waits = true;
                return false;
            }
            places -= usize::from(is_stranger);
            true
        });
        let free = room.saturating_sub(ready.next.len() + self.in_flight.len()).min(allowed.fresh);
        ready.waits = allowed.fresh < fresh.len();
        fresh.truncate(free);
        let heads = fresh.iter().filter_map(|(_, name)| self.chats.get(name).and_then(VecDeque::front));
        ready.next.extend(heads.map(|head| Next { row: head.row.clone(), step: Step::Encrypt }));
        for next in &ready.next {
            self.begin(next, instant);
        }
        ready
    }

    fn begin(&mut self, next: &Next, now: Instant) {
        let message = &next.row.message;
        if let Some(head) = self.chats.get_mut(&message.chat).and_then(VecDeque::front_mut) {
            head.begun = true;
        }
        let entry = InFlight {
            message: message.id,
            chat: message.chat.clone(),
            begun: now,
            written: None,
            repeated: matches!(next.step, Step::Resend),
            to_stranger: self.strangers.contains(&message.chat),
            anew: matches!(next.step, Step::EncryptAnew),
        };
        self.in_flight.insert(message.whatsapp_id.clone(), entry);
    }

    /// Takes a message out that is to be cancelled. `false`: it may be on the wire and stays. One that is not in memory may
    /// be in the ledger. Until [`Self::cancelled`] it is not taken in again.
    pub(crate) fn withdraw(&mut self, message: MessageId) -> bool {
        if self.known.contains(&message) {
            let found = self
                .chats
                .iter()
                .find_map(|(name, rows)| rows.iter().find(|waiting| waiting.row.message.id == message).map(|at| (name, at)));
            if let Some((name, waiting)) = found {
                if waiting.turn().begun {
                    return false;
                }
                let name = name.clone();
                self.forget(&name, message);
            }
        }
        self.cancelling.insert(message);
        true
    }

    /// The ledger has answered: a fetch that is under way may be older than its answer.
    pub(crate) fn cancelled(&mut self, message: MessageId) {
        self.cancelling.remove(&message);
        self.settled_since_fetch.insert(message);
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
            rows.retain(|waiting| waiting.row.message.id != message);
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
        head.map_or(0, |waiting| {
            waiting.row.attempt += 1;
            waiting.row.attempt
        })
    }

    /// What the message's file became at WhatsApp is in its row now.
    pub(crate) fn keep_upload(&mut self, whatsapp_id: &str, upload: &[u8]) {
        let Some(entry) = self.in_flight.get(whatsapp_id) else { return };
        let head = self.chats.get_mut(&entry.chat).and_then(VecDeque::front_mut);
        if let Some(waiting) = head.filter(|waiting| waiting.row.message.id == entry.message) {
            waiting.row.upload = Some(upload.to_vec());
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
        age: now.since(first_handed),
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

#[cfg(test)]
mod tests;
