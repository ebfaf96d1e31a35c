//! When a failed event is tried again, and when it is given up.

use crate::options::Options;
use rand::RngExt as _;
use std::time::Duration;
use warren_domain::Timestamp;

/// What comes after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try it again then.
    At(Timestamp),
    /// It was tried often enough. The next event of its instance is tried then.
    GiveUp(Timestamp),
}

/// What to do after an event's try number `tries` (from 1) failed at `now`. One that follows another that was given up, and has
/// waited since `waiting` for longer than an event can be tried, is not tried again: so that a receiver that refuses everything
/// of an instance gets behind by no more than that.
pub(crate) fn after_failure(
    options: &Options,
    tries: u32,
    follows_given_up: bool,
    waiting: Timestamp,
    now: Timestamp,
) -> Next {
    let pause = |number: u32| {
        let seconds = options.retry_s.get(number as usize).or(options.retry_s.first()).copied().unwrap_or(5);
        now.after(jittered(Duration::from_secs(seconds)))
    };
    let is_last = tries as usize > options.retry_s.len();
    let is_old = follows_given_up && waiting < now.before(options.patience());
    if is_last || is_old { Next::GiveUp(pause(0)) } else { Next::At(pause(tries - 1)) }
}

/// Up to a tenth longer.
fn jittered(pause: Duration) -> Duration {
    pause + pause.mul_f64(rand::rng().random_range(0.0..0.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn pause(next: Next) -> (bool, f64) {
        let (is_last, at) = match next {
            Next::At(at) => (false, at),
            Next::GiveUp(at) => (true, at),
        };
        (is_last, (at.as_millis() - NOW.as_millis()) as f64 / 1_000.0)
    }

    #[test]
    fn pauses_are_those_of_the_table_and_a_little() {
        let options = Options::default();
        for (tries, seconds) in (1..).zip([5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0]) {
            let (is_last, pause) = pause(after_failure(&options, tries, true, NOW, NOW));
            assert!(!is_last && pause >= seconds && pause <= seconds * 1.1, "{tries}: {pause}");
        }
        let (is_last, pause) = pause(after_failure(&options, 8, false, NOW, NOW));
        assert!(is_last && (5.0..=5.5).contains(&pause));
    }

    #[test]
    fn what_has_waited_too_long_is_tried_once() {
        let old = NOW.before(Duration::from_secs(31 * 3_600));
        let is_last = |follows, waiting| pause(after_failure(&Options::default(), 1, follows, waiting, NOW)).0;
        assert!(is_last(true, old) && !is_last(false, old));
        assert!(!is_last(true, NOW.before(Duration::from_secs(30 * 3_600))));
    }
}
