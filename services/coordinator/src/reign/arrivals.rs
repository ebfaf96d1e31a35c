//! Shards that were assigned and are not served yet, and how far it is until all that lost their worker are.

use crate::command::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard};
use warren_raft::status::Recovery;

/// A worker that does not say what it has taken gets this long.
const ASSUMED: Duration = Duration::from_millis(100);
/// Nobody is waited for longer.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Arrival {
    worker: Name,
    epoch: Epoch,
    since: Instant,
}

/// At most one entry a shard.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    coming: BTreeMap<Shard, Arrival>,
    lost: BTreeSet<Shard>,
    /// Since when some are lost, and how many have been since.
    recovery: Option<(Instant, BTreeSet<Shard>)>,
}

impl Arrivals {
    /// Nobody serves these any more, and nobody was to take them over.
    pub(crate) fn lost(&mut self, shards: impl IntoIterator<Item = Shard>, now: Instant) {
        for shard in shards {
            self.lost.insert(shard);
            self.recovery.get_or_insert_with(|| (now, BTreeSet::new())).1.insert(shard);
        }
    }

    pub(crate) fn assigned(&mut self, shard: Shard, worker: &Name, epoch: Epoch, now: Instant) {
        self.coming.insert(shard, Arrival { worker: worker.clone(), epoch, since: now });
    }

    /// A worker serves a shard.
    pub(crate) fn taken(&mut self, shard: Shard, worker: &str, epoch: Epoch) {
        if self.coming.get(&shard).is_some_and(|arrival| *arrival.worker == *worker && arrival.epoch == epoch) {
            self.coming.remove(&shard);
            self.lost.remove(&shard);
        }
    }

    /// It will not be taken under that epoch.
    pub(crate) fn failed(&mut self, shard: Shard) {
        self.coming.remove(&shard);
    }

    /// Those that do not say it have taken what they were told by now. Returns how long a recovery took that is over.
    pub(crate) fn settle(&mut self, now: Instant, says_it: impl Fn(&Name) -> bool) -> Option<(Duration, usize)> {
        let lost = &mut self.lost;
        self.coming.retain(|shard, arrival| {
            let patience = if says_it(&arrival.worker) { LONGEST } else { ASSUMED };
            let is_coming = now.saturating_duration_since(arrival.since) < patience;
            if !is_coming {
                lost.remove(shard);
            }
            is_coming
        });
        if !self.lost.is_empty() {
            return None;
        }
        self.recovery.take().map(|(since, shards)| (now.saturating_duration_since(since), shards.len()))
    }

    /// Forgets what nobody has as this says.
    pub(crate) fn retain(&mut self, has: impl Fn(Shard, &Name, Epoch) -> bool) {
        self.coming.retain(|shard, arrival| has(*shard, &arrival.worker, arrival.epoch));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.coming.is_empty()
    }

    /// How the recovery goes, if there is one.
    pub(crate) fn recovery(&self, now: Instant) -> Option<Recovery> {
        let (since, shards) = self.recovery.as_ref()?;
        let elapsed = now.saturating_duration_since(*since);
        let done = shards.len().saturating_sub(self.lost.len());
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let left = elapsed.mul_f64(self.lost.len() as f64 / done.max(1) as f64);
        Some(Recovery {
            shards: count(shards.len()),
            left: count(self.lost.len()),
            elapsed_ms: millis(elapsed),
            remaining_ms: (done > 0).then(|| millis(left)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_is_over_when_the_last_shard_is_served() {
        let (mut arrivals, start) = (Arrivals::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let (a, b) = (Name::from("a"), Name::from("b"));
        assert_eq!(arrivals.recovery(start), None);
        arrivals.lost((0..4).map(Shard), start);
        assert_eq!(arrivals.recovery(at(100)).and_then(|recovery| recovery.remaining_ms), None, "there is no pace yet");
        for shard in 0..3 {
            arrivals.assigned(Shard(shard), &a, Epoch(9), at(100));
        }
        arrivals.assigned(Shard(3), &b, Epoch(9), at(100));
        arrivals.taken(Shard(0), "a", Epoch(8));
        arrivals.taken(Shard(0), "b", Epoch(9));
        arrivals.taken(Shard(1), "a", Epoch(9));
        arrivals.taken(Shard(2), "a", Epoch(9));
        let says_it = |worker: &Name| *worker == a;
        assert_eq!(arrivals.settle(at(199), says_it), None);
        let expected = Recovery { shards: 4, left: 2, elapsed_ms: 200, remaining_ms: Some(200) };
        assert_eq!(arrivals.recovery(at(200)), Some(expected));
        assert_eq!(arrivals.settle(at(200), says_it), None, "b counts as served, a is waited for");
        arrivals.taken(Shard(0), "a", Epoch(9));
        assert_eq!(arrivals.settle(at(300), says_it), Some((Duration::from_millis(300), 4)));
        assert!(arrivals.is_empty() && arrivals.recovery(at(400)).is_none());
    }

    #[test]
    fn what_failed_is_still_lost() {
        let (mut arrivals, start) = (Arrivals::default(), Instant::now());
        let a = Name::from("a");
        arrivals.lost([Shard(0)], start);
        arrivals.assigned(Shard(0), &a, Epoch(1), start);
        arrivals.failed(Shard(0));
        assert_eq!(arrivals.settle(start + LONGEST, |_| false), None);
        arrivals.assigned(Shard(0), &a, Epoch(2), start);
        arrivals.retain(|_, _, epoch| epoch == Epoch(1));
        assert!(arrivals.is_empty());
        assert_eq!(arrivals.recovery(start).map(|recovery| recovery.left), Some(1));
    }
}
