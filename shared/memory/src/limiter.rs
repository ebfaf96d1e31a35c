//! Rates inside one process.

use async_trait::async_trait;
use std::sync::Arc;
use warren_ports::limiter::{Buckets, Rate, Verdict};

/// The rates of one process or sandbox, on the monotonic clock. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Limiter {
    buckets: Arc<Buckets>,
}

impl Limiter {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl warren_ports::limiter::Limiter for Limiter {
    async fn take(&self, key: &str, rate: Rate) -> Verdict {
        self.buckets.take(key, rate)
    }

    async fn look(&self, key: &str, rate: Rate) -> Verdict {
        self.buckets.look(key, rate)
    }
}
