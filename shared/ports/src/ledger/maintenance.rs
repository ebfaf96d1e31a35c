//! What keeps tables from growing for ever.

use async_trait::async_trait;
use std::time::Duration;
use warren_domain::{Result, Timestamp};

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events. Default 7 days.
    pub events: Duration,
    /// Messages that are not open. Default 30 days; never shorter than `idempotency`, whose replays show them.
    pub messages: Duration,
    /// Idempotency keys. 24 hours.
    pub idempotency: Duration,
}

/// What one round removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expired {
    /// Events.
    pub events: u64,
    /// Messages.
    pub messages: u64,
    /// Idempotency keys.
    pub idempotency: u64,
    /// What was known of files whose bytes are gone.
    pub media: u64,
    /// Deleted instances whose last row went.
    pub instances: u64,
    /// Whether there was more than the limit.
    pub more: bool,
}

/// Retention, in small batches.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Removes at most `limit` rows of each kind that are older than `retention` allows at `now`, by when they were stored.
    /// Events go from the front of the log only. A deleted instance's messages and session state go whatever their age; the
    /// instance itself after its last event. What is known of a file goes as long after its bytes as messages are kept.
    async fn expire(&self, now: Timestamp, retention: &Retention, limit: u32) -> Result<Expired>;
    /// Fails up to `limit` queued messages whose `expires_at` passed, with their events; never touches `handed` ones.
    /// Returns how many.
    async fn expire_queued(&self, now: Timestamp, limit: u32) -> Result<u64>;
}
