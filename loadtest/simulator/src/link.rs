//! The handle by which the rest of the server reaches one live connection.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use wacore_binary::Node;

use crate::pairing::Scan;
use crate::pairing_code::Typed;

/// Commands waiting for one connection; a connection that does not take them is about to be closed anyway.
const COMMANDS: usize = 32;

/// What a connection can be told from outside.
pub(crate) enum Command {
    /// The same device logged in again: say so and close.
    Replaced,
    /// Cut the socket without a word.
    Cut,
    /// Write this node.
    Write(Node),
    /// Write this node and close.
    WriteAndClose(Node),
    /// A phone scanned the QR code of this unpaired connection.
    Scan(Box<Scan>),
    /// Somebody typed the code of this unpaired connection on a phone.
    Typed(Box<Typed>),
}

/// One live connection, as others see it.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) id: u64,
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    closed: CancellationToken,
}

/// The connection's own end of its [`Link`]. Dropping it tells everyone that the connection is gone.
pub(crate) struct LinkEnd {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) wake: Arc<Notify>,
    closed: CancellationToken,
}

/// A fresh pair of ends.
pub(crate) fn pair(id: u64) -> (Link, LinkEnd) {
    let (sender, receiver) = mpsc::channel(COMMANDS);
    let wake = Arc::new(Notify::new());
    let closed = CancellationToken::new();
    let link = Link { id, commands: sender, wake: Arc::clone(&wake), closed: closed.clone() };
    (link, LinkEnd { commands: receiver, wake, closed })
}

impl Link {
    /// Something was queued for the device.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Hands over a command; `false` when the connection is gone or has too many waiting.
    pub(crate) fn command(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Resolves when the connection is closed.
    pub(crate) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.closed.is_cancelled()
    }
}

impl Drop for LinkEnd {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
