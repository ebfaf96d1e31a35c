//! Who ended a connection that closed without a word of the server.

use async_channel::WeakReceiver;
use std::sync::OnceLock;
use wacore::net::TransportEvent;

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The other side, or what lies between.
    Network,
    /// The gate: it let a write or a dial not through, and the library closes a socket that fails.
    WriteRefused,
    /// The library, while the socket was still heard: a login that fails or takes too long; or nothing heard for 20 s after a
    /// write, which it measures by the wall clock, at a keepalive whose ping it skips while an answer is due (whatsapp-rust 0.7,
    /// `keepalive_loop`), so that it may be wrong.
    GivenUp,
}

/// What is known of it: whoever was first.
#[derive(Debug, Default)]
pub(super) struct Losses(OnceLock<Loss>);

impl Losses {
    pub(super) fn is(&self, loss: Loss) {
        let _ = self.0.set(loss);
    }

    /// The library closes its socket. As long as the socket is heard, nobody else ended it.
    pub(super) fn is_closed_by_the_library(&self, heard: &WeakReceiver<TransportEvent>) {
        self.is(if heard.upgrade().is_some() { Loss::GivenUp } else { Loss::Network });
    }

    pub(super) fn known(&self) -> Loss {
        self.0.get().copied().unwrap_or(Loss::Network)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_gives_up_what_is_still_heard() {
        let (socket, library) = async_channel::bounded(1);
        let (given_up, lost) = (Losses::default(), Losses::default());
        given_up.is_closed_by_the_library(&library.downgrade());
        drop(socket);
        lost.is_closed_by_the_library(&library.downgrade());
        assert_eq!((given_up.known(), lost.known()), (Loss::GivenUp, Loss::Network));
    }

    #[test]
    fn the_first_who_ended_it_counts() {
        let (_socket, library) = async_channel::bounded(1);
        let losses = Losses::default();
        losses.is(Loss::WriteRefused);
        losses.is_closed_by_the_library(&library.downgrade());
        assert_eq!((losses.known(), Losses::default().known()), (Loss::WriteRefused, Loss::Network));
    }
}
