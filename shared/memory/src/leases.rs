//! Leases inside one process.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use warren_domain::Result;
use warren_ports::lease::{Incarnation, Standing};

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

    async fn standing(&self, holders: &[(String, Incarnation)]) -> Result<Standing> {
        let remaining = self.with(|expiries, now| {
            let left = |(worker, incarnation): &(String, Incarnation)| {
                let expiry = *expiries.get(&(worker.clone(), incarnation.0))?;
                expiry.checked_duration_since(now).filter(|left| !left.is_zero())
            };
            holders.iter().map(left).collect()
        });
        // It remembers as long as the process lives, and so does whoever asks.
        Ok(Standing { remaining, memory: 0 })
    }

    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()> {
        self.with(|expiries, _| expiries.remove(&(worker.to_owned(), incarnation.0)));
        Ok(())
    }
}
