//! What a device has to get and has not confirmed: the offline queue. Live delivery uses the same queue, so a stanza
//! that was written to a dying socket comes again after the reconnect.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The kind of a stanza, as far as its retirement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Class {
    /// Kept until the device's receipt or ack.
    Message,
    /// Kept until the device's ack.
    Receipt,
    /// Kept until the device's ack.
    Notification,
    /// Kept until the device's ack.
    Call,
    /// Presence and typing: gone once written, never kept for later.
    Ephemeral,
}

/// One queued stanza.
pub(crate) struct Entry {
    seq: u64,
    pub(crate) class: Class,
    pub(crate) id: String,
    /// The phone number of who sent it; 0 is the server itself.
    pub(crate) from: u64,
    /// The marshaled node, with its flag byte.
    pub(crate) stanza: Bytes,
    /// When it was queued.
    at: Instant,
    /// How often it was written to a socket.
    pub(crate) deliveries: u32,
    /// Where the ledger notes this entry's fate.
    pub(crate) ledger: Option<u64>,
}

/// An entry to be written now.
pub(crate) struct Due {
    pub(crate) seq: u64,
    pub(crate) class: Class,
    pub(crate) stanza: Bytes,
    pub(crate) ledger: Option<u64>,
}

/// How many entries of each class wait.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Backlog {
    pub(crate) messages: usize,
    pub(crate) receipts: usize,
    pub(crate) notifications: usize,
    pub(crate) calls: usize,
}

impl Backlog {
    pub(crate) fn total(self) -> usize {
        self.messages + self.receipts + self.notifications + self.calls
    }
}

/// An ordered queue; `seq` only grows, so a connection remembers how far it wrote with one number.
#[derive(Default)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    next_seq: u64,
}

impl Queue {
    /// Adds at the end. Returns the ledger place of the oldest entry if it had to go for the limit.
    pub(crate) fn push(
        &mut self,
        class: Class,
        id: String,
        from: u64,
        stanza: Bytes,
        ledger: Option<u64>,
        limit: usize,
    ) -> bool {
        self.next_seq += 1;
        self.entries.push_back(Entry {
            seq: self.next_seq,
            class,
            id,
            from,
            stanza,
            at: Instant::now(),
            deliveries: 0,
            ledger,
        });
        let overflow = self.entries.len() > limit;
        if overflow {
            self.entries.pop_front();
        }
        overflow
    }

    /// Up to `limit` entries behind `cursor`, counted as written. Ephemeral ones leave the queue with it.
    pub(crate) fn take_after(&mut self, cursor: u64, limit: usize) -> Vec<Due> {
        let start = self.entries.partition_point(|entry| entry.seq <= cursor);
        let mut ephemeral = false;
        let due: Vec<Due> = self
            .entries
            .range_mut(start..)
            .take(limit)
            .map(|entry| {
                entry.deliveries = entry.deliveries.saturating_add(1);
                ephemeral |= entry.class == Class::Ephemeral;
                Due { seq: entry.seq, class: entry.class, stanza: entry.stanza.clone(), ledger: entry.ledger }
            })
            .collect();
        if ephemeral {
            self.entries.retain(|entry| entry.class != Class::Ephemeral || entry.deliveries == 0);
        }
        due
    }

    /// Removes what a device confirmed: written entries of this class and id, from this sender if it is known.
    /// Returns their places in the ledger.
    pub(crate) fn retire(&mut self, class: Class, id: &str, from: Option<u64>) -> Vec<Option<u64>> {
        let mut retired = Vec::new();
        let confirmed = |entry: &Entry| {
            entry.class == class && entry.deliveries > 0 && entry.id == id && from.is_none_or(|sender| sender == entry.from)
        };
        // The usual case is the head of the queue.
        while let Some(head) = self.entries.pop_front_if(|entry| confirmed(entry)) {
            retired.push(head.ledger);
        }
        if retired.is_empty() {
            self.entries.retain(|entry| {
                let gone = confirmed(entry);
                if gone {
                    retired.push(entry.ledger);
                }
                !gone
            });
        }
        retired
    }

    /// Forgets what is worthless to a device that just logged in: who was typing longer ago than this.
    pub(crate) fn drop_ephemeral(&mut self, older_than: Duration) {
        self.entries.retain(|entry| entry.class != Class::Ephemeral || entry.at.elapsed() < older_than);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.next_seq
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn backlog(&self) -> Backlog {
        let mut backlog = Backlog::default();
        for entry in &self.entries {
            match entry.class {
                Class::Message => backlog.messages += 1,
                Class::Receipt => backlog.receipts += 1,
                Class::Notification => backlog.notifications += 1,
                Class::Call => backlog.calls += 1,
                Class::Ephemeral => {}
            }
        }
        backlog
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn queue(ids: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for id in ids {
            queue.push(Class::Message, (*id).to_owned(), 7, Bytes::from_static(b"x"), None, 10);
        }
        queue
    }

    #[test]
    fn a_new_connection_gets_unconfirmed_entries_again() {
        let mut queue = queue(&["a", "b", "c"]);
        let first = queue.take_after(0, 2);
        assert_eq!(first.len(), 2);
        assert_eq!(queue.retire(Class::Message, "b", Some(7)).len(), 1);
        assert_eq!(queue.take_after(first[1].seq, 9).len(), 1);
        assert_eq!(queue.take_after(0, 9).len(), 2, "a and c come again");
    }

    #[test]
    fn only_written_entries_of_that_sender_retire() {
        let mut queue = queue(&["a", "a"]);
        assert!(queue.retire(Class::Message, "a", None).is_empty(), "nothing was written yet");
        queue.take_after(0, 9);
        assert!(queue.retire(Class::Message, "a", Some(8)).is_empty(), "another sender's id");
        assert!(queue.retire(Class::Receipt, "a", None).is_empty(), "another class");
        assert_eq!(queue.retire(Class::Message, "a", Some(7)).len(), 2);
    }

    #[test]
    fn the_oldest_goes_at_the_limit_and_ephemeral_ones_when_written() {
        let mut queue = Queue::default();
        for id in ["a", "b", "c"] {
            queue.push(Class::Message, id.to_owned(), 7, Bytes::new(), None, 2);
        }
        assert_eq!(queue.len(), 2);
        queue.push(Class::Ephemeral, String::new(), 7, Bytes::new(), None, 9);
        assert_eq!(queue.take_after(0, 9).len(), 3);
        assert_eq!(queue.len(), 2);
    }
}
