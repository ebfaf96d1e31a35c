//! How long companions were away between two connections, for those who measure hand-overs. Bounded, in memory only.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// Gaps remembered; the oldest go first.
const LIMIT: usize = 100_000;

/// A companion was away, and is back. One whose former connection was ended by its next login was never away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Gap {
    pub(crate) phone: String,
    pub(crate) device: u16,
    /// From the end of the one connection to the next login.
    pub(crate) ms: u64,
}

/// The last gaps.
#[derive(Default)]
pub(crate) struct Gaps(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    gaps: VecDeque<Gap>,
    /// How many there were in all.
    count: u64,
}

impl Gaps {
    pub(crate) fn note(&self, phone: u64, device: u16, away: Duration) {
        let ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.gaps.push_back(Gap { phone: phone.to_string(), device, ms });
        kept.count += 1;
        if kept.gaps.len() > LIMIT {
            kept.gaps.pop_front();
        }
    }

    /// Those after the first `after`, as far as they are remembered, and how many there were in all.
    pub(crate) fn after(&self, after: u64) -> (Vec<Gap>, u64) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = kept.count - kept.gaps.len() as u64;
        let skipped = usize::try_from(after.saturating_sub(forgotten)).unwrap_or(usize::MAX);
        (kept.gaps.iter().skip(skipped).cloned().collect(), kept.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_counted_on_from_any_place() {
        let gaps = Gaps::default();
        for ms in 0..LIMIT as u64 + 10 {
            gaps.note(1, 2, Duration::from_millis(ms));
        }
        let (all, count) = gaps.after(0);
        assert_eq!((all.len(), count, all.first().map(|gap| gap.ms)), (LIMIT, LIMIT as u64 + 10, Some(10)));
        let (late, _) = gaps.after(count - 2);
        assert_eq!(late.iter().map(|gap| gap.ms).collect::<Vec<_>>(), [count - 2, count - 1]);
        assert!(gaps.after(count + 5).0.is_empty());
    }
}
