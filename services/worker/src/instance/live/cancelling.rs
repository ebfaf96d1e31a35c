//! Cancelling: a message leaves the queue before it is handed, or stays.

use super::{Live, Round};
use crate::instance::{actor::Actor, command::already_sent, settle::Item};
use std::ops::ControlFlow;
use tokio::sync::oneshot;
use warren_domain::{ErrorKind, MessageId};
use warren_ports::{
    bus::{Refusal, Reply, Ring, Topic},
    ledger::{Op, Outcome},
};

impl Live<'_> {
    /// Takes a message out of memory, so that it cannot be handed any more, and then cancels it in the ledger.
    pub(super) fn cancel(&mut self, message: MessageId, reply: oneshot::Sender<Reply>) -> Round {
        if !self.queue.withdraw(message) {
            // Whoever asked may have gone away.
            let _ = reply.send(already_sent());
            return None;
        }
        let write = self.actor.write(Op::Cancel { message, at: self.actor.now() });
        self.queue_item(Item { write, frees: None, message: Some(message), reply: Some(reply) })
    }
}

/// Tells whoever wanted a message cancelled what came of it. A lost ownership answers nobody: the new owner is asked.
pub(super) fn answer_cancelled(reply: Option<oneshot::Sender<Reply>>, outcome: &Outcome) {
    let Some(reply) = reply else { return };
    let answer = match outcome {
        Outcome::Done => Reply::Accepted,
        Outcome::NoChange => already_sent(),
        Outcome::Refused(error) => Reply::Refused(Refusal::conflict(error.code, error.detail.clone())),
        Outcome::OwnershipLost | Outcome::LedgerBehind => return,
    };
    // Whoever asked may have gone away.
    let _ = reply.send(answer);
}

impl Actor {
    /// Cancels a message while there is no connection, and so nothing that could hand it.
    pub(in crate::instance) async fn cancel_at_rest(
        &mut self,
        message: MessageId,
        reply: oneshot::Sender<Reply>,
    ) -> ControlFlow<()> {
        let answer = match self.commit(Op::Cancel { message, at: self.now() }).await {
            Ok(true) => {
                self.shared.ports.bus.ring(Topic::Settled(message), Ring::Settled);
                Reply::Accepted
            }
            Ok(false) => already_sent(),
            Err(error) if error.kind == ErrorKind::OwnershipLost => return ControlFlow::Break(()),
            Err(error) => Reply::Refused(Refusal::conflict(error.code, error.detail)),
        };
        // Whoever asked may have gone away.
        let _ = reply.send(answer);
        ControlFlow::Continue(())
    }
}
