//! A lease is one key that expires: `lease:<worker>:<incarnation>`. Renewing sets it anew, so that nothing is read before.
//!
//! Beside them lies `memory`, a random number that whoever finds none sets. A server that lost its keys lost it too, and the
//! next number tells so.

use crate::Redis;
use async_trait::async_trait;
use std::time::Duration;
use warren_domain::{Error, Result};
use warren_ports::lease::{Incarnation, Standing};

/// Leases asked about at once: one round trip.
const AT_ONCE: usize = 10_000;

/// Worker leases in Redis, by its clock. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Leases {
    redis: Redis,
}

impl Leases {
    pub(crate) const fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn key(&self, worker: &str, incarnation: Incarnation) -> String {
        self.redis.key(&format!("lease:{worker}:{}", incarnation.0))
    }

    fn memory(&self) -> String {
        self.redis.key("memory")
    }
}

#[async_trait]
impl warren_ports::lease::Leases for Leases {
    async fn renew(&self, worker: &str, incarnation: Incarnation, ttl: Duration) -> Result<()> {
        let millis = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(self.memory()).arg(rand::random::<u32>()).arg("NX").ignore();
        pipeline.cmd("SET").arg(self.key(worker, incarnation)).arg(1).arg("PX").arg(millis).ignore();
        self.redis.ask("renew", &pipeline).await
    }

    async fn standing(&self, holders: &[(String, Incarnation)]) -> Result<Standing> {
        if holders.len() > AT_ONCE {
            return Err(Error::invalid("too_many_leases", "At most 10,000 leases can be asked about at once."));
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg(self.memory()).arg(rand::random::<u32>()).arg("NX").ignore();
        pipeline.cmd("GET").arg(self.memory());
        for (worker, incarnation) in holders {
            pipeline.cmd("PTTL").arg(self.key(worker, *incarnation));
        }
        let answers: Vec<i64> = self.redis.ask("standing", &pipeline).await?;
        let Some((memory, left)) = answers.split_first() else {
            return Err(Error::unavailable("The lease store gave no answer."));
        };
        // -2 is no key, -1 one that never expires, which nobody sets.
        let remaining = left.iter().map(|millis| u64::try_from(*millis).ok().filter(|left| *left > 0)).collect::<Vec<_>>();
        let remaining = remaining.into_iter().map(|millis| millis.map(Duration::from_millis)).collect();
        Ok(Standing { remaining, memory: memory.unsigned_abs() })
    }

    async fn release(&self, worker: &str, incarnation: Incarnation) -> Result<()> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(self.key(worker, incarnation)).ignore();
        self.redis.ask("release", &pipeline).await
    }
}
