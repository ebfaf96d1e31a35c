//! One instance under one epoch: an actor that wants to be online (or paired, or at rest) and does what that takes.

mod actor;
mod command;
mod failures;
mod ledger;
mod live;
mod pairing;
mod policy;
mod proxy;
mod settle;
mod waiting;

pub(crate) use actor::{Actor, ActorParts};

use tokio::sync::{mpsc, oneshot};
use warren_ports::bus::{Action, Reply};

/// Letters that wait for an instance; commands beyond are answered "no responder".
const MAILBOX: usize = 32;

/// What an instance is told.
pub(crate) enum Mail {
    /// A request of the edge.
    Command(Action, oneshot::Sender<Reply>),
    /// There may be new outbound messages.
    Ring,
    /// End, cleanly: finish what is under way, flush, disconnect.
    Stop,
}

/// A handle to a running instance.
#[derive(Clone)]
pub(crate) struct Handle {
    mail: mpsc::Sender<Mail>,
}

impl Handle {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Mail>) {
        let (mail, mailbox) = mpsc::channel(MAILBOX);
        (Self { mail }, mailbox)
    }

    /// Passes a command on; dropping the reply tells the asker to try again.
    pub(crate) fn command(&self, action: Action, reply: oneshot::Sender<Reply>) {
        // A full mailbox drops the reply.
        let _ = self.mail.try_send(Mail::Command(action, reply));
    }

    /// Rings. A full mailbox has something to look after already; the sweep rings again.
    pub(crate) fn ring(&self) {
        let _ = self.mail.try_send(Mail::Ring);
    }

    /// Asks it to end, and resolves when it has.
    pub(crate) async fn ended(&self) {
        // A full mailbox is read first; a closed one has ended already.
        let _ = self.mail.send(Mail::Stop).await;
        self.mail.closed().await;
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.mail.is_closed()
    }
}
