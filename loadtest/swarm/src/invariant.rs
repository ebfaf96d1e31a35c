//! The invariants, one checker each.

pub mod duplicate;
pub mod loss;
mod memory;
mod ownership;
mod reader;
mod recovery;
mod sequence;
mod sessions;
mod tenants;

pub use memory::bounded;
pub use ownership::one_owner;
pub use reader::{delivery, stream};
pub use recovery::heals;
pub use sequence::order;
pub use sessions::session;
pub use tenants::isolated;

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
    /// One owner.
    I3,
    /// No inbound message lost, none twice in the log.
    I4,
    /// Order per chat, and a gapless log.
    I5,
    /// Signal sessions intact.
    I6,
    /// Bounded memory.
    I7,
    /// Tenants isolated.
    I8,
    /// It heals itself.
    I9,
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
        one_owner(history),
        loss::inbound(history),
        duplicate::inbound(history),
        delivery(history),
        order(history),
        stream(history),
        session(history),
        bounded(history),
        isolated(history),
        heals(history),
    ]
    .concat()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::history::{
        Claim, Emitted, End, Entry, Logged, Look, Memory, Ownership, Reader, Received, Send, Sessions, Taken, Throughput,
    };
    use std::time::Duration;

    /// Three texts out and two in, all as it should be; a stream from the beginning and a webhook from the second event on.
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
        let logged = |id: &&str| Logged { instance: "i".into(), whatsapp_id: (*id).into(), recovered: false };
        let log = [1, 2, 3, 4, 5].map(|seq| Entry { instance: "i".into(), seq, id: format!("evt_{seq}") });
        let reader = |name: &str, from: usize| Reader {
            name: name.into(),
            from,
            heard: log.iter().skip(from).cloned().collect(),
            given_up: Vec::new(),
        };
        let claim = |(epoch, at)| Claim { instance: "i".into(), epoch, at: Some(at) };
        History {
            sends: ids.iter().map(send).collect(),
            taken: ids.iter().map(taken).collect(),
            received: ids.iter().map(received).collect(),
            emitted: ["B1", "B2"].iter().map(emitted).collect(),
            logged: ["B1", "B2"].iter().map(logged).collect(),
            log: log.to_vec(),
            readers: vec![reader("stream", 0), reader("webhook", 1)],
            sessions: Sessions { probes: vec![("out".into(), true), ("in".into(), true)], ..Sessions::default() },
            ownership: Ownership {
                claims: [(7, 100), (7, 200), (9, 300)].map(claim).to_vec(),
                owners: vec![("i".into(), 9)],
                replaced: 0,
                replaced_at_most: 0,
            },
            memory: vec![Memory { kind: "worker".into(), steady: 500 << 20, worst: 600 << 20 }],
            looks: vec![Look { what: "message A1".into(), seen: false }],
            throughput: Some(Throughput { steady_per_s: 100.0, healed_per_s: 99.0, healed_after: Duration::from_secs(2) }),
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
