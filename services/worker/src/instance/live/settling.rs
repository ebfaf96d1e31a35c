//! Answers to messages become commits, commits free their chats.

use super::{Live, LiveEnd, Round, cancelling::answer_cancelled};
use crate::{
    client::ReceiptSignal,
    instance::{
        policy::Ending,
        settle::{Committed, Item, result_label},
    },
    outbound::decide::{Refused, refusal},
    session::Poison,
};
use std::time::Duration;
use warren_domain::{FailureReason, MessageId, MessageStatus, Timestamp, event::NewEvent};
use warren_ports::{
    bus::{Ring, Topic},
    ledger::{Op, Outcome, ReceiptTarget},
};
use warren_runtime::fault;

impl Live<'_> {
    /// The server's answer to a message.
    pub(super) fn acked(&mut self, id: String, error: Option<String>) -> Round {
        let (message, repeated) = match self.queue.in_flight(&id) {
            Some(entry) => {
                if let (Some(written), None) = (entry.written, &error) {
                    let took = written.elapsed();
                    self.actor.shared.metrics.send_seconds.with_label_values(&["ack"]).observe(took.as_secs_f64());
                    self.actor.instance.health.rtt_ms = u32::try_from(took.as_millis()).ok();
                }
                // What is known of a group may have aged as a stored stanza does: members are addressed otherwise now.
                let aged = error.as_deref() == Some("421") && !entry.anew;
                (Some(entry.message), entry.repeated || aged)
            }
            None => (None, false),
        };
        let now = self.actor.now();
        let Some(code) = error else {
            fault::point("outbound.acked");
            self.acquainted(&id, now);
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
            Refused::ReachoutLimit => {
                self.limited(&id);
                FailureReason::ReachoutLimit
            }
            Refused::Rejected => FailureReason::Rejected,
        };
        self.settle(Op::Fail { message, reason, at: now }, Some(id), Some(message))
    }

    /// A message was taken by the server, at the time that the ledger is told.
    fn acquainted(&mut self, id: &str, at: Timestamp) {
        if self.queue.acquainted(id) {
            self.actor.pacer.opened(at);
        }
    }

    pub(super) fn receipt(&mut self, receipt: ReceiptSignal) -> Round {
        // A receipt proves that the server took the message: it settles a row whose ack was lost.
        let frees = receipt.ids.iter().find(|id| self.queue.in_flight(id).is_some()).cloned();
        let message = frees.as_ref().and_then(|id| self.queue.in_flight(id)).map(|entry| entry.message);
        let at = receipt.at.unwrap_or_else(|| self.actor.now());
        if let Some(id) = &frees {
            self.acquainted(id, at);
        }
        let target = ReceiptTarget { whatsapp_ids: receipt.ids, status: receipt.status, at };
        let op = match receipt.member {
            Some(member) => Op::MemberReceipt { target, member },
            None => Op::Receipt(target),
        };
        self.settle(op, frees, message)
    }

    pub(super) fn undecryptable(&mut self, id: &str, chat: &str, sender: &str) -> Round {
        let event = NewEvent::message_undecryptable(id, chat, sender, "undecryptable", self.actor.now());
        self.settle(Op::Append(event), None, None)
    }

    /// Queues a write of this connection.
    pub(super) fn settle(&mut self, op: Op, frees: Option<String>, message: Option<MessageId>) -> Round {
        self.queue_item(Item { write: self.actor.write(op), frees, message, reply: None })
    }

    pub(super) fn queue_item(&mut self, item: Item) -> Round {
        (!self.settler.push(item)).then_some(LiveEnd::Ended(Ending::Unanswered))
    }

    pub(super) fn settled(&mut self, committed: Committed) -> Round {
        let shared = self.actor.shared.clone();
        for (item, outcome) in committed {
            if let Op::Cancel { message, .. } = &item.write.op {
                self.queue.cancelled(*message);
            }
            answer_cancelled(item.reply, &outcome);
            match outcome {
                Outcome::Done | Outcome::NoChange => {}
                Outcome::OwnershipLost | Outcome::LedgerBehind => {
                    self.actor.owner.lose();
                    return Some(LiveEnd::Ended(Ending::Poisoned(Poison::OwnershipLost)));
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
}
