//! The outside of the model: WhatsApp's server, one socket a device, and a recipient who has nothing but a ratchet.

use super::{fifo::Fifo, ledger::MESSAGES};

/// A stanza on the wire: which message, encrypted under which counter. The server does not look for repeated ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Frame {
    pub(crate) row: u8,
    pub(crate) counter: u8,
}

/// What the server answers to a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Ack,
    /// `<ack error=..>` as for a copy whose tokens or device list have aged.
    Stale,
}

/// Bytes on dead sockets that may still arrive, in any order, or never.
pub(crate) const STRAGGLERS: usize = 3;

/// Server, wire and recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    /// A bag.
    pub(crate) stragglers: Fifo<Frame, STRAGGLERS>,
    /// Counters that the recipient's ratchet has used, one bit each.
    used: u32,
    /// What the recipient sees, oldest first. It does not drop repeated ids.
    pub(crate) seen: Fifo<u8, 6>,
    /// Whose receipts wait at the server for the device, one bit a message.
    pub(crate) receipts: u8,
    /// Whose receipts were given already.
    pub(crate) receipted: u8,
    /// Messages first handed longer ago than a stored stanza may be repeated: the ratchet has turned too often since.
    pub(crate) aged: u8,
    /// Messages of which the server refused a copy as stale.
    pub(crate) refused: u8,
    /// Which message each counter was written for; 0 for none, else the row plus one.
    written: [u8; 16],
    /// Whether one counter was written with two messages: must never be.
    pub(crate) counter_reused: bool,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            stragglers: Fifo::new(),
            used: 0,
            seen: Fifo::new(),
            receipts: 0,
            receipted: 0,
            aged: 0,
            refused: 0,
            written: [0; 16],
            counter_reused: false,
        }
    }

    /// A frame leaves a worker, on a live socket or on a dead one.
    pub(crate) fn leaves(&mut self, frame: Frame) {
        let written = &mut self.written[usize::from(frame.counter)];
        self.counter_reused |= *written != 0 && *written != frame.row + 1;
        *written = frame.row + 1;
    }

    /// Whether a stanza of the message was ever written.
    pub(crate) fn was_written(&self, row: u8) -> bool {
        self.written.contains(&(row + 1))
    }

    /// Keeps a frame of a socket that died under it.
    pub(crate) fn strands(&mut self, frame: Frame) {
        self.stragglers.push(frame);
        self.stragglers.sort();
    }

    /// The server accepts a stanza and the recipient gets it. Says whether it was seen.
    pub(crate) fn accept(&mut self, frame: Frame) -> bool {
        let used = self.used & (1 << frame.counter) != 0;
        // A used counter is dropped; but a chain that was evicted asks for a retry, and that is seen.
        let seen = !used || self.is_aged(frame.row);
        self.used |= 1 << frame.counter;
        if seen {
            self.seen.push(frame.row);
        }
        seen
    }

    pub(crate) fn is_aged(&self, row: u8) -> bool {
        self.aged & bit(row) != 0
    }

    /// How often the recipient sees a message.
    pub(crate) fn times_seen(&self, row: u8) -> usize {
        self.seen.iter().filter(|seen| *seen == row).count()
    }

    /// Whether the first sight of a later message comes before that of an earlier one.
    pub(crate) fn out_of_order(&self) -> bool {
        let first = |row: u8| self.seen.iter().position(|seen| seen == row);
        (1..MESSAGES as u8).any(|later| first(later).is_some_and(|at| first(later - 1).is_none_or(|before| before > at)))
    }
}

/// The bit of a message.
pub(crate) const fn bit(row: u8) -> u8 {
    1 << row
}
