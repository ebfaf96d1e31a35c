//! How often one pairing may be looked at. Each look is a question to the instance's owner: somebody who asks a hundred times
//! a second learns nothing more and costs the owner's other accounts.

use crate::problem::{Problem, Result};
use moka::sync::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use warren_domain::{ErrorKind, InstanceId};

/// The pace, and how many looks may come at once.
const EVERY: Duration = Duration::from_millis(20);
const AT_ONCE: u32 = 50;
/// How many instances' paces are remembered; the longest unasked is forgotten first.
const INSTANCES: u64 = 10_000;

/// The pace of each instance's pairing: a generic cell rate, which is one number an instance.
#[derive(Debug)]
pub(crate) struct Polling {
    began: Instant,
    /// When the next look would be due at an even pace, microseconds since `began`.
    due: Cache<InstanceId, Arc<AtomicU64>>,
}

impl Default for Polling {
    fn default() -> Self {
        Self { began: Instant::now(), due: Cache::builder().max_capacity(INSTANCES).build() }
    }
}

impl Polling {
    /// 429 `too_many_requests` beyond 50 looks at once and 50 a second after them.
    pub(super) fn look(&self, instance: InstanceId) -> Result<()> {
        if self.is_within(instance, self.began.elapsed()) {
            return Ok(());
        }
        let detail = "A pairing is looked at 50 times a second at most; a stream of events tells each new code.";
        Err(Problem::new(ErrorKind::Exhausted, "too_many_requests", detail).retry_after(1))
    }

    fn is_within(&self, instance: InstanceId, now: Duration) -> bool {
        let (now, every, burst) = (micros(now), micros(EVERY), micros(EVERY * (AT_ONCE - 1)));
        let due = self.due.get_with(instance, Arc::default);
        let next = |due: u64| (due.saturating_sub(now) <= burst).then(|| due.max(now).saturating_add(every));
        due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_an_even_pace_each_instance_for_itself() {
        let polling = Polling::default();
        let (one, other) = (InstanceId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
        let at = |ms: u64| Duration::from_millis(5_000 + ms);
        let looks = |instance, ms| (0..100).filter(|_| polling.is_within(instance, at(ms))).count();
        assert_eq!(looks(one, 0), 50);
        assert_eq!(looks(one, 19), 0);
        assert_eq!(looks(one, 20), 1);
        assert_eq!(looks(one, 120), 5);
        assert_eq!(looks(other, 120), 50);
        assert_eq!(looks(one, 60_000), 50);
    }
}
