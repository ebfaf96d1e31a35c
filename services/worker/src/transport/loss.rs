//! Who ended a connection that closed without a word of the server.

use async_channel::WeakReceiver;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use wacore::net::TransportEvent;

/// Who ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The other side, or what lies between.
    Network,
    /// There was none: nobody answers where WhatsApp should be.
    NotReached,
    /// The gate: it let a write or a dial not through, and the library closes a socket that fails.
    WriteRefused,
    /// The library, while the socket was still heard: a login that fails or takes too long; or nothing heard for 20 s after a
    /// write, which it measures by the wall clock, at a keepalive whose ping it skips while an answer is due (whatsapp-rust 0.7,
    /// `keepalive_loop`), so that it may be wrong.
    GivenUp,
}

/// What is known of it: whoever was first.
#[derive(Debug, Default)]
pub(super) struct Losses {
    first: OnceLock<Loss>,
    /// Nobody has answered yet, while it is dialled or after.
    is_unanswered: AtomicBool,
}

impl Losses {
    pub(super) fn is(&self, loss: Loss) {
        let _ = self.first.set(loss);
    }

    /// It is dialled. Who dials may be given up before it is known what comes of it.
    pub(super) fn is_dialled(&self) {
        self.is_unanswered.store(true, Ordering::Relaxed);
    }

    /// Somebody answers there.
    pub(super) fn is_answered(&self) {
        self.is_unanswered.store(false, Ordering::Relaxed);
    }

    /// The library closes its socket. As long as the socket is heard, nobody else ended it.
    pub(super) fn is_closed_by_the_library(&self, heard: &WeakReceiver<TransportEvent>) {
        self.is(if heard.upgrade().is_some() { Loss::GivenUp } else { Loss::Network });
    }

    pub(super) fn known(&self) -> Loss {
        let or_else = if self.is_unanswered.load(Ordering::Relaxed) { Loss::NotReached } else { Loss::Network };
        self.first.get().copied().unwrap_or(or_else)
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
    fn what_nobody_answers_is_not_reached() {
        let losses = Losses::default();
        losses.is_dialled();
        assert_eq!(losses.known(), Loss::NotReached);
        losses.is_answered();
        assert_eq!(losses.known(), Loss::Network);
        losses.is_dialled();
        losses.is(Loss::WriteRefused);
        assert_eq!(losses.known(), Loss::WriteRefused);
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
