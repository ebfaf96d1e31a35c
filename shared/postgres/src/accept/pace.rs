//! When a batch waits for company: a commit costs the same for one call as for six, and on a busy machine that cost is what
//! makes everybody wait.
//!
//! A call that comes alone is never held up. Company is waited for only while calls come fast enough to make it likely, and
//! while the last wait was worth it: callers that each wait for their answer before they ask again do not come faster because
//! they are waited for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Calls with which a batch begins at once.
pub(super) const COMPANY: usize = 6;
/// How long company is waited for.
const PATIENCE: Duration = Duration::from_millis(12);
/// How long nobody is waited for after a wait in vain: at first, and after many.
const REST: Duration = Duration::from_millis(20);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What is remembered of calls and waits.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the last few calls came.
    came: VecDeque<Instant>,
    rests_until: Option<Instant>,
    rest: Duration,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { came: VecDeque::with_capacity(COMPANY), rests_until: None, rest: REST }
    }

    /// A call came.
    pub(super) fn came(&mut self, at: Instant) {
        if self.came.len() == COMPANY {
            self.came.pop_front();
        }
        self.came.push_back(at);
    }

    /// Until when a batch of so many calls waits for more, if it waits.
    pub(super) fn wait(&self, calls: usize, now: Instant) -> Option<Instant> {
        let comes_fast = self.came.len() == COMPANY
            && self.came.front().is_some_and(|first| now.saturating_duration_since(*first) <= PATIENCE);
        let rests = self.rests_until.is_some_and(|until| now < until);
        (calls < COMPANY && comes_fast && !rests).then(|| now + PATIENCE)
    }

    /// A wait ended with so many calls.
    pub(super) fn waited(&mut self, calls: usize, now: Instant) {
        if calls >= COMPANY {
            (self.rest, self.rests_until) = (REST, None);
        } else {
            self.rests_until = Some(now + self.rest);
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(now: Instant) -> Pace {
        let mut pace = Pace::new();
        for _ in 0..COMPANY {
            pace.came(now);
        }
        pace
    }

    #[test]
    fn a_call_that_comes_alone_is_not_held_up() {
        let now = Instant::now();
        let mut pace = Pace::new();
        for call in 0..20_u32 {
            let at = now + Duration::from_millis(5) * call;
            pace.came(at);
            assert_eq!(pace.wait(1, at), None);
        }
    }

    #[test]
    fn company_is_waited_for_while_it_comes() {
        let now = Instant::now();
        let mut pace = busy(now);
        assert_eq!(pace.wait(1, now), Some(now + PATIENCE));
        assert_eq!(pace.wait(COMPANY, now), None);
        pace.waited(COMPANY, now);
        assert_eq!(pace.wait(1, now), Some(now + PATIENCE));
    }

    #[test]
    fn a_wait_in_vain_is_not_repeated_soon() {
        let now = Instant::now();
        let mut pace = busy(now);
        pace.waited(COMPANY - 1, now);
        assert_eq!(pace.wait(1, now + Duration::from_millis(5)), None);
        let later = now + REST;
        let mut pace = Pace { came: busy(later).came, ..pace };
        assert!(pace.wait(1, later).is_some());
        pace.waited(1, later);
        assert_eq!(pace.wait(1, later + REST), None);
        assert_eq!(pace.rest, 4 * REST);
    }
}
