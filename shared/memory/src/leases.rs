//! Leases inside one process.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use warren_domain::Result;
use warren_ports::lease::Incarnation;

type Expiries = BTreeMap<(String, u64), Instant>;

/// The leases of one process or sandbox, on the monotonic clock. Cheap to clone; clones share them.
///
/// Expired leases are forgotten whenever one is renewed, so that it holds no more entries than workers that live.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    expiries: Arc<Mutex<Expiries>>,
}

impl Leases {
    /// No leases.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, look: impl FnOnce(&mut Expiries, Instant) -> T) -> T {
        let mut expiries = self.expiries.lock().unwrap_or_else(PoisonError::into_inner);
        look(&mut expiries, Instant::now())
    }
}

#[async_trait]
impl warren_ports::lease::Leases for Leases {
    async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> Result<()> {
        self.with(|expiries, now| {
            expiries.retain(|_, expiry| *expiry > now);
            expiries.insert((worker.to_owned(), incarnation.0), now + ttl);
        });
        Ok(())
    }

    async fn is_live(&self, worker: &str, incarnation: Incarnation) -> Result<bool> {
        let key = (worker.to_owned(), incarnation.0);
        Ok(self.with(|expiries, now| expiries.get(&key).is_some_and(|expiry| *expiry > now)))
    }

    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()> {
        self.with(|expiries, _| expiries.remove(&(worker.to_owned(), incarnation.0)));
        Ok(())
    }
}
