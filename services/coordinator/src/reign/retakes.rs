//! Shards that could not be taken, and when they are tried again: with growing pauses, the second time by somebody else.

use crate::command::Name;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;

/// The pause before the second try; it doubles with each.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(8);
/// A shard that made no trouble for so long starts anew.
const FORGOTTEN: Duration = Duration::from_secs(30);
/// From this failure on somebody else is to try.
const ELSEWHERE: u32 = 2;

/// Why an assignment did not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    NotTaken,
    /// The ledger has a lower epoch: the same worker takes it under a fresh one, the first time at once.
    LedgerBehind,
}

#[derive(Debug)]
struct Retake {
    worker: Name,
    cause: Cause,
    failures: u32,
    /// The assignment that did not do, until it is replaced.
    pending: Option<(Incarnation, Epoch)>,
    last: Instant,
    due: Instant,
}

/// A shard that is to be assigned anew now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) shard: Shard,
    pub(crate) worker: Name,
    pub(crate) incarnation: Incarnation,
    pub(crate) epoch: Epoch,
    /// Another worker should have it, if there is one.
    pub(crate) elsewhere: bool,
}

/// At most one entry a shard.
#[derive(Debug, Default)]
pub(crate) struct Retakes {
    shards: BTreeMap<Shard, Retake>,
}

impl Retakes {
    /// An assignment did not do.
    pub(crate) fn failed(
        &mut self,
        shard: Shard,
        (worker, incarnation): (&Name, Incarnation),
        epoch: Epoch,
        cause: Cause,
        now: Instant,
    ) {
        let pending = Some((incarnation, epoch));
        let failures = match self.shards.get(&shard) {
            Some(known) if known.pending == pending && known.worker == *worker => return,
            Some(known) if now.saturating_duration_since(known.last) < FORGOTTEN => known.failures.saturating_add(1),
            _ => 1,
        };
        let pause = FIRST.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST);
        let is_first_behind = cause == Cause::LedgerBehind && failures == 1;
        let due = if is_first_behind { now } else { now + pause };
        self.shards.insert(shard, Retake { worker: worker.clone(), cause, failures, pending, last: now, due });
    }

    /// The worker gave the shard up: nobody has it. When it may be assigned again stays.
    pub(crate) fn released(&mut self, shard: Shard) {
        if let Some(retake) = self.shards.get_mut(&shard) {
            retake.pending = None;
        }
    }

    /// What is to be assigned anew now. Each is told once.
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Due> {
        let due = self.shards.iter_mut().filter(|(_, retake)| retake.due <= now).filter_map(|(shard, retake)| {
            let (incarnation, epoch) = retake.pending.take()?;
            let elsewhere = retake.is_unfit();
            Some(Due { shard: *shard, worker: retake.worker.clone(), incarnation, epoch, elsewhere })
        });
        due.collect()
    }

    /// Whether a shard that nobody has is not to be assigned yet.
    pub(crate) fn holds_back(&self, shard: Shard, now: Instant) -> bool {
        self.shards.get(&shard).is_some_and(|retake| retake.due > now)
    }

    /// Who should not get a shard if there is anybody else.
    pub(crate) fn unfit(&self) -> BTreeMap<Shard, Name> {
        let unfit = self.shards.iter().filter(|(_, retake)| retake.is_unfit());
        unfit.map(|(shard, retake)| (*shard, retake.worker.clone())).collect()
    }

    /// Who could not take something lately.
    pub(crate) fn troubled(&self) -> BTreeSet<Name> {
        let troubles = self.shards.values().filter(|retake| retake.cause == Cause::NotTaken);
        troubles.map(|retake| retake.worker.clone()).collect()
    }

    /// Forgets the troubles of those that are gone.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&Name) -> bool) {
        self.shards.retain(|_, retake| is_there(&retake.worker));
    }

    pub(crate) fn tidy(&mut self, now: Instant) {
        let is_fresh = |retake: &Retake| retake.pending.is_some() || now.saturating_duration_since(retake.last) < FORGOTTEN;
        self.shards.retain(|_, retake| is_fresh(retake));
    }
}

impl Retake {
    fn is_unfit(&self) -> bool {
        self.cause == Cause::NotTaken && self.failures >= ELSEWHERE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Incarnation = Incarnation(1);

    fn name() -> Name {
        "a".into()
    }

    fn times(cause: Cause, count: usize) -> Vec<(u64, bool)> {
        let (mut retakes, mut now) = (Retakes::default(), Instant::now());
        let mut seen = Vec::new();
        for epoch in 0..count as i64 {
            retakes.failed(Shard(1), (&name(), A), Epoch(epoch), cause, now);
            let mut waited = 0;
            let due = loop {
                match retakes.due(now + Duration::from_millis(waited)).pop() {
                    Some(due) => break due,
                    None => waited += 50,
                }
            };
            assert!(retakes.due(now + LONGEST).is_empty(), "told once");
            seen.push((waited, due.elsewhere));
            now += Duration::from_millis(waited);
        }
        seen
    }

    #[test]
    fn pauses_grow_and_somebody_else_tries() {
        let expected =
            [(250, false), (500, true), (1_000, true), (2_000, true), (4_000, true), (8_000, true), (8_000, true)];
        assert_eq!(times(Cause::NotTaken, 7), expected);
        assert_eq!(times(Cause::LedgerBehind, 3), [(0, false), (500, false), (1_000, false)]);
    }

    #[test]
    fn a_repeated_report_says_nothing_and_a_release_keeps_the_pause() {
        let (mut retakes, now) = (Retakes::default(), Instant::now());
        retakes.failed(Shard(1), (&name(), A), Epoch(1), Cause::NotTaken, now);
        retakes.failed(Shard(1), (&name(), A), Epoch(1), Cause::NotTaken, now + Duration::from_millis(200));
        retakes.released(Shard(1));
        assert!(retakes.holds_back(Shard(1), now + Duration::from_millis(249)));
        assert!(!retakes.holds_back(Shard(1), now + Duration::from_millis(250)));
        assert!(retakes.due(now + LONGEST).is_empty() && retakes.unfit().is_empty());
        retakes.failed(Shard(1), (&name(), A), Epoch(2), Cause::NotTaken, now);
        assert_eq!(retakes.unfit(), BTreeMap::from([(Shard(1), name())]));
        retakes.released(Shard(1));
        retakes.tidy(now + FORGOTTEN);
        assert!(retakes.unfit().is_empty());
    }
}
