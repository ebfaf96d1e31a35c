//! Placement inside one process: every shard is local, unless a sandbox says otherwise.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use warren_domain::{Epoch, Shard, ShardCount};
use warren_ports::placement::{Assignments, Placement, Report};

/// Before a shard that could not be taken is assigned again.
const RETAKE_PAUSE: Duration = Duration::from_millis(250);

/// Where epochs come from: each is handed out once, each is higher than the last. Cheap to clone; clones share it, so that
/// the placements of several workers in one sandbox never hand out the same one.
#[derive(Debug, Clone)]
pub struct Epochs {
    next: Arc<AtomicI64>,
}

impl Epochs {
    /// `first` and higher.
    #[must_use]
    pub fn starting_at(first: Epoch) -> Self {
        Self { next: Arc::new(AtomicI64::new(first.0)) }
    }

    /// A fresh epoch.
    #[must_use]
    pub fn take(&self) -> Epoch {
        Epoch(self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Hands out nothing up to and including `seen` from now on.
    fn pass(&self, seen: Epoch) {
        self.next.fetch_max(seen.0.saturating_add(1), Ordering::SeqCst);
    }
}

/// The epoch of a shard would have fallen, which no authority may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("shard {shard} was assigned under epoch {known}, which is higher than {given}")]
pub struct EpochFell {
    /// Which shard.
    pub shard: Shard,
    /// The highest epoch it was assigned under here.
    pub known: Epoch,
    /// The epoch it was to get.
    pub given: Epoch,
}

/// What one worker of this process owns. Cheap to clone; clones share it.
///
/// It is its own authority: a shard that could not be taken, or whose stored epoch went back, gets a fresh and higher epoch;
/// a released one is gone until [`LocalPlacement::assign`] brings it back.
#[derive(Debug, Clone)]
pub struct LocalPlacement {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epochs: Epochs,
    assigned: watch::Sender<Assignments>,
    /// The highest epoch of each shard, whether it is still assigned or not.
    highest: Mutex<BTreeMap<Shard, Epoch>>,
}

impl LocalPlacement {
    /// All shards under `epoch`, which must be higher than every epoch in the ledger.
    #[must_use]
    pub fn new(count: ShardCount, epoch: Epoch) -> Self {
        let placement = Self::empty(Epochs::starting_at(Epoch(epoch.0.saturating_add(1))));
        let Ok(()) =
            placement.change::<Infallible>(|_, _| Ok((0..count.0.get()).map(|shard| (Shard(shard), epoch)).collect()));
        placement
    }

    /// No shards; fresh epochs come from `epochs`, which a sandbox shares between its workers.
    #[must_use]
    pub fn empty(epochs: Epochs) -> Self {
        let (assigned, _) = watch::channel(Assignments::default());
        Self { inner: Arc::new(Inner { epochs, assigned, highest: Mutex::default() }) }
    }

    /// Replaces everything this worker is to own. It does not touch what other placements of a sandbox say: whether two
    /// workers believe they own one shard is the caller's test to make.
    ///
    /// # Errors
    /// [`EpochFell`] if a shard had a higher epoch here before; nothing is changed then.
    pub fn assign(&self, shards: BTreeMap<Shard, Epoch>) -> Result<(), EpochFell> {
        self.change(|_, highest| {
            for (&shard, &given) in &shards {
                if let Some(&known) = highest.get(&shard).filter(|known| **known > given) {
                    return Err(EpochFell { shard, known, given });
                }
            }
            Ok(shards)
        })
    }

    /// One change at a time, from what is assigned and from the highest epochs to what is assigned next.
    fn change<E>(
        &self,
        decide: impl FnOnce(&BTreeMap<Shard, Epoch>, &BTreeMap<Shard, Epoch>) -> Result<BTreeMap<Shard, Epoch>, E>,
    ) -> Result<(), E> {
        let mut highest = self.inner.highest.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::clone(&self.inner.assigned.borrow());
        let next = decide(&current, &highest)?;
        for (&shard, &epoch) in &next {
            self.inner.epochs.pass(epoch);
            highest.insert(shard, epoch);
        }
        self.inner.assigned.send_replace(Arc::new(next));
        Ok(())
    }

    /// One fresh epoch for those of `reported` that are still assigned here as they were reported.
    fn refresh(&self, reported: &[(Shard, Epoch)]) {
        let fresh = self.inner.epochs.take();
        let Ok(()) = self.change::<Infallible>(|current, highest| {
            let renewed = |shard: &Shard, epoch: &Epoch| {
                reported.contains(&(*shard, *epoch)) && highest.get(shard).is_none_or(|known| *known < fresh)
            };
            Ok(current.iter().map(|(shard, epoch)| (*shard, if renewed(shard, epoch) { fresh } else { *epoch })).collect())
        });
    }

    fn release(&self, reported: &[(Shard, Epoch)]) {
        let Ok(()) = self.change::<Infallible>(|current, _| {
            let stays = |(shard, epoch): &(&Shard, &Epoch)| !reported.contains(&(**shard, **epoch));
            Ok(current.iter().filter(stays).map(|(shard, epoch)| (*shard, *epoch)).collect())
        });
    }

    /// Nobody else could take them: they are given up at once.
    fn drain(&self) {
        let Ok(()) = self.change::<Infallible>(|_, _| Ok(BTreeMap::new()));
    }
}

#[async_trait]
impl Placement for LocalPlacement {
    fn assignments(&self) -> watch::Receiver<Assignments> {
        self.inner.assigned.subscribe()
    }

    async fn report(&self, report: Report) {
        match report {
            Report::LedgerBehind(shards) => self.refresh(&shards),
            Report::NotTaken(shards) => {
                // A store that refuses at once must not turn this and the worker into a busy loop.
                tokio::time::sleep(RETAKE_PAUSE).await;
                self.refresh(&shards);
            }
            Report::Released(shards) => self.release(&shards),
            // Nobody waits for it here.
            Report::Taken(_) => {}
            Report::Draining => self.drain(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn map(shards: &[(u16, i64)]) -> BTreeMap<Shard, Epoch> {
        shards.iter().map(|&(shard, epoch)| (Shard(shard), Epoch(epoch))).collect()
    }

    #[tokio::test]
    async fn all_shards_are_local() {
        let placement = LocalPlacement::new(ShardCount::default(), Epoch(7));
        let assigned = placement.assignments().borrow().clone();
        assert_eq!(assigned.len(), 1024);
        assert!(assigned.values().all(|epoch| *epoch == Epoch(7)));
        placement.report(Report::LedgerBehind(vec![(Shard(3), Epoch(7))])).await;
        assert_eq!(placement.assignments().borrow().get(&Shard(3)), Some(&Epoch(8)));
        assert_eq!(placement.assignments().borrow().get(&Shard(4)), Some(&Epoch(7)));
    }

    #[tokio::test]
    async fn a_sandbox_moves_shards_and_no_epoch_falls() {
        let epochs = Epochs::starting_at(Epoch(1));
        let (one, other) = (LocalPlacement::empty(epochs.clone()), LocalPlacement::empty(epochs.clone()));
        one.assign(map(&[(0, 1), (1, 1)])).unwrap();
        other.assign(map(&[(0, 2)])).unwrap();
        assert!(epochs.take() > Epoch(2));
        other.assign(BTreeMap::new()).unwrap();
        let fell = EpochFell { shard: Shard(0), known: Epoch(2), given: Epoch(1) };
        assert_eq!(other.assign(map(&[(0, 1)])), Err(fell));
        assert!(other.assignments().borrow().is_empty());
        one.report(Report::NotTaken(vec![(Shard(0), Epoch(1))])).await;
        assert!(one.assignments().borrow()[&Shard(0)] > Epoch(2));
        assert_eq!(one.assignments().borrow()[&Shard(1)], Epoch(1));
    }
}
