//! Rates: how often something may happen, counted by all processes together.

mod buckets;

pub use buckets::Buckets;

use async_trait::async_trait;
use std::{num::NonZeroU32, time::Duration};

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// A second, on average.
    pub per_second: NonZeroU32,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

/// Whether it may happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may, and is counted.
    Allowed {
        /// How many more may follow at once.
        remaining: u32,
    },
    /// It may not, and nothing was counted.
    Limited {
        /// In which time it may.
        retry_after: Duration,
    },
}

/// A limiter (GCRA).
#[async_trait]
pub trait Limiter: Send + Sync {
    /// Takes one from what `key` may do at this rate. Over all processes that share the limiter, no more than `burst` plus
    /// `per_second` a second pass. A key that nobody asks about is forgotten.
    ///
    /// Never fails and never waits for long: while what the processes share is away, each counts by itself, more strictly
    /// (half the rate).
    async fn take(&self, key: &str, rate: Rate) -> Verdict;
}
