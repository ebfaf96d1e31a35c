//! Leases: who is alive. For liveness only; safety comes from epochs.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use warren_domain::Result;

/// One start of one worker process: a number that no other start has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

/// What the lease store knows at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How long each lease asked about still lasts, in the order asked; `None`: there is none, or it ran out. The last renewal
    /// was `ttl` minus this ago.
    pub remaining: Vec<Option<Duration>>,
    /// Names what the store remembers: another number means that it forgot everything (flushed, restarted) in between, so
    /// that a lease that is not there is no evidence of a death until its worker had the time to renew.
    pub memory: u64,
}

/// Worker leases. It holds nothing that cannot be rebuilt; losing it stops no account.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Renews this worker's lease for `ttl` from now. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` when the lease store is away: the owner keeps serving.
    async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> Result<()>;
    /// How the leases of these starts stand, by the store's own clock.
    ///
    /// # Errors
    /// `Unavailable` when the lease store is away: nobody is dead for that.
    async fn standing(&self, holders: &[(String, Incarnation)]) -> Result<Standing>;
    /// Ends the lease at once (a clean stop).
    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()>;
}
