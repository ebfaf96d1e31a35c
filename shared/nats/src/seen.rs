//! The requests that were carried out, as long as somebody could repeat them.

use crate::envelope::Id;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, PoisonError};
use warren_domain::Timestamp;

/// Requests that are remembered: 10 MB. One more is not taken, and made again later.
const MOST: usize = 131_072;

/// Whether a request may be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It was never seen, and is remembered.
    First,
    /// It was.
    Again,
    /// Too many are remembered.
    Full,
}

/// What was seen. One lock for all shards: it is held for a lookup.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Until when each is remembered.
    ids: HashMap<Id, Timestamp>,
    /// The same, the first to end on top. What was forgotten before stays in here until then.
    ends: BinaryHeap<Reverse<(Timestamp, Id)>>,
}

impl State {
    fn forget_ended(&mut self, now: Timestamp) {
        while let Some(&Reverse((ended, id))) = self.ends.peek()
            && ended < now
        {
            self.ends.pop();
            // One that was forgotten and came again ends later.
            if self.ids.get(&id) == Some(&ended) {
                self.ids.remove(&id);
            }
        }
    }
}

impl Seen {
    /// Whether a request is remembered.
    pub(crate) fn has(&self, id: Id, now: Timestamp) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_ended(now);
        state.ids.contains_key(&id)
    }

    /// Remembers a request until `end`.
    pub(crate) fn see(&self, id: Id, end: Timestamp, now: Timestamp) -> Sight {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget_ended(now);
        if state.ids.contains_key(&id) {
            return Sight::Again;
        }
        if state.ends.len() >= MOST {
            return Sight::Full;
        }
        state.ids.insert(id, end);
        state.ends.push(Reverse((end, id)));
        Sight::First
    }

    /// Forgets one that was not carried out.
    pub(crate) fn forget(&self, id: Id) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).ids.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn remembers_until_the_end() {
        let seen = Seen::default();
        let end = NOW.after(SECOND);
        assert_eq!(seen.see([1; 16], end, NOW), Sight::First);
        assert_eq!(seen.see([2; 16], end, NOW), Sight::First);
        assert_eq!(seen.see([1; 16], end, end), Sight::Again);
        assert!(seen.has([1; 16], end) && !seen.has([3; 16], end));
        assert_eq!(seen.see([1; 16], end.after(SECOND), end.after(SECOND)), Sight::First);
        assert_eq!(seen.state.lock().map(|state| (state.ids.len(), state.ends.len())).ok(), Some((1, 1)));
    }

    #[test]
    fn what_was_not_carried_out_may_come_again() {
        let seen = Seen::default();
        assert_eq!(seen.see([1; 16], NOW, NOW), Sight::First);
        seen.forget([1; 16]);
        let later = NOW.after(SECOND);
        assert_eq!(seen.see([1; 16], later, NOW), Sight::First);
        assert_eq!(seen.see([1; 16], later, later), Sight::Again);
    }

    #[test]
    fn it_is_bounded() {
        let seen = Seen::default();
        let id = |number: usize| (number as u128).to_be_bytes();
        for number in 0..MOST {
            assert_eq!(seen.see(id(number), NOW, NOW), Sight::First);
        }
        assert_eq!(seen.see(id(MOST), NOW, NOW), Sight::Full);
        assert_eq!(seen.see(id(MOST), NOW.after(SECOND), NOW.after(SECOND)), Sight::First);
    }
}
