//! Counting inside one process: what an adapter without shared memory is, and what a shared one falls back on.

use super::{Rate, Verdict};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
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

    fn take_at(&self, key: &str, rate: Rate, now: Instant) -> Verdict {
        let interval = Duration::from_secs(1) / rate.per_second.get();
        let tolerance = interval * (rate.burst.get() - 1);
        let mut used_up = self.used_up.lock().unwrap_or_else(PoisonError::into_inner);
        let from = used_up.get(key).copied().filter(|at| *at > now).unwrap_or(now);
        let ahead = from - now;
        if ahead > tolerance {
            return Verdict::Limited { retry_after: ahead - tolerance };
        }
        if !used_up.contains_key(key) && used_up.len() >= KEYS {
            used_up.retain(|_, at| *at > now);
            if used_up.len() >= KEYS {
                used_up.clear();
            }
        }
        used_up.insert(key.into(), from + interval);
        let left = (tolerance - ahead).as_nanos() / interval.as_nanos().max(1);
        Verdict::Allowed { remaining: u32::try_from(left).unwrap_or(u32::MAX) }
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.used_up.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    fn rate(per_second: u32, burst: u32) -> Rate {
        Rate { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
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
    fn is_bounded() {
        let (buckets, start) = (Buckets::new(), Instant::now());
        for key in 0..KEYS + 10 {
            let _ = buckets.take_at(&key.to_string(), rate(1, 1), start);
        }
        assert!(buckets.keys() <= KEYS);
    }
}
