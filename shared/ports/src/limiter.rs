//! Rates: how often something may happen, counted by all processes together.

mod buckets;

pub use buckets::Buckets;

use async_trait::async_trait;
use std::{num::NonZeroU32, time::Duration};

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// So often in `period`, on average.
    pub number: NonZeroU32,
    /// More than nothing.
    pub period: Duration,
    /// At once, after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// So often a second.
    #[must_use]
    pub const fn per_second(number: NonZeroU32, burst: NonZeroU32) -> Self {
        Self { number, period: Duration::from_secs(1), burst }
    }

    /// So often a minute, and all of it at once after a pause.
    #[must_use]
    pub const fn per_minute(number: NonZeroU32) -> Self {
        Self { number, period: Duration::from_secs(60), burst: number }
    }

    /// How long one lasts.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.period / self.number.get()
    }
}

/// Whether it may happen now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
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
    /// the rate pass. A key that nobody asks about is forgotten.
    ///
    /// Never fails and never waits for long: while what the processes share is away, each counts by itself, more strictly
    /// (half the rate).
    async fn take(&self, key: &str, rate: Rate) -> Verdict;
    /// What [`Limiter::take`] would say now. Counts nothing: for what is counted only when it went wrong.
    async fn look(&self, key: &str, rate: Rate) -> Verdict;
}
