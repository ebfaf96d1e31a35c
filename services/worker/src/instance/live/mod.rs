//! A live connection: signals in, sends out, until it ends.

mod cancelling;
mod files;
mod hearing;
mod limits;
mod sends;
mod settling;
mod signs;
mod typed_code;
mod watch;

use super::{
    actor::{Actor, Intent},
    command::{LiveMail, not_online},
    policy::Ending,
    settle::Settler,
};
use crate::{
    ask::{Asker, Asks},
    client::Link,
    numbers::{Numbers, Pace},
    outbound::{queue::Queue, send::Sent},
    session::Poison,
};
use cancelling::answer_cancelled;
use files::Preparations;
use futures::future::{BoxFuture, OptionFuture};
pub(super) use limits::Relapses;
use sends::Fetched;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, oneshot, watch as watched},
    task::JoinSet,
};
use typed_code::TypedCode;
use wacore_binary::OwnedNodeRef;
use warren_domain::{InstanceState, message::Outbound};
use warren_ports::{
    bus::{Action, Ask, Reply, Ring, Topic},
    ledger::Outcome,
};
use watch::Alarm;
use whatsapp_rust::NodeFilter;

/// An end that takes longer is told of: whoever is to own the instance next waits for it.
const SLOW_END: Duration = Duration::from_secs(1);
/// How long a clean stop waits for the answers to messages and asks in flight.
const FINISH: Duration = Duration::from_secs(3);
/// How long WhatsApp may take to unlink a device.
const LOGOUT: Duration = Duration::from_secs(5);
/// A message that the library cannot write to its recipient fails after so many attempts.
const ATTEMPTS: u32 = 3;
/// How long the chat of a message waits after an attempt that did not leave.
const RETRY_PAUSE: Duration = Duration::from_secs(2);

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
    preparations: Preparations,
    asks: Asks,
    pace: Arc<Pace>,
    fetch: Option<BoxFuture<'static, Fetched>>,
    fetch_wanted: bool,
    /// What is being found out about a refusal.
    inquiry: limits::Inquiry,
    /// Since when a restriction of this connection holds.
    restricted_since: Option<Instant>,
    stream_error: futures::channel::oneshot::Receiver<Arc<OwnedNodeRef>>,
    ready: bool,
    drained: bool,
    online: bool,
    /// A clean end that waits for the messages in flight.
    closing: Option<(LiveEnd, Instant)>,
    paired: bool,
    typed_code: TypedCode,
    opened: Instant,
    /// Whether writes wait for the store.
    store_slow: watched::Receiver<bool>,
    alarm: Alarm,
}

/// One round of the loop: go on, or the end.
type Round = Option<LiveEnd>;

impl<'a> Live<'a> {
    pub(super) fn new(actor: &'a mut Actor, link: Link, permit: OwnedSemaphorePermit) -> Self {
        let ledger = actor.shared.ports.ledger.clone();
        let store_slow = actor.shared.store_slow.subscribe();
        let stream_error = link.client.wait_for_node(NodeFilter::tag("stream:error"));
        Self {
            actor,
            link,
            permit: Some(permit),
            queue: Queue::default(),
            settler: Settler::new(ledger),
            sends: JoinSet::new(),
            preparations: Preparations::default(),
            asks: Asks::default(),
            pace: Arc::default(),
            fetch: None,
            fetch_wanted: false,
            inquiry: None,
            restricted_since: None,
            stream_error,
            ready: false,
            drained: false,
            online: false,
            closing: None,
            paired: false,
            typed_code: TypedCode::default(),
            opened: Instant::now(),
            store_slow,
            alarm: Alarm::new(),
        }
    }

    pub(super) async fn run(mut self) -> LiveEnd {
        let end = loop {
            if let Some(end) = self.round().await {
                break end;
            }
            if let Some(end) = self.advance().await {
                break end;
            }
            self.set_alarm();
        };
        self.close(end).await
    }

    async fn round(&mut self) -> Round {
        tokio::select! {
            biased;
            _ = self.link.poisoned.changed() => self.poisoned(),
            signal = self.link.signals.recv() => match signal {
                Some(signal) => self.hear(signal).await,
                None => Some(LiveEnd::Ended(Ending::Closed(self.link.gate.loss()))),
            },
            node = &mut self.stream_error => self.heard_stream_error(node.ok()),
            committed = self.settler.next() => self.settled(committed),
            Some(finished) = self.sends.join_next() => match finished {
                Ok(finished) => self.sent(finished),
                // A send that panicked leaves its message in doubt.
                Err(_) => Some(LiveEnd::Ended(Ending::Unanswered)),
            },
            Some(()) = self.asks.next() => self.review_name(),
            Some(ended) = self.preparations.next() => self.prepared(ended),
            Some(rows) = OptionFuture::from(self.fetch.as_mut()) => self.fetched(rows),
            Some(findings) = OptionFuture::from(self.inquiry.as_mut()) => self.inquired(findings),
            mail = self.actor.mailbox.recv() => match mail {
                Some(mail) => self.read(mail),
                None => Some(LiveEnd::Stop),
            },
            _ = &mut self.link.run => Some(self.run_ended().await),
            // An error would mean that the worker is gone; the alarm goes on by itself.
            Ok(()) = self.store_slow.changed() => self.look(),
            () = self.alarm.goes_off() => self.look(),
        }
    }

    fn poisoned(&self) -> Round {
        let reason = (*self.link.poisoned.borrow())?;
        self.actor.shared.metrics.poisoned.with_label_values(&[reason.as_str()]).inc();
        Some(LiveEnd::Ended(Ending::Poisoned(reason)))
    }

    fn read(&mut self, mail: super::Mail) -> Round {
        // Whoever asks for the health is told what was heard until now.
        self.note_last_heard();
        match self.actor.read_live(mail) {
            LiveMail::Answered => {}
            LiveMail::Ring => self.fetch_wanted = true,
            LiveMail::Ask(ask, reply) => self.ask(ask, reply),
            LiveMail::Cancel(message, reply) => return self.cancel(message, reply),
            // The ledger takes nothing more of it: there is nothing to wait for.
            LiveMail::Stop if self.actor.owner.is_lost() => return Some(LiveEnd::Stop),
            LiveMail::Stop => self.begin_closing(LiveEnd::Stop),
            LiveMail::Command(action, reply) => self.begin_closing(LiveEnd::Command(action, reply)),
        }
        None
    }

    /// Asks, if this connection is for asking. What comes before that, or when it only makes room for the next one, waits.
    fn ask(&mut self, ask: Ask, reply: oneshot::Sender<Reply>) {
        match &self.closing {
            None if self.online => self.asks.begin(self.asker(), ask, reply, Instant::now()),
            None if self.actor.intent == Intent::Online => self.actor.waiting.push(ask, reply),
            Some((LiveEnd::Command(Action::Restart, _), _)) => self.actor.waiting.push(ask, reply),
            // Somebody else owns the instance next: the bus asks there.
            Some((LiveEnd::Stop, _)) => drop(reply),
            _ => drop(reply.send(not_online())),
        }
    }

    fn asker(&self) -> Asker {
        Asker { client: self.link.client.clone(), numbers: self.numbers(), files: self.link.files.clone() }
    }

    /// Number checks through this connection.
    fn numbers(&self) -> Numbers {
        Numbers {
            client: self.link.client.clone(),
            shared: self.actor.shared.clone(),
            owner: self.actor.owner.clone(),
            tenant: self.actor.instance.tenant,
            instance: self.actor.instance.id,
            pace: self.pace.clone(),
        }
    }

    fn begin_closing(&mut self, end: LiveEnd) {
        if self.closing.is_none() {
            // A file takes longer than a stop may; its message waits for the next connection.
            self.preparations.end();
            self.closing = Some((end, Instant::now() + FINISH));
        }
    }

    /// What the last event made possible.
    async fn advance(&mut self) -> Round {
        // The receipts of the backlog are applied before anything is repeated.
        if self.ready && self.drained && !self.online && self.settler.is_idle() && self.actor.intent == Intent::Online {
            // The login's second fence: nothing is claimed or sent before it.
            if self.actor.set_state(InstanceState::Online, None).await.is_err() {
                return Some(LiveEnd::Ended(Ending::Poisoned(Poison::OwnershipLost)));
            }
            tracing::debug!(instance = %self.actor.instance.id, took_ms = self.opened.elapsed().as_millis(), "online");
            self.permit = None;
            self.online = true;
            self.actor.pairing.awaits_login = false;
            self.fetch_wanted = true;
            for waited in self.actor.waiting.take() {
                self.asks.begin(self.asker(), waited.ask, waited.reply, waited.since);
            }
            if let Some(end) = self.review_restriction() {
                return Some(end);
            }
        }
        if let Some((_, deadline)) = &self.closing
            && (self.is_quiet() || Instant::now() > *deadline)
        {
            return self.closing.take().map(|(end, _)| end);
        }
        if self.online && self.closing.is_none() { self.dispatch() } else { None }
    }

    fn is_quiet(&self) -> bool {
        self.sends.is_empty() && self.settler.is_idle() && !self.queue.awaits_answers() && self.asks.are_done()
    }

    /// Ends the client, then keeps what it had been told: an ack that was seen is never lost to a reconnect.
    async fn close(mut self, end: LiveEnd) -> LiveEnd {
        let logout = matches!(&end, LiveEnd::Command(Action::Logout | Action::Deleted, _));
        // Who was replaced, or owns it no more, has no connection on which the client could say its last words; and the next owner
        // may be this worker, under another epoch: it waits for the end of this one.
        let dead = self.actor.owner.is_lost()
            || matches!(&end, LiveEnd::Ended(Ending::LoggedOut(_) | Ending::Poisoned(_) | Ending::Replaced))
            || matches!(&end, LiveEnd::Command(Action::CancelPairing, _));
        self.keep_last_words();
        self.asks.end().await;
        self.preparations.end();
        let (client, run_ended) = (self.link.client.clone(), self.link.run.is_finished());
        if logout && !run_ended {
            // Unlinks the device at WhatsApp; bounded, because a dead connection must not hold the command.
            let _ = tokio::time::timeout(LOGOUT, client.logout()).await;
        }
        drop(client);
        self.permit = None;
        let began = Instant::now();
        if dead || logout {
            self.link.abort().await;
        } else {
            self.link.finish().await;
        }
        let client_ended = began.elapsed();
        // Nothing of them can leave any more, and a send that waits for an answer of that client would wait for long. What it
        // had claimed is in doubt, as after a crash: it is in the ledger before anything of the next client is.
        self.sends.shutdown().await;
        let sends_ended = began.elapsed();
        while !self.settler.is_idle() && !self.actor.owner.is_lost() {
            for (item, outcome) in self.settler.next().await {
                if matches!(outcome, Outcome::OwnershipLost | Outcome::LedgerBehind) {
                    self.actor.owner.lose();
                }
                answer_cancelled(item.reply, &outcome);
                if let Some(message) = item.message {
                    self.actor.shared.ports.bus.ring(Topic::Settled(message), Ring::Settled);
                }
            }
            self.actor.ring_log();
        }
        if began.elapsed() > SLOW_END {
            tracing::warn!(
                instance = %self.actor.instance.id,
                client_ms = client_ended.as_millis(),
                sends_ms = (sends_ended - client_ended).as_millis(),
                writes_ms = (began.elapsed() - sends_ended).as_millis(),
                online = self.online,
                "a connection took long to end"
            );
        }
        end
    }
}
