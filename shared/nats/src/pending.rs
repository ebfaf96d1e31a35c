//! The requests of this process that wait for an answer.

use crate::clock::ProcessTime;
use crate::envelope::Id;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use warren_ports::bus::Reply;

/// Requests that wait at once; one more is refused.
const MOST: usize = 65_536;

/// What is heard about a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    /// The owner's answer.
    Reply(Reply),
    /// Nobody took it.
    NotTaken,
    /// It was not taken, because it is not of this time where it was heard.
    OtherTime(ProcessTime),
    /// The bus went away.
    Away,
}

/// All of them. One lock: it is held for a lookup.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    slots: Mutex<HashMap<Id, Arc<Slot>>>,
}

#[derive(Debug, Default)]
struct Slot {
    heard: Mutex<Option<Heard>>,
    changed: Notify,
}

impl Pending {
    /// Waits for answers to a new request; `None` when too many wait.
    pub(crate) fn open(self: &Arc<Self>) -> Option<Waiting> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST {
            return None;
        }
        let (id, slot) = (rand::random::<Id>(), Arc::new(Slot::default()));
        slots.insert(id, Arc::clone(&slot));
        Some(Waiting { pending: Arc::clone(self), id, slot })
    }

    /// Whether somebody waits for it.
    pub(crate) fn is_open(&self, id: Id) -> bool {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// Tells who waits.
    pub(crate) fn tell(&self, id: Id, what: Heard) {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
        if let Some(slot) = slot {
            slot.tell(what);
        }
    }

    /// Tells everybody who waits that the bus went away.
    pub(crate) fn away(&self) {
        for slot in self.slots.lock().unwrap_or_else(PoisonError::into_inner).values() {
            slot.tell(Heard::Away);
        }
    }
}

impl Slot {
    /// What is known for certain is not replaced by less: two servers may hear one request and only one takes it, and an
    /// outage changes nothing about what was refused before.
    fn tell(&self, what: Heard) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*heard, &what) {
            (Some(Heard::Reply(_)), _)
            | (Some(Heard::OtherTime(_)), Heard::NotTaken | Heard::Away)
            | (Some(Heard::NotTaken), Heard::Away) => {}
            _ => *heard = Some(what),
        }
        drop(heard);
        self.changed.notify_one();
    }
}

/// One that waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    pending: Arc<Pending>,
    id: Id,
    slot: Arc<Slot>,
}

impl Waiting {
    pub(crate) const fn id(&self) -> Id {
        self.id
    }

    /// What is heard next. For one at a time.
    pub(crate) async fn heard(&self) -> Heard {
        loop {
            // `notify_one` stores a permit, so what is told between the look and the wait is not lost.
            if let Some(heard) = self.slot.heard.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return heard;
            }
            self.slot.changed.notified().await;
        }
    }

    /// What is heard next of somebody who took it, or would: nothing else.
    pub(crate) async fn heard_of_a_taker(&self) -> Heard {
        loop {
            let heard = self.heard().await;
            if matches!(heard, Heard::Reply(_) | Heard::OtherTime(_)) {
                return heard;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_kept_and_told_once() {
        let pending = Arc::new(Pending::default());
        let waiting = pending.open().unwrap();
        pending.tell(waiting.id(), Heard::NotTaken);
        pending.away();
        assert_eq!(waiting.heard().await, Heard::NotTaken);
        pending.tell(waiting.id(), Heard::Reply(Reply::Accepted));
        pending.away();
        assert_eq!(waiting.heard_of_a_taker().await, Heard::Reply(Reply::Accepted));
    }

    #[tokio::test]
    async fn that_somebody_would_take_it_is_not_forgotten_for_one_who_does_not() {
        let pending = Arc::new(Pending::default());
        let waiting = pending.open().unwrap();
        let there = ProcessTime { process: [1; 16], at: warren_domain::Timestamp::from_millis(5) };
        pending.tell(waiting.id(), Heard::OtherTime(there));
        pending.tell(waiting.id(), Heard::NotTaken);
        pending.away();
        assert_eq!(waiting.heard().await, Heard::OtherTime(there));
    }

    #[test]
    fn it_is_bounded_and_forgets_who_left() {
        let pending = Arc::new(Pending::default());
        let all: Vec<_> = (0..MOST).map(|_| pending.open().unwrap()).collect();
        assert!(pending.open().is_none());
        let first = all.first().unwrap().id();
        assert!(pending.is_open(first));
        drop(all);
        assert!(!pending.is_open(first));
        pending.tell(first, Heard::NotTaken);
        assert!(pending.open().is_some());
    }
}
