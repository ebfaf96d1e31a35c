//! How much a webhook is asked at once: more while it answers, one thing now and then while it does not.

use std::time::Duration;
use warren_domain::Timestamp;

/// Posts at once with which a webhook begins.
const FIRST_WINDOW: usize = 4;
/// The first pause is this part of the longest.
const FIRST_PAUSE: u32 = 60;

/// The circuit to one webhook. Closed, it lets through as many posts as its window; open, one at a time, with growing pauses.
#[derive(Debug)]
pub(crate) struct Circuit {
    widest: usize,
    failures_to_open: u32,
    longest_pause: Duration,
    window: usize,
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    pause: Duration,
    probe_at: Timestamp,
}

impl Open {
    /// From now on for this long.
    fn at(now: Timestamp, pause: Duration) -> Self {
        Self { pause, probe_at: now.after(pause) }
    }

    /// How long until it lets one through. A time that is further away than the pause was reckoned before the clock was turned
    /// back: it is not waited for.
    fn wait(&self, now: Timestamp) -> Duration {
        let wait = self.probe_at.since(now);
        if wait > self.pause { Duration::ZERO } else { wait }
    }
}

impl Circuit {
    /// A closed one.
    pub(crate) fn new(widest: usize, failures_to_open: u32, longest_pause: Duration) -> Self {
        let window = FIRST_WINDOW.min(widest);
        Self { widest, failures_to_open, longest_pause, window, failures: 0, open: None }
    }

    /// Whether the webhook is only asked now and then.
    pub(crate) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether one more may be posted while `in_flight` are under way.
    pub(crate) fn lets_through(&self, in_flight: usize, now: Timestamp) -> bool {
        match self.open {
            None => in_flight < self.window,
            Some(open) => in_flight == 0 && open.wait(now).is_zero(),
        }
    }

    /// How long until it lets one through, if it is open.
    pub(crate) fn probe_in(&self, now: Timestamp) -> Option<Duration> {
        self.open.map(|open| open.wait(now))
    }

    /// A post was taken. Whether that closed it.
    pub(crate) fn succeeded(&mut self) -> bool {
        self.failures = 0;
        match self.open.take() {
            Some(_) => {
                self.window = FIRST_WINDOW.min(self.widest);
                true
            }
            None => {
                self.window = self.widest.min(self.window + 1);
                false
            }
        }
    }

    /// A post failed.
    pub(crate) fn failed(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.window = (self.window / 2).max(1);
        self.open = match self.open {
            // Those that were under way when it opened do not make the pause longer.
            Some(open) if !open.wait(now).is_zero() => Some(open),
            Some(open) => Some(Open::at(now, (open.pause * 2).min(self.longest_pause))),
            None if self.failures >= self.failures_to_open => Some(Open::at(now, self.longest_pause / FIRST_PAUSE)),
            None => None,
        };
    }

    /// Forgets what failed: the webhook is another one now.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.widest, self.failures_to_open, self.longest_pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);
    const BEGIN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    #[test]
    fn it_opens_after_failures_in_a_row_and_asks_ever_more_seldom() {
        let (mut circuit, mut now) = (Circuit::new(32, 3, LONGEST), BEGIN);
        circuit.failed(now);
        circuit.failed(now);
        circuit.succeeded();
        circuit.failed(now);
        circuit.failed(now);
        assert!(!circuit.is_open() && circuit.lets_through(0, now));
        circuit.failed(now);
        assert!(circuit.is_open());
        // What was under way says nothing new.
        circuit.failed(now);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(circuit.probe_in(now), Some(Duration::from_secs(seconds)));
            assert!(!circuit.lets_through(0, now));
            now = now.after(Duration::from_secs(seconds));
            assert!(circuit.lets_through(0, now) && !circuit.lets_through(1, now));
            circuit.failed(now);
        }
        assert!(circuit.succeeded());
        assert!(!circuit.is_open() && circuit.lets_through(3, now) && !circuit.lets_through(4, now));
    }

    #[test]
    fn a_clock_that_is_turned_back_does_not_keep_it_open() {
        let mut circuit = Circuit::new(32, 1, LONGEST);
        circuit.failed(BEGIN);
        let back = BEGIN.before(Duration::from_secs(3_600));
        assert!(circuit.lets_through(0, back) && circuit.probe_in(back) == Some(Duration::ZERO));
        // It is asked now and then from there on, and no more often.
        circuit.failed(back);
        assert_eq!(circuit.probe_in(back), Some(Duration::from_secs(2)));
        assert!(!circuit.lets_through(0, back));
    }

    #[test]
    fn its_window_grows_and_shrinks() {
        let (mut circuit, now) = (Circuit::new(6, 10, LONGEST), BEGIN);
        assert!(circuit.lets_through(3, now) && !circuit.lets_through(4, now));
        for _ in 0..10 {
            circuit.succeeded();
        }
        assert!(circuit.lets_through(5, now) && !circuit.lets_through(6, now));
        circuit.failed(now);
        assert!(circuit.lets_through(2, now) && !circuit.lets_through(3, now));
        circuit.failed(now);
        circuit.failed(now);
        assert!(circuit.lets_through(0, now) && !circuit.lets_through(1, now));
    }
}
