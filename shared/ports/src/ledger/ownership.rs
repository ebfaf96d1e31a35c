//! Raising epochs: how a new owner shuts the old one out.

use async_trait::async_trait;
use warren_domain::{Epoch, Result, Shard};

/// What became of one shard that was to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The stored epoch is now the given one: earlier owners' writes are refused from here on.
    Raised,
    /// A higher epoch is stored: somebody newer owns it.
    Higher(Epoch),
}

/// Epochs in the ledger.
#[async_trait]
pub trait Ownership: Send + Sync {
    /// Raises the epochs of these shards, in one statement, where the stored one is not higher; raising to the stored one
    /// again is `Raised` (a lost reply can be retried). Verdicts in the order given.
    ///
    /// # Errors
    /// `Invalid` for a shard that the deployment does not have.
    async fn take(&self, shards: &[(Shard, Epoch)]) -> Result<Vec<Taken>>;
    /// The highest epoch ever stored; the authority of a single-process deployment hands out the next.
    async fn highest_epoch(&self) -> Result<Epoch>;
}
