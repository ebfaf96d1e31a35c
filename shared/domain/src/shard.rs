//! Shards, epochs, and the fence that every hot write carries.

use crate::InstanceId;
use serde::{Deserialize, Serialize};
use std::{fmt, num::NonZeroU16};

/// How many shards a deployment has. Fixed when the store is created; default 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardCount(pub NonZeroU16);

impl Default for ShardCount {
    fn default() -> Self {
        const DEFAULT: NonZeroU16 = NonZeroU16::new(1024).unwrap();
        Self(DEFAULT)
    }
}

/// The name of the hash, stored beside the count so that a later binary cannot place instances differently unnoticed.
pub const SHARD_HASH: &str = "xxh3-64";

/// One slice of all instances: what is owned, handed over and fenced as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard(pub u16);

impl Shard {
    /// The shard of an instance: `xxh3-64(16 id bytes) mod count`.
    #[must_use]
    pub fn of(instance: InstanceId, count: ShardCount) -> Self {
        let slot = xxhash_rust::xxh3::xxh3_64(instance.as_bytes()) % u64::from(count.0.get());
        // The remainder is below a u16.
        Self(u16::try_from(slot).unwrap_or(u16::MAX))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The number of an ownership. Issued by one authority, only grows; a higher one always wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Under which ownership a write is made. The store compares it inside the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The shard of the instance that is written.
    pub shard: Shard,
    /// The epoch under which the writer owns that shard.
    pub epoch: Epoch,
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn placement_is_stable_for_ever() {
        // Changing either number strands every stored instance on a shard nobody looks at.
        let id: InstanceId = "0190b5c000007000800000000000002a".parse().unwrap();
        // The same figure comes from xxHash's own implementation.
        assert_eq!(Shard::of(id, ShardCount::default()), Shard(218));
    }

    #[test]
    fn spreads_evenly() {
        let count = ShardCount(NonZeroU16::new(16).unwrap());
        let mut per_shard = [0_u32; 16];
        for _ in 0..16_000 {
            per_shard[usize::from(Shard::of(InstanceId::generate(), count).0)] += 1;
        }
        assert!(per_shard.iter().all(|&n| (800..1200).contains(&n)), "{per_shard:?}");
    }
}
