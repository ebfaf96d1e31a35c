//! A live connection: signals in, sends out, until it ends.

use super::{
    actor::{Actor, Intent},
    command::LiveMail,
    policy::Ending,
    settle::{Committed, Item, Settler, result_label},
};
use crate::{
    client::{Link, ReceiptSignal, Signal},
    outbound::{
        decide::{Refused, Step, refusal},
        queue::{Next, Queue},
        send::{NotSent, Sender, Sent},
    },
    session::SLOW,
};
use futures::future::BoxFuture;
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinSet,
    time::MissedTickBehavior,
};
use wacore_binary::{Jid, OwnedNodeRef};
use warren_domain::{
    FailureReason, Health, HealthStatus, InstanceState, MessageStatus, Timestamp, event::NewEvent, message::Outbound,
};
use warren_ports::{
    bus::{Action, Reply, Ring, Topic},
    ledger::{Op, Outcome, ReceiptTarget},
};
use warren_runtime::fault;
use whatsapp_rust::NodeFilter;

/// How long a clean stop waits for the answers to messages in flight.
const FINISH: Duration = Duration::from_secs(3);
/// How long the sends of a dead connection may take to notice.
const SEND_END: Duration = Duration::from_secs(5);
/// A message that the library cannot write to its recipient fails after so many attempts.
const ATTEMPTS: u32 = 3;
/// How long the chat of a message waits after an attempt that did not leave.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

/// A login that takes longer than the first while nothing is heard for the second is tried again.
const LOGIN_DEADLINE: Duration = Duration::from_secs(120);
const LOGIN_QUIET: Duration = Duration::from_secs(60);

/// How a connection ended.
pub(super) enum LiveEnd {
    /// By itself, or by WhatsApp.
    Ended(Ending),
    /// By a command that is to be carried out now.
    Command(Action, oneshot::Sender<Reply>),
    /// The actor is to end.
    Stop,
}

/// A finished send.
struct Finished {
    row: Outbound,
    sent: Sent,
    replaced_stanza: bool,
}

/// The connection.
pub(super) struct Live<'a> {
    actor: &'a mut Actor,
    link: Link,
    permit: Option<OwnedSemaphorePermit>,
    queue: Queue,
    settler: Settler,
    sends: JoinSet<Finished>,
    fetch: Option<BoxFuture<'static, Vec<Outbound>>>,
    fetch_wanted: bool,
    stream_error: futures::channel::oneshot::Receiver<Arc<OwnedNodeRef>>,
    ready: bool,
    drained: bool,
    online: bool,
    /// A clean end that waits for the messages in flight.
    closing: Option<(LiveEnd, Instant)>,
    paired: bool,
    opened: Instant,
}

/// One round of the loop: go on, or the end.
type Round = Option<LiveEnd>;

impl<'a> Live<'a> {
    pub(super) fn new(actor: &'a mut Actor, link: Link, permit: OwnedSemaphorePermit) -> Self {
        let ledger = actor.shared.ports.ledger.clone();
        let stream_error = link.client.wait_for_node(NodeFilter::tag("stream:error"));
        Self {
            actor,
            link,
            permit: Some(permit),
            queue: Queue::default(),
            settler: Settler::new(ledger),
            sends: JoinSet::new(),
            fetch: None,
            fetch_wanted: false,
            stream_error,
            ready: false,
            drained: false,
            online: false,
            closing: None,
            paired: false,
            opened: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) -> LiveEnd {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            if let Some(end) = self.round(&mut tick).await {
                break end;
            }
            if let Some(end) = self.advance().await {
                break end;
            }
        };
        self.close(end).await
    }

    async fn round(&mut self, tick: &mut tokio::time::Interval) -> Round {
        tokio::select! {
            biased;
            _ = self.link.poisoned.changed() => self.poisoned(),
            signal = self.link.signals.recv() => match signal {
                Some(signal) => self.hear(signal).await,
                None => Some(LiveEnd::Ended(Ending::Closed)),
            },
            node = &mut self.stream_error => self.heard_stream_error(node.ok()),
            committed = self.settler.next() => self.settled(committed),
            Some(finished) = self.sends.join_next() => match finished {
                Ok(finished) => self.sent(finished),
                // A send that panicked leaves its message in doubt.
                Err(_) => Some(LiveEnd::Ended(Ending::Unanswered)),
            },
            rows = fetched(&mut self.fetch) => self.fetched(rows),
            mail = self.actor.mailbox.recv() => match mail {
                Some(mail) => self.read(mail),
                None => Some(LiveEnd::Stop),
            },
            _ = &mut self.link.run => Some(self.run_ended().await),
            _ = tick.tick() => self.tick(),
        }
    }

    fn poisoned(&self) -> Round {
        let reason = (*self.link.poisoned.borrow())?;
        self.actor
            .shared
            .metrics
            .poisoned
            .with_label_values(&[match reason {
                crate::session::Poison::OwnershipLost => "ownership_lost",
                crate::session::Poison::LedgerBehind => "ledger_behind",
                crate::session::Poison::Timeout => "timeout",
                crate::session::Poison::Refused => "refused",
            }])
            .inc();
        Some(LiveEnd::Ended(Ending::Poisoned(reason)))
    }

    /// The run loop ended. What was signalled before it is heard first: it may tell why, and a pairing or an ack among it
    /// counts like any other.
    async fn run_ended(&mut self) -> LiveEnd {
        while let Ok(signal) = self.link.signals.try_recv() {
            if let Some(end) = self.hear(signal).await {
                return end;
            }
        }
        if self.actor.intent == Intent::Pair && !self.paired {
            // The server may end the stream before the library says that the pairing succeeded: its device knows.
            let device = self.link.client.persistence_manager().get_device_snapshot();
            if let (Some(_), Some(pn)) = (&device.account, &device.pn) {
                let lid = device.lid.clone().unwrap_or_default();
                if let Some(end) = self.scanned(pn.clone(), lid, None).await {
                    return end;
                }
            }
        }
        LiveEnd::Ended(if self.paired { Ending::Paired } else { Ending::Closed })
    }

    /// What a connection that is over had still to say: nothing is done about it, but acks and receipts are kept.
    fn keep_last_words(&mut self) {
        while let Ok(signal) = self.link.signals.try_recv() {
            match signal {
                Signal::Ack { id, error } => {
                    self.acked(id, error);
                }
                Signal::Receipt(receipt) => {
                    self.receipt(receipt);
                }
                Signal::Undecryptable { id, chat, sender } => {
                    self.undecryptable(&id, &chat, &sender);
                }
                _ => {}
            }
        }
    }

    async fn hear(&mut self, signal: Signal) -> Round {
        if let Some(ending) = ending_of(&signal) {
            return Some(LiveEnd::Ended(ending));
        }
        match signal {
            Signal::Qr { code, valid_for } => self.actor.show_code(code, valid_for),
            Signal::Paired { pn, lid, push_name } => return self.scanned(pn, lid, push_name).await,
            Signal::Ready => self.ready = true,
            Signal::Drained => self.drained = true,
            Signal::Ack { id, error } => return self.acked(id, error),
            Signal::Receipt(receipt) => return self.receipt(receipt),
            Signal::Undecryptable { id, chat, sender } => return self.undecryptable(&id, &chat, &sender),
            Signal::PushName(name) => {
                if let Some(mut account) = self.actor.instance.account.clone() {
                    account.push_name = Some(name);
                    let op = Op::SetAccount { account: account.clone(), event: None };
                    self.actor.instance.account = Some(account);
                    return self.settle(op, None, None);
                }
            }
            _ => {}
        }
        None
    }

    /// The phone scanned the code. The keys are stored before anybody is told; then the server restarts the stream.
    async fn scanned(&mut self, pn: Jid, lid: Jid, push_name: Option<String>) -> Round {
        if self.link.client.persistence_manager().flush().await.is_err() {
            return Some(LiveEnd::Ended(Ending::PairingFailed));
        }
        match self.actor.paired(&pn, &lid, push_name).await {
            Ok(()) => {
                self.paired = true;
                None
            }
            Err(_) => Some(LiveEnd::Ended(Ending::PairingFailed)),
        }
    }

    fn heard_stream_error(&mut self, node: Option<Arc<OwnedNodeRef>>) -> Round {
        let node = node?;
        self.stream_error = self.link.client.wait_for_node(NodeFilter::tag("stream:error"));
        let code = node.get().get_attr("code").map(|code| code.as_str().to_string()).unwrap_or_default();
        // The library leaves the socket open after these two; the others it announces itself.
        matches!(code.as_str(), "429" | "503").then_some(LiveEnd::Ended(Ending::Stream(code)))
    }

    /// The server's answer to a message.
    fn acked(&mut self, id: String, error: Option<String>) -> Round {
        let (message, repeated) = match self.queue.in_flight(&id) {
            Some(entry) => {
                if let (Some(written), None) = (entry.written, &error) {
                    let took = written.elapsed();
                    self.actor.shared.metrics.send_seconds.with_label_values(&["ack"]).observe(took.as_secs_f64());
                    self.actor.instance.health.rtt_ms = u32::try_from(took.as_millis()).ok();
                }
                (Some(entry.message), entry.repeated)
            }
            None => (None, false),
        };
        let now = self.actor.now();
        let Some(code) = error else {
            fault::point("outbound.acked");
            let target = ReceiptTarget { whatsapp_ids: vec![id.clone()], status: MessageStatus::Sent, at: now };
            return self.settle(Op::Receipt(target), Some(id), message);
        };
        let message = message?;
        let reason = match refusal(&code, repeated) {
            Refused::StaleStanza => {
                self.queue.retry_later(&id, Duration::ZERO, true);
                return None;
            }
            Refused::Later => {
                // The stored copy stands; the next one is sent on a new connection.
                return Some(LiveEnd::Ended(Ending::Unanswered));
            }
            Refused::ReachoutLimit => FailureReason::ReachoutLimit,
            Refused::Rejected => FailureReason::Rejected,
        };
        self.settle(Op::Fail { message, reason, at: now }, Some(id), Some(message))
    }

    fn receipt(&mut self, receipt: ReceiptSignal) -> Round {
        // A receipt proves that the server took the message: it settles a row whose ack was lost.
        let frees = receipt.ids.iter().find(|id| self.queue.in_flight(id).is_some()).cloned();
        let message = frees.as_ref().and_then(|id| self.queue.in_flight(id)).map(|entry| entry.message);
        let at = receipt.at.unwrap_or_else(|| self.actor.now());
        let target = ReceiptTarget { whatsapp_ids: receipt.ids, status: receipt.status, at };
        self.settle(Op::Receipt(target), frees, message)
    }

    fn undecryptable(&mut self, id: &str, chat: &str, sender: &str) -> Round {
        let event = NewEvent::message_undecryptable(id, chat, sender, "undecryptable", self.actor.now());
        self.settle(Op::Append(event), None, None)
    }

    /// Queues a write of this connection.
    fn settle(&mut self, op: Op, frees: Option<String>, message: Option<warren_domain::MessageId>) -> Round {
        let item = Item { write: self.actor.write(op), frees, message };
        (!self.settler.push(item)).then_some(LiveEnd::Ended(Ending::Unanswered))
    }

    fn settled(&mut self, committed: Committed) -> Round {
        let shared = self.actor.shared.clone();
        for (item, outcome) in committed {
            match outcome {
                Outcome::Done | Outcome::NoChange => {}
                Outcome::OwnershipLost | Outcome::LedgerBehind => {
                    self.actor.owner.lose();
                    return Some(LiveEnd::Ended(Ending::Poisoned(crate::session::Poison::OwnershipLost)));
                }
                Outcome::Refused(error) => {
                    tracing::error!(instance = %self.actor.instance.id, %error, "the ledger refused a settlement");
                }
            }
            if item.frees.as_ref().is_some_and(|id| self.queue.settle(id)) {
                shared.metrics.sends.with_label_values(&[result_label(&item.write.op)]).inc();
            }
            if let Some(message) = item.message {
                shared.ports.bus.ring(Topic::Settled(message), Ring::Settled);
            }
        }
        self.actor.ring_log();
        None
    }

    /// A send came back.
    fn sent(&mut self, finished: Finished) -> Round {
        let message = &finished.row.message;
        let id = message.whatsapp_id.as_str();
        match finished.sent {
            Sent::Written => {
                self.queue.written(id);
                let accepted = message.times.created.as_millis();
                let waited = self.actor.now().as_millis().saturating_sub(accepted);
                let seconds = Duration::from_millis(u64::try_from(waited).unwrap_or(0)).as_secs_f64();
                self.actor.shared.metrics.send_seconds.with_label_values(&["hand"]).observe(seconds);
                None
            }
            Sent::InDoubt => Some(LiveEnd::Ended(Ending::Unanswered)),
            Sent::NotMine => {
                self.queue.settle(id);
                None
            }
            Sent::NotSent(NotSent::Disconnected) => {
                self.queue.retry_later(id, RETRY_PAUSE, finished.replaced_stanza);
                None
            }
            Sent::NotSent(NotSent::Unsupported) => self.fail(&finished.row, FailureReason::Rejected),
            Sent::NotSent(NotSent::Unreachable) if finished.row.attempt + 1 >= ATTEMPTS => {
                self.fail(&finished.row, FailureReason::NotOnWhatsapp)
            }
            Sent::NotSent(NotSent::Unreachable) => {
                self.queue.retry_later(id, RETRY_PAUSE, finished.replaced_stanza);
                None
            }
        }
    }

    fn fail(&mut self, row: &Outbound, reason: FailureReason) -> Round {
        let message = row.message.id;
        let op = Op::Fail { message, reason, at: self.actor.now() };
        self.settle(op, Some(row.message.whatsapp_id.clone()), Some(message))
    }

    fn fetched(&mut self, rows: Vec<Outbound>) -> Round {
        self.fetch = None;
        // A full window: there may be more behind it.
        self.fetch_wanted |= rows.len() >= self.actor.shared.options.window as usize;
        self.queue.offer(rows);
        None
    }

    fn read(&mut self, mail: super::Mail) -> Round {
        match self.actor.read_live(mail) {
            LiveMail::Answered => {}
            LiveMail::Ring => self.fetch_wanted = true,
            LiveMail::Stop => self.begin_closing(LiveEnd::Stop),
            LiveMail::Command(action, reply) => self.begin_closing(LiveEnd::Command(action, reply)),
        }
        None
    }

    fn begin_closing(&mut self, end: LiveEnd) {
        if self.closing.is_none() {
            self.closing = Some((end, Instant::now() + FINISH));
        }
    }

    /// Once a second.
    fn tick(&mut self) -> Round {
        if self.queue.has_overdue(self.actor.shared.options.ack_deadline()) {
            return Some(LiveEnd::Ended(Ending::Unanswered));
        }
        if self.actor.intent == Intent::Pair && Instant::now() > self.actor.pairing.deadline {
            return Some(LiveEnd::Ended(Ending::CodesExhausted));
        }
        if !self.online {
            // A long backlog takes its time, but then something is heard all the while.
            let last_ms = i64::try_from(self.link.client.stats().last_data_received_ms).unwrap_or(0);
            let quiet = Timestamp::from_millis(last_ms).after(LOGIN_QUIET) < self.actor.now();
            let overdue = self.actor.intent == Intent::Online && self.opened.elapsed() > LOGIN_DEADLINE && quiet;
            return overdue.then_some(LiveEnd::Ended(Ending::Unanswered));
        }
        let health = self.measure();
        let known = &self.actor.instance.health;
        if health.status == known.status && health.reason == known.reason {
            self.actor.instance.health = health;
            return None;
        }
        self.actor.instance.health = health.clone();
        let at = self.actor.now();
        self.settle(Op::SetHealth { health, at }, None, None)
    }

    fn measure(&self) -> Health {
        let last_ms = i64::try_from(self.link.client.stats().last_data_received_ms).unwrap_or(0);
        let last_stanza_at = (last_ms > 0).then(|| Timestamp::from_millis(last_ms));
        let silent_after = Duration::from_secs(self.actor.shared.options.silent_after_s);
        let silent = last_stanza_at.is_some_and(|at| at.after(silent_after) < self.actor.now());
        let store_waits = Duration::from_millis(self.actor.shared.store_waits_ms.load(Ordering::Relaxed)) > SLOW;
        let reason = if store_waits {
            Some("store")
        } else if silent {
            Some("silent")
        } else {
            None
        };
        Health {
            status: if reason.is_some() { HealthStatus::Degraded } else { HealthStatus::Ok },
            reason: reason.map(str::to_owned),
            last_stanza_at,
            rtt_ms: self.actor.instance.health.rtt_ms,
        }
    }

    /// What the last event made possible.
    async fn advance(&mut self) -> Round {
        // The receipts of the backlog are applied before anything is repeated.
        if self.ready && self.drained && !self.online && self.settler.is_idle() && self.actor.intent == Intent::Online {
            // The login's second fence: nothing is claimed or sent before it.
            if self.actor.set_state(InstanceState::Online, None).await.is_err() {
                return Some(LiveEnd::Ended(Ending::Poisoned(crate::session::Poison::OwnershipLost)));
            }
            tracing::debug!(instance = %self.actor.instance.id, took_ms = self.opened.elapsed().as_millis(), "online");
            self.permit = None;
            self.online = true;
            self.fetch_wanted = true;
        }
        if let Some((_, deadline)) = &self.closing
            && (self.queue_is_quiet() || Instant::now() > *deadline)
        {
            return self.closing.take().map(|(end, _)| end);
        }
        if self.online && self.closing.is_none() { self.dispatch() } else { None }
    }

    fn queue_is_quiet(&self) -> bool {
        self.sends.is_empty() && self.settler.is_idle() && !self.queue.has_in_flight()
    }

    /// Starts what is ready, asks for more rows.
    fn dispatch(&mut self) -> Round {
        let options = &self.actor.shared.options;
        let (window, room) = (options.window as usize, options.in_flight);
        if self.fetch_wanted && self.fetch.is_none() && self.queue.len() < window.div_ceil(2) {
            self.fetch_wanted = false;
            self.queue.fetch_begins();
            let (fetcher, instance) = (self.actor.shared.fetcher.clone(), self.actor.instance.id);
            self.fetch = Some(Box::pin(async move { fetcher.fetch(instance).await }));
        }
        let ready = self.queue.take_ready(self.actor.owner.fence().epoch, self.drained, self.actor.now(), room);
        ready.into_iter().find_map(|next| self.start(next))
    }

    fn start(&mut self, next: Next) -> Round {
        let Next { row, step } = next;
        let resends = &self.actor.shared.metrics.resends;
        let step = match step {
            Step::Resend if fault::mutation("re_encrypt_on_resend") => Step::EncryptAnew,
            step => step,
        };
        let replaced_stanza = step == Step::EncryptAnew;
        let sender = self.sender();
        match step {
            Step::Encrypt => {
                self.sends.spawn(async move {
                    let sent = sender.encrypt(&row, false).await;
                    Finished { row, sent, replaced_stanza }
                });
            }
            Step::EncryptAnew => {
                resends.with_label_values(&["encrypted_anew"]).inc();
                self.sends.spawn(async move {
                    let sent = sender.encrypt(&row, true).await;
                    Finished { row, sent, replaced_stanza }
                });
            }
            Step::Resend => {
                resends.with_label_values(&["same_stanza"]).inc();
                self.sends.spawn(async move {
                    let sent = sender.resend(&row).await;
                    Finished { row, sent, replaced_stanza }
                });
            }
            Step::FailUnknown => return self.fail(&row, FailureReason::OutcomeUnknown),
            Step::Expire => return self.fail(&row, FailureReason::Expired),
            Step::Wait | Step::Settled => {}
        }
        None
    }

    fn sender(&self) -> Sender {
        Sender {
            client: self.link.client.clone(),
            gate: self.link.gate.clone(),
            store: self.link.store.clone(),
            ledger: self.actor.shared.ports.ledger.clone(),
            owner: self.actor.owner.clone(),
            clock: self.actor.shared.ports.clock.clone(),
        }
    }

    /// Ends the client, then keeps what it had been told: an ack that was seen is never lost to a reconnect.
    async fn close(mut self, end: LiveEnd) -> LiveEnd {
        let logout = matches!(&end, LiveEnd::Command(Action::Logout | Action::Deleted, _));
        let dead = matches!(&end, LiveEnd::Ended(Ending::LoggedOut(_) | Ending::Poisoned(_)))
            || matches!(&end, LiveEnd::Command(Action::CancelPairing, _));
        self.keep_last_words();
        let (client, run_ended) = (self.link.client.clone(), self.link.run.is_finished());
        if logout && !run_ended {
            // Unlinks the device at WhatsApp; bounded, because a dead connection must not hold the command.
            let _ = tokio::time::timeout(SEND_END, client.logout()).await;
        }
        drop(client);
        self.permit = None;
        if dead || logout {
            self.link.abort().await;
        } else {
            self.link.finish().await;
        }
        let sends_end = async { while self.sends.join_next().await.is_some() {} };
        if tokio::time::timeout(SEND_END, sends_end).await.is_err() {
            self.sends.shutdown().await;
        }
        while !self.settler.is_idle() && !self.actor.owner.is_lost() {
            for (item, outcome) in self.settler.next().await {
                if matches!(outcome, Outcome::OwnershipLost | Outcome::LedgerBehind) {
                    self.actor.owner.lose();
                }
                if let Some(message) = item.message {
                    self.actor.shared.ports.bus.ring(Topic::Settled(message), Ring::Settled);
                }
            }
            self.actor.ring_log();
        }
        end
    }
}

async fn fetched(fetch: &mut Option<BoxFuture<'static, Vec<Outbound>>>) -> Vec<Outbound> {
    match fetch {
        Some(fetch) => fetch.await,
        None => std::future::pending().await,
    }
}

/// The ending that a signal announces.
fn ending_of(signal: &Signal) -> Option<Ending> {
    Some(match signal {
        Signal::Replaced => Ending::Replaced,
        Signal::LoggedOut(cause) => Ending::LoggedOut(*cause),
        Signal::Banned { expires_in } => Ending::Banned(*expires_in),
        Signal::Failure(reason) => Ending::Failure(*reason),
        Signal::QrExhausted => Ending::CodesExhausted,
        Signal::PairingFailed => Ending::PairingFailed,
        _ => return None,
    })
}
