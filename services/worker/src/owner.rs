//! Ownership in memory: what one epoch of one shard may do, and until when.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use warren_domain::{Epoch, Fence, Shard};

/// When this process last proved that it runs. Monotonic; shared by all its shards.
#[derive(Debug)]
pub(crate) struct LeaseClock {
    last_beat: Mutex<Instant>,
    /// After a scheduling gap: nothing outward until the ledger confirmed the epochs.
    suspended: AtomicBool,
    validity: Duration,
}

impl LeaseClock {
    /// Valid for `ttl - margin` after each beat.
    pub(crate) fn new(ttl: Duration, margin: Duration) -> Self {
        Self {
            last_beat: Mutex::new(Instant::now()),
            suspended: AtomicBool::new(false),
            validity: ttl.saturating_sub(margin),
        }
    }

    /// Notes a renewal; returns how long ago the one before was.
    pub(crate) fn beat(&self) -> Duration {
        let now = Instant::now();
        let mut last = self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = now.saturating_duration_since(*last);
        *last = now;
        gap
    }

    pub(crate) fn suspend(&self) {
        self.suspended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn resume(&self) {
        self.suspended.store(false, Ordering::SeqCst);
    }

    fn is_valid(&self) -> bool {
        let last = *self.last_beat.lock().unwrap_or_else(PoisonError::into_inner);
        !self.suspended.load(Ordering::SeqCst) && last.elapsed() < self.validity
    }
}

/// One epoch of one shard, as held by this process. A new epoch is a new `Owner`.
#[derive(Debug)]
pub(crate) struct Owner {
    fence: Fence,
    lost: AtomicBool,
    clock: Arc<LeaseClock>,
}

impl Owner {
    pub(crate) fn new(shard: Shard, epoch: Epoch, clock: Arc<LeaseClock>) -> Arc<Self> {
        Arc::new(Self { fence: Fence { shard, epoch }, lost: AtomicBool::new(false), clock })
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    /// The ledger refused this epoch: nothing is done under it any more. For good.
    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
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
        clock.resume();
        assert!(owner.may_act());
        owner.lose();
        assert!(!owner.may_act());

        let expired = Arc::new(LeaseClock::new(Duration::ZERO, Duration::ZERO));
        assert!(!Owner::new(Shard(1), Epoch(1), expired).may_act());
    }
}
