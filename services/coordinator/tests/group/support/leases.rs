//! The lease store of a test: in memory, and it can be away, or forget everything.

use async_trait::async_trait;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use warren_domain::{Error, Result};
use warren_ports::lease::{Incarnation, Leases, Standing};

/// Cheap to clone; clones are the same store.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeaseStore {
    current: Arc<Mutex<(warren_memory::Leases, u64)>>,
    is_away: Arc<AtomicBool>,
}

impl LeaseStore {
    /// Everything in it is gone, and it knows that.
    pub(crate) fn flush(&self) {
        let mut current = self.current.lock().unwrap();
        *current = (warren_memory::Leases::new(), current.1 + 1);
    }

    /// Whether it answers.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }

    fn reach(&self) -> Result<(warren_memory::Leases, u64)> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Error::unavailable("The lease store is away."));
        }
        Ok(self.current.lock().unwrap().clone())
    }
}

#[async_trait]
impl Leases for LeaseStore {
    async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> Result<()> {
        self.reach()?.0.renew(worker, incarnation, ttl).await
    }

    async fn standing(&self, holders: &[(String, Incarnation)]) -> Result<Standing> {
        let (leases, memory) = self.reach()?;
        Ok(Standing { memory, ..leases.standing(holders).await? })
    }

    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()> {
        self.reach()?.0.release(worker, incarnation).await
    }
}
