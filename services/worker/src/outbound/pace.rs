//! How fast an account writes: a banned number is worse than a slow one.
//!
//! Only first encryptions are paced: what was handed once has to be settled, whatever that takes. The pace of an account
//! outlives its connections; after a start of the process the first message waits a whole interval, so that restarts make no
//! bursts, and the ledger tells how many chats were begun within the last day.

use crate::options::Pace;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use warren_domain::Timestamp;

/// The span over which new chats are counted.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

/// The pace of one account.
#[derive(Debug)]
pub(crate) struct Pacer {
    interval: Duration,
    /// How many people it may write to first within a day.
    budget: usize,
    next: Instant,
    /// When it wrote first to somebody, oldest first.
    opened: VecDeque<Timestamp>,
}

impl Pacer {
    pub(crate) fn new(pace: Option<Pace>, now: Instant, chance: f64) -> Self {
        let (interval, budget) = pace.map_or((Duration::ZERO, 0), |pace| (pace.interval, pace.new_chats_per_day));
        let mut pacer = Self { interval, budget: budget as usize, next: now, opened: VecDeque::new() };
        pacer.sent(now, chance);
        pacer
    }

    /// When the next first encryption may go; `None`: at any time.
    pub(crate) fn next(&self) -> Option<Instant> {
        (!self.interval.is_zero()).then_some(self.next)
    }

    /// One went. `chance` in 0..1 spreads the next one over half to one and a half intervals.
    pub(crate) fn sent(&mut self, now: Instant, chance: f64) {
        self.next = now + self.interval.mul_f64(0.5 + chance.clamp(0.0, 1.0));
    }

    /// Whether it matters who is a stranger.
    pub(crate) const fn counts_strangers(&self) -> bool {
        self.budget > 0
    }

    /// What the ledger knew when it was read, oldest first. That was before now: what the server took since then, or what is
    /// being committed, only this account knows, and keeps. Both tell of one chat with the same time.
    pub(crate) fn learn_opened(&mut self, told: Vec<Timestamp>) {
        let mut own = std::mem::take(&mut self.opened).into_iter().peekable();
        for at in told {
            while let Some(earlier) = own.next_if(|own| *own < at) {
                self.opened.push_back(earlier);
            }
            own.next_if_eq(&at);
            self.opened.push_back(at);
        }
        self.opened.extend(own);
    }

    /// A first message to somebody was taken by the server, which the ledger is told with the same time.
    pub(crate) fn opened(&mut self, at: Timestamp) {
        if self.counts_strangers() {
            let place = self.opened.partition_point(|earlier| *earlier <= at);
            self.opened.insert(place, at);
        }
    }

    /// Whether more chats may be begun, while `under_way` first messages are not answered yet.
    pub(crate) fn new_chat(&mut self, now: Timestamp, under_way: usize) -> NewChat {
        if !self.counts_strangers() {
            return NewChat::Allowed(usize::MAX);
        }
        while self.opened.front().is_some_and(|at| at.after(DAY) <= now) {
            self.opened.pop_front();
        }
        // As many as the budget back from the last: when that one is a day old, there is room for one. With a large budget the
        // wait is for a tenth of it, so that a full day is not a restriction for each chat.
        let room = |at: usize| (at + self.budget / 10).min(self.opened.len().saturating_sub(1));
        match self.opened.len().checked_sub(self.budget).and_then(|at| self.opened.get(room(at))) {
            Some(at) => NewChat::NotBefore(at.after(DAY)),
            None => match self.budget.saturating_sub(self.opened.len() + under_way) {
                0 => NewChat::Later,
                room => NewChat::Allowed(room),
            },
        }
    }
}

/// Whether more chats may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewChat {
    /// So many may be begun.
    Allowed(usize),
    /// Those under way may use the budget up.
    Later,
    /// The budget is used up until then.
    NotBefore(Timestamp),
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pacer(start: Instant, budget: u32) -> Pacer {
        Pacer::new(Some(Pace { interval: SECOND, new_chats_per_day: budget }), start, 0.5)
    }

    #[test]
    fn gaps_are_half_to_one_and_a_half_intervals_from_the_start_on() {
        let start = Instant::now();
        let mut pacer = pacer(start, 0);
        assert_eq!(pacer.next(), Some(start + SECOND), "a start is no reason to hurry");
        for (chance, gap) in [(0.0, 0.5), (0.25, 0.75), (1.0, 1.5), (7.0, 1.5)] {
            pacer.sent(start, chance);
            assert_eq!(pacer.next(), Some(start + SECOND.mul_f64(gap)));
        }
    }

    #[test]
    fn without_a_pace_nothing_waits() {
        let mut pacer = Pacer::new(None, Instant::now(), 0.5);
        assert_eq!((pacer.next(), pacer.counts_strangers()), (None, false));
        assert_eq!(pacer.new_chat(Timestamp::default(), 1_000), NewChat::Allowed(usize::MAX));
    }

    #[test]
    fn a_day_has_so_many_new_chats() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut pacer = pacer(Instant::now(), 2);
        assert_eq!(pacer.new_chat(at(0), 0), NewChat::Allowed(2));
        assert_eq!(pacer.new_chat(at(0), 1), NewChat::Allowed(1));
        assert_eq!(pacer.new_chat(at(0), 2), NewChat::Later);
        pacer.learn_opened(vec![at(10), at(20)]);
        assert_eq!(pacer.new_chat(at(30), 0), NewChat::NotBefore(at(10).after(DAY)));
        pacer.opened(at(40));
        assert_eq!(pacer.new_chat(at(50), 0), NewChat::NotBefore(at(20).after(DAY)), "three were begun, two are too many");
        assert_eq!(pacer.new_chat(at(20).after(DAY), 0), NewChat::Allowed(1));
    }

    #[test]
    fn an_answer_of_the_ledger_that_is_older_than_an_ack_takes_nothing_back() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut pacer = pacer(Instant::now(), 2);
        pacer.learn_opened(vec![at(10)]);
        for own in [at(25), at(20), at(20)] {
            pacer.opened(own);
        }
        pacer.learn_opened(vec![at(10), at(15), at(20)]);
        assert_eq!(pacer.opened, [10, 15, 20, 20, 25].map(at));
        pacer.learn_opened(vec![]);
        assert_eq!(pacer.opened, [10, 15, 20, 20, 25].map(at));
    }
}
