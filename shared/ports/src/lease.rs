//! Leases: who is alive. For liveness only; safety comes from epochs.

use async_trait::async_trait;
use std::time::Duration;
use warren_domain::Result;

/// One start of one worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(pub u64);

/// Worker leases. It holds nothing that cannot be rebuilt; losing it stops no account.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Renews this worker's lease for `ttl` from now. Idempotent.
    ///
    /// # Errors
    /// `Unavailable` when the lease store is away: the owner keeps serving.
    async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> Result<()>;
    /// Whether this incarnation's lease is unexpired.
    async fn is_live(&self, worker: &str, incarnation: Incarnation) -> Result<bool>;
    /// Ends the lease at once (a clean stop).
    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()>;
}
