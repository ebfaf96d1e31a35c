//! Ownership in memory: what one epoch of one shard may do, and until when.

use crate::beat::Beat;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Notify, watch};
use warren_domain::{Epoch, Fence, Shard};

/// When this process last proved that it runs. Shared by all its shards.
#[derive(Debug)]
pub(crate) struct LeaseClock {
    beat: Beat,
    /// The gaps in which somebody may have taken over, and how many of them the ledger's epochs were checked after: nothing
    /// outward while there is one more.
    gaps: watch::Sender<u64>,
    checked: AtomicU64,
    validity: Duration,
    /// Rung when an epoch of this process was refused.
    losses: Notify,
}

impl LeaseClock {
    /// Valid for `ttl - margin` after each beat.
    pub(crate) fn new(ttl: Duration, margin: Duration) -> Self {
        Self {
            beat: Beat::new(),
            gaps: watch::Sender::new(0),
            checked: AtomicU64::new(0),
            validity: ttl.saturating_sub(margin),
            losses: Notify::new(),
        }
    }

    /// Resolves when an epoch of this process was refused since the last call.
    pub(crate) async fn loss(&self) {
        self.losses.notified().await;
    }

    /// It runs.
    pub(crate) fn beat(&self) {
        self.beat.beat();
    }

    /// Somebody may have taken over meanwhile, or will. Invalid until that was checked.
    pub(crate) fn suspend(&self) {
        self.gaps.send_modify(|count| *count += 1);
    }

    /// Changes with every gap from now on: after each, the epochs are to be checked.
    pub(crate) fn woken(&self) -> watch::Receiver<u64> {
        self.gaps.subscribe()
    }

    /// The gaps until now: what is asked of the ledger from here on says what came of them.
    pub(crate) fn gaps(&self) -> u64 {
        *self.gaps.borrow()
    }

    /// The epochs were checked after so many gaps. Valid again, if there was none since.
    pub(crate) fn resume(&self, gaps: u64) {
        self.checked.store(gaps, Ordering::SeqCst);
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.checked.load(Ordering::SeqCst) == self.gaps() && self.beat.age() < self.validity
    }
}

/// One epoch of one shard, as held by this process. A new epoch is a new `Owner`.
#[derive(Debug)]
pub(crate) struct Owner {
    fence: Fence,
    lost: AtomicBool,
    /// The ledger had a lower epoch: it went back in time.
    ledger_behind: AtomicBool,
    clock: Arc<LeaseClock>,
}

impl Owner {
    pub(crate) fn new(shard: Shard, epoch: Epoch, clock: Arc<LeaseClock>) -> Arc<Self> {
        Arc::new(Self {
            fence: Fence { shard, epoch },
            lost: AtomicBool::new(false),
            ledger_behind: AtomicBool::new(false),
            clock,
        })
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    /// The ledger refused this epoch: nothing is done under it any more. For good.
    pub(crate) fn lose(&self) {
        if !self.lost.swap(true, Ordering::SeqCst) {
            self.clock.losses.notify_one();
        }
    }

    /// The ledger has a lower epoch than this one, or none: what was read under it may never have been. For good, too.
    pub(crate) fn lose_with_ledger_behind(&self) {
        self.ledger_behind.store(true, Ordering::SeqCst);
        self.lose();
    }

    pub(crate) fn is_ledger_behind(&self) -> bool {
        self.ledger_behind.load(Ordering::SeqCst)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }

    /// Whether something may leave this process in the name of this shard, right now. Asked directly before every effect;
    /// the ledger's own check protects state, this protects what the ledger cannot see.
    pub(crate) fn may_act(&self) -> bool {
        !self.is_lost() && self.clock.is_valid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_or_expired_owner_may_not_act() {
        let clock = Arc::new(LeaseClock::new(Duration::from_secs(3), Duration::from_millis(500)));
        let owner = Owner::new(Shard(1), Epoch(1), clock.clone());
        assert!(owner.may_act());
        clock.suspend();
        assert!(!owner.may_act());
        let first = clock.gaps();
        clock.suspend();
        clock.resume(first);
        assert!(!owner.may_act(), "what was asked before a gap says nothing about it");
        clock.resume(clock.gaps());
        assert!(owner.may_act());
        owner.lose();
        assert!(!owner.may_act());

        let expired = Arc::new(LeaseClock::new(Duration::ZERO, Duration::ZERO));
        assert!(!Owner::new(Shard(1), Epoch(1), expired).may_act());
    }
}
