//! Messages out: rows are fetched, decided about, sent; what came of each send.

use super::{ATTEMPTS, Finished, Live, LiveEnd, RETRY_PAUSE, Round, files::awaits_file};
use crate::{
    instance::policy::Ending,
    outbound::{
        decide::Step,
        queue::Next,
        send::{NotSent, Sender, Sent},
    },
};
use std::time::Duration;
use warren_domain::{FailureReason, message::Outbound};
use warren_ports::ledger::Op;
use warren_runtime::fault;

impl Live<'_> {
    /// Starts what is ready, asks for more rows.
    pub(super) fn dispatch(&mut self) -> Round {
        let options = &self.actor.shared.options;
        // A message that waits for its file is not on its way: it takes nobody's place.
        let (window, room) = (options.window as usize, options.in_flight + self.preparations.len());
        if self.fetch_wanted && self.fetch.is_none() && self.queue.len() < window.div_ceil(2) {
            self.fetch_wanted = false;
            self.queue.fetch_begins();
            let (fetcher, instance) = (self.actor.shared.fetcher.clone(), self.actor.instance.id);
            self.fetch = Some(Box::pin(async move { fetcher.fetch(instance).await }));
        }
        let ready = self.queue.take_ready(self.actor.owner.fence().epoch, self.drained, self.actor.now(), room);
        ready.into_iter().find_map(|next| self.start(next))
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
        }
    }

    /// A send came back.
    pub(super) fn sent(&mut self, finished: Finished) -> Round {
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

    pub(super) fn fail(&mut self, row: &Outbound, reason: FailureReason) -> Round {
        let message = row.message.id;
        let op = Op::Fail { message, reason, at: self.actor.now() };
        self.settle(op, Some(row.message.whatsapp_id.clone()), Some(message))
    }

    pub(super) fn fetched(&mut self, rows: Vec<Outbound>) -> Round {
        self.fetch = None;
        // A full window: there may be more behind it.
        self.fetch_wanted |= rows.len() >= self.actor.shared.options.window as usize;
        self.queue.offer(rows);
        None
    }
}
