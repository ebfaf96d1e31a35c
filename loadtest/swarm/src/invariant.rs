//! The invariants, one checker each.

pub mod duplicate;
pub mod loss;
mod sequence;
mod sessions;

pub use sequence::order;
pub use sessions::session;

use crate::History;
use std::fmt;

/// An invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// No acknowledged send lost.
    I1,
    /// A recipient that drops repeated ids sees no duplicate.
    I2a,
    /// A recipient that does not drop ids sees none either.
    I2b,
    /// No inbound message lost, none twice in the log.
    I4,
    /// Order per chat, and a gapless log.
    I5,
    /// Signal sessions intact.
    I6,
}

/// A violated invariant. Names ids, never texts or numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What happened, to which message.
    pub what: String,
}

impl Violation {
    fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.what)
    }
}

/// Checks every invariant.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    [
        loss::outbound(history),
        duplicate::distinct_ids(history),
        duplicate::same_id(history),
        loss::inbound(history),
        duplicate::inbound(history),
        order(history),
        session(history),
    ]
    .concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::history::{Emitted, End, Logged, Received, Send, Sessions, Taken};

    /// Three texts out and two in, all as it should be.
    pub(crate) fn sound() -> History {
        let ids = ["A1", "A2", "A3"];
        let send = |id: &&str| Send {
            whatsapp_id: (*id).into(),
            instance: "i".into(),
            recipient: "p".into(),
            payload: format!("text {id}"),
            at_most_once: false,
            end: End::Sent,
        };
        let taken = |id: &&str| Taken { whatsapp_id: (*id).into(), copies: 1, distinct_stanzas: 1 };
        let received = |id: &&str| Received {
            recipient: "p".into(),
            instance: "i".into(),
            whatsapp_id: (*id).into(),
            payload: format!("text {id}"),
            surfaced: 1,
        };
        let emitted =
            |id: &&str| Emitted { instance: "i".into(), author: "p".into(), whatsapp_id: (*id).into(), acked: true };
        let logged = |id: &&str| Logged { instance: "i".into(), whatsapp_id: (*id).into() };
        History {
            sends: ids.iter().map(send).collect(),
            taken: ids.iter().map(taken).collect(),
            received: ids.iter().map(received).collect(),
            emitted: ["B1", "B2"].iter().map(emitted).collect(),
            logged: ["B1", "B2"].iter().map(logged).collect(),
            sequences: (1..=5).map(|seq| ("i".into(), seq)).collect(),
            sessions: Sessions { probes: vec![("out".into(), true), ("in".into(), true)], ..Sessions::default() },
        }
    }

    /// Which invariants a history violates, each once.
    pub(crate) fn violated(history: &History) -> Vec<Invariant> {
        let mut found: Vec<_> = check(history).into_iter().map(|violation| violation.invariant).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn a_sound_history_violates_nothing() {
        assert_eq!(check(&sound()), []);
    }
}
