//! The requests that were carried out, as long as somebody could repeat them.

use crate::envelope::Id;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
    /// Until when each is remembered: by the clock that nobody sets.
    ids: HashMap<Id, Instant>,
    /// The same, the first to end on top. What was forgotten before stays in here until then.
    ends: BinaryHeap<Reverse<(Instant, Id)>>,
}

impl State {
    fn forget_ended(&mut self, now: Instant) {
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
    pub(crate) fn has(&self, id: Id) -> bool {
        self.now(Instant::now()).ids.contains_key(&id)
    }

    /// Remembers a request for a while.
    pub(crate) fn see(&self, id: Id, span: Duration) -> Sight {
        self.see_at(id, span, Instant::now())
    }

    fn see_at(&self, id: Id, span: Duration, now: Instant) -> Sight {
        let mut state = self.now(now);
        if state.ids.contains_key(&id) {
            return Sight::Again;
        }
        if state.ends.len() >= MOST {
            return Sight::Full;
        }
        let end = now + span;
        state.ids.insert(id, end);
        state.ends.push(Reverse((end, id)));
        Sight::First
    }

    /// Forgets one that was not carried out.
    pub(crate) fn forget(&self, id: Id) {
        self.lock().ids.remove(&id);
    }

    fn now(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.forget_ended(now);
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn remembers_until_the_end() {
        let (seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.see_at([1; 16], SECOND, now), Sight::First);
        assert_eq!(seen.see_at([2; 16], SECOND, now), Sight::First);
        assert_eq!(seen.see_at([1; 16], SECOND, now + SECOND), Sight::Again);
        let after = now + SECOND * 2;
        assert_eq!(seen.see_at([1; 16], SECOND * 60, after), Sight::First);
        let kept = |state: &State| (state.ids.len(), state.ends.len());
        assert_eq!(kept(&seen.lock()), (1, 1));
        assert!(seen.has([1; 16]) && !seen.has([2; 16]));
    }

    #[test]
    fn what_was_not_carried_out_may_come_again() {
        let (seen, now) = (Seen::default(), Instant::now());
        assert_eq!(seen.see_at([1; 16], SECOND, now), Sight::First);
        seen.forget([1; 16]);
        assert_eq!(seen.see_at([1; 16], SECOND * 2, now), Sight::First);
        assert_eq!(seen.see_at([1; 16], SECOND, now + SECOND * 2), Sight::Again);
    }

    #[test]
    fn it_is_bounded() {
        let (seen, now) = (Seen::default(), Instant::now());
        let id = |number: usize| (number as u128).to_be_bytes();
        for number in 0..MOST {
            assert_eq!(seen.see_at(id(number), SECOND, now), Sight::First);
        }
        assert_eq!(seen.see_at(id(MOST), SECOND, now), Sight::Full);
        assert_eq!(seen.see_at(id(MOST), SECOND, now + SECOND * 2), Sight::First);
    }
}
