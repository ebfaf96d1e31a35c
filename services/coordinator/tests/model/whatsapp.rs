//! The outside of the model: WhatsApp's server, one connection a device, and a recipient.

use super::{
    fifo::Fifo,
    ledger::{MESSAGES, Stanza},
    properties::{Wrong, Wrongs},
};

/// What the library sends of its own, without a row and without asking anybody: receipts, retries, notices to own devices.
pub(crate) const OWN: u8 = MESSAGES as u8;

/// Highest Signal counter of any scope, plus one.
const COUNTERS: usize = 12;

/// Bytes on the wire: which message, and its ciphertext. The server does not look for repeated ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Frame {
    /// Its message, or [`OWN`].
    pub(crate) row: u8,
    pub(crate) stanza: Stanza,
}

/// Server, wire and recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WhatsApp {
    /// Bytes of dead sockets that may still arrive, in any order, or never. A bag.
    pub(crate) stragglers: Fifo<Frame, 4>,
    /// What each counter was written with.
    written: [Option<Frame>; COUNTERS],
    /// Counters that the recipient's ratchet has used, one bit each.
    used: u16,
    /// What a recipient with nothing but its ratchet sees, oldest first.
    pub(crate) seen: Fifo<Frame, 5>,
}

impl WhatsApp {
    pub(crate) fn new() -> Self {
        Self { stragglers: Fifo::new(), written: [None; COUNTERS], used: 0, seen: Fifo::new() }
    }

    /// A frame leaves a worker, on a live socket or on a dead one.
    pub(crate) fn leaves(&mut self, wrongs: &mut Wrongs, frame: Frame) {
        let written = &mut self.written[usize::from(frame.stanza.counter)];
        if written.is_some_and(|before| before != frame) {
            wrongs.note(Wrong::CounterReused);
        }
        *written = Some(frame);
    }

    /// Whether anything of the message was ever written.
    pub(crate) fn was_written(&self, row: u8) -> bool {
        self.written.iter().flatten().any(|frame| frame.row == row)
    }

    /// The server takes a stanza and the recipient gets it; `false`: its ratchet dropped a counter that was used.
    pub(crate) fn accept(&mut self, frame: Frame) -> bool {
        let bit = 1 << frame.stanza.counter;
        let fresh = self.used & bit == 0;
        self.used |= bit;
        if fresh && frame.row != OWN {
            self.seen.push(frame);
        }
        fresh
    }

    pub(crate) fn times_seen(&self, row: u8) -> usize {
        self.seen.iter().filter(|frame| frame.row == row).count()
    }

    /// What a recipient that drops repeated ids sees of a message. The id is fixed in its row, except by a mutation that takes a
    /// new one for every encryption.
    pub(crate) fn ids_seen(&self, row: u8, id_per_stanza: bool) -> usize {
        let mut ids: Vec<_> = self.seen.iter().filter(|frame| frame.row == row).map(|frame| frame.stanza).collect();
        if !id_per_stanza {
            ids.truncate(1);
        }
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// Whether the first sight of a later message comes before that of an earlier one.
    pub(crate) fn out_of_order(&self) -> bool {
        let first = |row: u8| self.seen.iter().position(|frame| frame.row == row);
        (1..MESSAGES as u8).any(|later| first(later).is_some_and(|at| first(later - 1).is_none_or(|before| before > at)))
    }
}
