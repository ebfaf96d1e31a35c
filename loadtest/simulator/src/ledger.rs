//! Ground truth about one account, for checkers outside: what was written to its devices and what was accepted from
//! them. Kept in memory only, bounded; a lost ledger loses no message.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// One message on its way to one companion device.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Emitted {
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) device: u16,
    /// The device sent a receipt or an ack for it.
    pub(crate) acked: bool,
    /// How often it was written to a socket of that device.
    pub(crate) deliveries: u32,
}

/// One message id the server took from a device of the account.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) to: String,
    /// How many stanzas with this id were accepted.
    pub(crate) copies: u32,
    /// How many different ones: stanzas are told apart by the SHA-256 of their marshaled bytes.
    pub(crate) distinct_stanzas: usize,
    #[serde(skip)]
    digests: Vec<[u8; 32]>,
}

/// Different stanzas remembered under one id; a client that makes more of them has failed any check anyway.
const DIGESTS: usize = 64;

/// The ledger of one account.
#[derive(Default)]
pub(crate) struct Ledger {
    emitted: VecDeque<Emitted>,
    first_emitted: u64,
    accepted: HashMap<String, Accepted>,
    accepted_order: VecDeque<String>,
    pub(crate) retry_receipts_sent: u64,
    pub(crate) retry_receipts_received: u64,
    pub(crate) nacked: u64,
    pub(crate) swallowed: u64,
    pub(crate) forgotten: u64,
}

impl Ledger {
    /// Notes a message queued for a device; the place is for [`Ledger::delivered`] and [`Ledger::acked`].
    pub(crate) fn emit(&mut self, id: &str, from: String, device: u16, limit: usize) -> u64 {
        self.emitted.push_back(Emitted { id: id.to_owned(), from, device, acked: false, deliveries: 0 });
        if self.emitted.len() > limit {
            self.emitted.pop_front();
            self.first_emitted += 1;
            self.forgotten += 1;
        }
        self.first_emitted + self.emitted.len() as u64 - 1
    }

    fn at(&mut self, place: u64) -> Option<&mut Emitted> {
        let index = usize::try_from(place.checked_sub(self.first_emitted)?).ok()?;
        self.emitted.get_mut(index)
    }

    pub(crate) fn delivered(&mut self, place: u64) {
        if let Some(entry) = self.at(place) {
            entry.deliveries += 1;
        }
    }

    pub(crate) fn acked(&mut self, place: u64) {
        if let Some(entry) = self.at(place) {
            entry.acked = true;
        }
    }

    /// Notes an accepted stanza; returns how many with this id there are now.
    pub(crate) fn accept(&mut self, id: &str, to: String, stanza: &[u8], limit: usize) -> u32 {
        let digest: [u8; 32] = Sha256::digest(stanza).into();
        if let Some(entry) = self.accepted.get_mut(id) {
            entry.copies += 1;
            if !entry.digests.contains(&digest) && entry.digests.len() < DIGESTS {
                entry.digests.push(digest);
                entry.distinct_stanzas = entry.digests.len();
            }
            return entry.copies;
        }
        self.accepted.insert(
            id.to_owned(),
            Accepted { id: id.to_owned(), to, copies: 1, distinct_stanzas: 1, digests: vec![digest] },
        );
        self.accepted_order.push_back(id.to_owned());
        if self.accepted_order.len() > limit
            && let Some(oldest) = self.accepted_order.pop_front()
        {
            self.accepted.remove(&oldest);
            self.forgotten += 1;
        }
        1
    }

    pub(crate) fn emitted(&self) -> impl Iterator<Item = &Emitted> {
        self.emitted.iter()
    }

    /// In the order of first acceptance.
    pub(crate) fn accepted(&self) -> impl Iterator<Item = &Accepted> {
        self.accepted_order.iter().filter_map(|id| self.accepted.get(id))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn copies_and_distinct_stanzas_are_counted_apart() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.accept("a", "x".into(), b"one", 10), 1);
        assert_eq!(ledger.accept("a", "x".into(), b"one", 10), 2);
        assert_eq!(ledger.accept("a", "x".into(), b"two", 10), 3);
        let entry = ledger.accepted().next().unwrap();
        assert_eq!((entry.copies, entry.distinct_stanzas), (3, 2));
    }

    #[test]
    fn places_survive_forgetting() {
        let mut ledger = Ledger::default();
        let first = ledger.emit("a", "x".into(), 1, 2);
        ledger.emit("b", "x".into(), 1, 2);
        let third = ledger.emit("c", "x".into(), 1, 2);
        ledger.acked(first);
        ledger.acked(third);
        let acked: Vec<_> = ledger.emitted().map(|entry| (entry.id.as_str(), entry.acked)).collect();
        assert_eq!(acked, [("b", false), ("c", true)]);
    }
}
