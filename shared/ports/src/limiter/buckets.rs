//! Counting inside one process: what an adapter without shared memory is, and what a shared one falls back on.

use super::{Rate, Verdict};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Keys that are remembered at most. Whoever comes when it is full is forgotten again soonest: a flood of keys costs others a
/// burst at most.
const KEYS: usize = 100_000;

/// Counts by key (GCRA): for each the moment at which all that it took will be used up.
#[derive(Debug, Default)]
pub struct Buckets {
    used_up: Mutex<HashMap<Box<str>, Instant>>,
}

impl Buckets {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one from what `key` may do at this rate.
    pub fn take(&self, key: &str, rate: Rate) -> Verdict {
        self.take_at(key, rate, Instant::now())
    }

    /// What [`Buckets::take`] would say now; counts nothing.
    pub fn look(&self, key: &str, rate: Rate) -> Verdict {
        let used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        judged(used_up.get(key).copied(), rate, Instant::now()).1
    }

    fn take_at(&self, key: &str, rate: Rate, now: Instant) -> Verdict {
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, verdict) = judged(used_up.get(key).copied(), rate, now);
        let Some(next) = next else { return verdict };
        if !used_up.contains_key(key) && used_up.len() >= KEYS {
            used_up.retain(|_, at| *at > now);
            if used_up.len() >= KEYS {
                used_up.clear();
            }
        }
        used_up.insert(key.into(), next);
        verdict
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.used_up.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Whether it may happen once more, and until when all will be used up then.
fn judged(used_up: Option<Instant>, rate: Rate, now: Instant) -> (Option<Instant>, Verdict) {
    let interval = rate.interval();
    let tolerance = interval * (rate.burst.get() - 1);
    let from = used_up.filter(|at| *at > now).unwrap_or(now);
    let ahead = from - now;
    if ahead > tolerance {
        return (None, Verdict::Limited { retry_after: ahead - tolerance });
    }
    let left = (tolerance - ahead).as_nanos() / interval.as_nanos().max(1);
    (Some(from + interval), Verdict::Allowed { remaining: u32::try_from(left).unwrap_or(u32::MAX) })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::{num::NonZeroU32, time::Duration};

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate::per_second(NonZeroU32::new(per_second).unwrap(), NonZeroU32::new(burst).unwrap())
    }

    #[test]
    fn passes_a_burst_then_the_rate() {
        let (buckets, start, rate) = (Buckets::new(), Instant::now(), rate(10, 3));
        let take = |millis| buckets.take_at("k", rate, start + Duration::from_millis(millis));
        assert_eq!([take(0), take(0), take(0)], [2, 1, 0].map(|remaining| Verdict::Allowed { remaining }));
        assert_eq!(take(0), Verdict::Limited { retry_after: Duration::from_millis(100) });
        assert_eq!(take(40), Verdict::Limited { retry_after: Duration::from_millis(60) });
        assert_eq!(take(100), Verdict::Allowed { remaining: 0 });
        assert!(matches!(take(100), Verdict::Limited { .. }));
        assert_eq!(take(5_000), Verdict::Allowed { remaining: 2 }, "a pause fills it again");
    }

    #[test]
    fn counts_by_the_minute_too() {
        let (buckets, start) = (Buckets::new(), Instant::now());
        let rate = Rate::per_minute(NonZeroU32::new(20).unwrap());
        let passes =
            |seconds| matches!(buckets.take_at("k", rate, start + Duration::from_secs(seconds)), Verdict::Allowed { .. });
        assert!((0..20).all(|_| passes(0)) && !passes(0) && !passes(2));
        assert!(passes(3) && !passes(3) && passes(6));
    }

    #[test]
    fn is_bounded() {
        let (buckets, start) = (Buckets::new(), Instant::now());
        for key in 0..KEYS + 10 {
            let _ = buckets.take_at(&key.to_string(), rate(1, 1), start);
        }
        assert!(buckets.keys() <= KEYS);
    }
}
