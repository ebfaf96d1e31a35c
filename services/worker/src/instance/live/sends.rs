//! Messages out: rows are fetched, decided about, sent; what came of each send.

use super::{ATTEMPTS, Finished, Live, LiveEnd, RETRY_PAUSE, Round, files::awaits_file};
use crate::{
    instance::policy::Ending,
    outbound::{
        decide::{LinkState, Step},
        pace::DAY,
        queue::Next,
        send::{NotSent, Sender, Sent},
    },
};
use futures::future::BoxFuture;
use std::{collections::HashSet, time::Instant};
use warren_domain::{FailureReason, MessageStatus, message::Outbound};
use warren_ports::ledger::{Acquaintance, Op};
use warren_runtime::fault;

/// Open rows as they were read.
pub(super) struct Fetched {
    rows: Vec<Outbound>,
    /// Who of their recipients is a stranger, if that was asked.
    acquaintance: Option<(Vec<String>, Acquaintance)>,
}

impl Live<'_> {
    /// Starts what is ready, asks for more rows.
    pub(super) fn dispatch(&mut self) -> Round {
        let options = &self.actor.shared.options;
        // A message that waits for its file is not on its way: it takes nobody's place.
        let (window, room) = (options.window as usize, options.in_flight + self.preparations.len());
        let may_fetch = self.fetch.is_none() && self.inquiry.is_none();
        if self.fetch_wanted && may_fetch && self.queue.len() < window.div_ceil(2) {
            self.fetch_wanted = false;
            self.queue.fetch_begins();
            self.fetch = Some(self.fetch());
        }
        let epoch = self.actor.owner.fence().epoch;
        let link = LinkState { epoch, drained: self.drained, awaiting_ack: false, stanza_dead: false };
        let allowed = self.allowance();
        let ready = self.queue.take_ready(link, self.actor.now(), room, allowed);
        if ready.next.iter().any(|next| next.row.message.status == MessageStatus::Queued && next.step == Step::Encrypt) {
            self.actor.pacer.sent(Instant::now(), rand::random());
        }
        let left = self.actor.pacer.next().map(|next| next.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| ready.waits && !left.is_zero()) {
            self.alarm_within(left);
        }
        let restricted = if ready.stranger_waits { self.stranger_waits() } else { None };
        restricted.or_else(|| ready.next.into_iter().find_map(|next| self.start(next)))
    }

    /// Reads open rows, and with them, if that matters, who of their recipients is a stranger.
    fn fetch(&self) -> BoxFuture<'static, Fetched> {
        let shared = self.actor.shared.clone();
        let (instance, since) = (self.actor.instance.id, self.actor.now().before(DAY));
        let (only_known, counts_strangers) = (self.only_known(), self.actor.pacer.counts_strangers());
        Box::pin(async move {
            if only_known {
                let rows = shared.ports.ledger.open_messages_to_known(instance, shared.options.window).await;
                // A later sweep asks again.
                return Fetched { rows: rows.unwrap_or_default(), acquaintance: None };
            }
            let rows = shared.fetcher.fetch(instance).await;
            if !counts_strangers || rows.is_empty() {
                return Fetched { rows, acquaintance: None };
            }
            let chats: HashSet<_> = rows.iter().map(|row| row.message.chat.clone()).collect();
            let chats: Vec<_> = chats.into_iter().collect();
            match shared.ports.ledger.acquaintance(instance, &chats, since).await {
                Ok(acquaintance) => Fetched { rows, acquaintance: Some((chats, acquaintance)) },
                // Nothing is sent to somebody of whom nothing is known; a later sweep asks again.
                Err(_) => Fetched { rows: Vec::new(), acquaintance: None },
            }
        })
    }

    pub(super) fn start(&mut self, next: Next) -> Round {
        if awaits_file(&next.row, next.step) {
            return self.prepare(next);
        }
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

    pub(super) fn sender(&self) -> Sender {
        Sender {
            client: self.link.client.clone(),
            gate: self.link.gate.clone(),
            store: self.link.store.clone(),
            ledger: self.actor.shared.ports.ledger.clone(),
            owner: self.actor.owner.clone(),
            clock: self.actor.shared.ports.clock.clone(),
            numbers: self.numbers(),
        }
    }

    /// A send came back.
    pub(super) fn sent(&mut self, finished: Finished) -> Round {
        let message = &finished.row.message;
        let id = message.whatsapp_id.as_str();
        match finished.sent {
            Sent::Written => {
                self.queue.written(id);
                let seconds = self.actor.now().since(message.times.created).as_secs_f64();
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
            Sent::NotSent(NotSent::Unsupported | NotSent::Refused) => self.fail(&finished.row, FailureReason::Rejected),
            Sent::NotSent(NotSent::Unreachable) if finished.row.attempt + 1 >= ATTEMPTS => {
                self.fail(&finished.row, FailureReason::NotOnWhatsapp)
            }
            Sent::NotSent(NotSent::Unreachable) => {
                self.queue.retry_later(id, RETRY_PAUSE, finished.replaced_stanza);
                None
            }
        }
    }

    pub(super) fn fail(&mut self, row: &Outbound, reason: FailureReason) -> Round {
        let message = row.message.id;
        let op = Op::Fail { message, reason, at: self.actor.now() };
        self.settle(op, Some(row.message.whatsapp_id.clone()), Some(message))
    }

    pub(super) fn fetched(&mut self, fetched: Fetched) -> Round {
        let Fetched { rows, acquaintance } = fetched;
        self.fetch = None;
        if let Some((chats, acquaintance)) = acquaintance {
            self.queue.set_strangers(&chats, acquaintance.strangers);
            self.actor.pacer.learn_opened(acquaintance.opened);
        }
        // A full window: there may be more behind it.
        self.fetch_wanted |= rows.len() >= self.actor.shared.options.window as usize;
        self.queue.offer(rows);
        None
    }
}
