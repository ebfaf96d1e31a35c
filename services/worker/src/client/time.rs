//! The time as the library is told it.
//!
//! The library measures spans by the wall clock: how long a connection has been silent, whether it is dead (whatsapp-rust 0.7,
//! `keepalive_loop` and `wacore::protocol::keepalive`). A clock that jumps ahead would make it cut connections that are well, and
//! one that jumps back would let dead ones pass as alive until the old time has come again. So it is told a time that follows the
//! wall clock and never jumps: it goes a tenth faster or slower at most.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use wacore::time::{TimeProvider, set_time_provider};
use warren_domain::Timestamp;
use warren_domain::time::{Clock as _, SystemClock};

/// Between two corrections; between them it goes on by itself.
const STEP: Duration = Duration::from_millis(100);
/// Which part of the time that passed a correction may be.
const PART: i64 = 10;

/// Makes it the library's time, in the whole process and for good. Before the first client: where somebody has asked for the time
/// already, as a simulator in the same process may have, it stays the wall clock's.
pub(crate) fn keep_steady() {
    let _ = set_time_provider(Steady::from(SystemClock.now(), Instant::now()));
}

/// How long ago that was, of a moment as the library notes them; `None` if it has noted none yet.
pub(crate) fn ago(noted_ms: u64) -> Option<Duration> {
    let noted = i64::try_from(noted_ms).ok().filter(|noted| *noted > 0)?;
    Some(Timestamp::from_millis(wacore::time::now_millis()).since(Timestamp::from_millis(noted)))
}

/// A time that follows another.
#[derive(Debug)]
struct Steady(Mutex<Told>);

/// What was told at the last correction.
#[derive(Debug, Clone, Copy)]
struct Told {
    time: Timestamp,
    at: Instant,
}

impl Steady {
    const fn from(time: Timestamp, at: Instant) -> Self {
        Self(Mutex::new(Told { time, at }))
    }

    /// The time now, where the wall clock says `wall`.
    fn told(&self, wall: impl FnOnce() -> Timestamp, now: Instant) -> Timestamp {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(told.at);
        let time = told.time.after(passed);
        if passed < STEP {
            return time;
        }
        let most = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX) / PART;
        let off = wall().as_millis().saturating_sub(time.as_millis()).clamp(-most, most);
        *told = Told { time: Timestamp::from_millis(time.as_millis().saturating_add(off)), at: now };
        told.time
    }
}

impl TimeProvider for Steady {
    fn now_millis(&self) -> i64 {
        self.told(|| SystemClock.now(), Instant::now()).as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// What is told every second for a while, beside a clock that is `off` by this much.
    fn told(seconds: u64, off: impl Fn(Timestamp) -> Timestamp) -> Vec<i64> {
        let began = Instant::now();
        let steady = Steady::from(START, began);
        let at = |second| {
            let passed = Duration::from_secs(second);
            steady.told(|| off(START.after(passed)), began + passed).as_millis() - START.as_millis()
        };
        (1..=seconds).map(at).collect()
    }

    #[test]
    fn it_is_the_time() {
        assert_eq!(told(3, |time| time), [1_000, 2_000, 3_000]);
    }

    #[test]
    fn a_jump_is_made_up_for_by_a_tenth_of_the_time_that_passes() {
        assert_eq!(told(3, |time| time.after(HOUR)), [1_100, 2_200, 3_300]);
        assert_eq!(told(3, |time| time.before(HOUR)), [900, 1_800, 2_700]);
        let hours = told(11 * 3_600, |time| time.after(HOUR));
        assert_eq!(hours.last(), Some(&(12 * 3_600 * 1_000)));
        assert!(hours.is_sorted());
    }

    #[test]
    fn it_goes_on_between_corrections() {
        let began = Instant::now();
        let steady = Steady::from(START, began);
        let step = STEP / 2;
        assert_eq!(steady.told(|| START.after(HOUR), began + step), START.after(step));
    }

    #[test]
    fn nothing_noted_is_not_long_ago() {
        assert_eq!(ago(0), None);
        keep_steady();
        let now = u64::try_from(wacore::time::now_millis()).unwrap_or_default();
        assert!(ago(now - 60_000).is_some_and(|span| span >= HOUR / 60 && span < HOUR));
        assert_eq!(ago(now + 60_000), Some(Duration::ZERO));
    }
}
