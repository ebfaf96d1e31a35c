//! When a batch waits for company: a transaction costs about the same for one call as for six, and under many calls that cost
//! is what makes everybody wait.
//!
//! While few calls come, none is held up: a batch begins with whatever is there. Company is waited for only while so many come
//! that it is sure to come soon, and while it did: callers that each wait for their answer before they ask again do not come
//! faster because they are waited for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

const SECOND: Duration = Duration::from_secs(1);
/// How long nobody is waited for after a wait in vain: after one, and after many in a row.
const REST: Duration = Duration::from_millis(2);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// What company is worth to a batch of some kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Company {
    /// So many calls within a second are many.
    pub(crate) many: usize,
    /// Calls with which a batch begins at once.
    pub(crate) enough: usize,
    /// How long company is waited for.
    pub(crate) patience: Duration,
    /// Calls that were worth the wait.
    pub(crate) worth: usize,
}

/// What is committed together, while it grows.
pub(crate) trait Gathered: Default {
    /// What it is made of.
    type Job;

    /// Takes a job in; when it came, if it is a call.
    fn add(&mut self, job: Self::Job) -> Option<Instant>;

    /// How many are answered with it.
    fn calls(&self) -> usize;

    /// Whether it takes more of what waits.
    fn has_room(&self) -> bool;

    /// Whether it may be held up until more comes.
    fn may_wait(&self) -> bool {
        self.has_room()
    }
}

/// What is remembered of calls and waits.
#[derive(Debug)]
pub(crate) struct Pace {
    company: Company,
    /// When the last calls came, as many as are many.
    came: VecDeque<Instant>,
    rests_until: Option<Instant>,
    rest: Duration,
}

impl Pace {
    pub(crate) fn new(company: Company) -> Self {
        Self { company, came: VecDeque::with_capacity(company.many), rests_until: None, rest: REST }
    }

    /// Makes a batch of a job and of what waits behind it; while many calls come, after a wait for company.
    pub(crate) async fn gather<B: Gathered>(&mut self, first: B::Job, jobs: &mut mpsc::Receiver<B::Job>) -> B {
        let mut batch = B::default();
        self.take(first, &mut batch);
        self.take_waiting(jobs, &mut batch);
        if let Some(until) = self.wait(batch.calls(), Instant::now()).filter(|_| batch.may_wait()) {
            while !self.is_enough(batch.calls()) && batch.may_wait() {
                let Ok(Some(job)) = timeout_at(until.into(), jobs.recv()).await else { break };
                self.take(job, &mut batch);
            }
            // A wait that was cut short says nothing about company.
            if batch.may_wait() {
                self.waited(batch.calls(), Instant::now());
            }
            self.take_waiting(jobs, &mut batch);
        }
        batch
    }

    fn take_waiting<B: Gathered>(&mut self, jobs: &mut mpsc::Receiver<B::Job>, batch: &mut B) {
        while batch.has_room() {
            let Ok(job) = jobs.try_recv() else { break };
            self.take(job, batch);
        }
    }

    fn take<B: Gathered>(&mut self, job: B::Job, batch: &mut B) {
        if let Some(came) = batch.add(job) {
            self.came(came);
        }
    }

    /// Whether a batch of so many calls waits for no more.
    const fn is_enough(&self, calls: usize) -> bool {
        calls >= self.company.enough
    }

    /// A call came.
    fn came(&mut self, at: Instant) {
        if self.came.len() == self.company.many {
            self.came.pop_front();
        }
        self.came.push_back(at);
    }

    /// Until when a batch of so many calls waits for more, if it waits.
    fn wait(&self, calls: usize, now: Instant) -> Option<Instant> {
        let first = self.came.front().filter(|_| self.came.len() == self.company.many);
        let are_many = first.is_some_and(|first| now.saturating_duration_since(*first) <= SECOND);
        let rests = self.rests_until.is_some_and(|until| now < until);
        (!self.is_enough(calls) && are_many && !rests).then(|| now + self.company.patience)
    }

    /// A wait ended with so many calls.
    fn waited(&mut self, calls: usize, now: Instant) {
        if calls >= self.company.worth {
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

    const COMPANY: Company = Company { many: 430, enough: 6, patience: Duration::from_millis(12), worth: 4 };

    /// Calls that come at a rate for two seconds; when the last one came.
    fn at_a_rate(pace: &mut Pace, began: Instant, each: Duration) -> Instant {
        let mut now = began;
        while now < began + 2 * SECOND {
            now += each;
            pace.came(now);
        }
        now
    }

    #[test]
    fn few_calls_are_not_held_up() {
        let mut pace = Pace::new(COMPANY);
        let now = at_a_rate(&mut pace, Instant::now(), Duration::from_micros(2_600));
        assert_eq!(pace.wait(1, now), None);
    }

    #[test]
    fn company_is_waited_for_while_many_come() {
        let mut pace = Pace::new(COMPANY);
        let now = at_a_rate(&mut pace, Instant::now(), Duration::from_millis(2));
        assert_eq!(pace.wait(1, now), Some(now + COMPANY.patience));
        assert_eq!(pace.wait(COMPANY.enough, now), None);
        pace.waited(COMPANY.worth, now);
        assert_eq!(pace.wait(1, now), Some(now + COMPANY.patience));
        assert_eq!(pace.wait(1, now + SECOND), None);
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let mut pace = Pace::new(COMPANY);
        let mut now = Instant::now();
        let (mut waits, began) = (0, now);
        // One caller who waits for his answer before he asks again.
        while now < began + 10 * SECOND {
            pace.came(now);
            if let Some(until) = pace.wait(1, now) {
                waits += 1;
                now = until;
                pace.waited(1, now);
            }
            now += Duration::from_millis(1);
        }
        assert!((5..30).contains(&waits), "{waits}");
        pace.waited(COMPANY.worth, now);
        assert_eq!(pace.rest, REST);
    }
}
