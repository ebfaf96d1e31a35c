//! How large a run is.

use std::time::Duration;

/// A size of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Instances in all.
    pub instances: usize,
    /// People that each talks to.
    pub people: usize,
    /// Texts a second out; half as many come in, and a tenth as many requests go to owners.
    pub rate: f64,
    /// How long everything is well before the fault, and after it.
    pub steady: Duration,
    /// How much later than that the fault may come, at random.
    pub spread: Duration,
    /// How long a server is away that is away for long (30 s and 60 s of the full runs).
    pub away: Duration,
    /// Chats in which a text goes in each direction after the fault.
    pub probes: usize,
    /// How long connecting, owning and settling may take.
    pub patience: Duration,
}

impl Scale {
    /// For tests.
    pub const SHORT: Self = Self {
        instances: 60,
        people: 2,
        rate: 20.0,
        steady: Duration::from_secs(3),
        spread: Duration::from_secs(1),
        away: Duration::from_secs(4),
        probes: 40,
        patience: Duration::from_secs(60),
    };
    /// As the promises are made: 3,000 instances on three workers. Half of the texts are the first of their chat, which cost the
    /// most: at 150 a second they took both CPUs of a small machine, and what a fault cost was what that left over.
    pub const FULL: Self = Self {
        instances: 3_000,
        people: 2,
        rate: 40.0,
        steady: Duration::from_secs(8),
        spread: Duration::from_secs(4),
        away: Duration::from_secs(30),
        probes: 400,
        patience: Duration::from_secs(180),
    };

    /// Less than this shows nothing, texts a second.
    const LEAST_RATE: f64 = 20.0;

    /// With another number of instances, and as much less load.
    #[must_use]
    pub fn with_instances(self, instances: usize) -> Self {
        let part = instances as f64 / self.instances as f64;
        Self { instances, rate: (self.rate * part).max(Self::LEAST_RATE), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_instances_have_less_to_do() {
        assert_eq!(Scale::FULL.with_instances(3_000), Scale::FULL);
        let half = Scale::FULL.with_instances(2_400);
        assert!(half.instances == 2_400 && half.rate > 31.9 && half.rate < 32.1, "{half:?}");
        assert!(Scale::FULL.with_instances(60).rate > 19.9);
    }
}
