//! Readiness: a named list of things without which this process should get no requests.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The readiness of one process or sandbox. Cheap to clone; clones share it.
///
/// It is ready when every check passes. Without any check it is not ready: a process that has not yet said what it
/// depends on has not started.
#[derive(Debug, Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<&'static str, Arc<AtomicBool>>>>,
}

/// One named part of readiness. Cheap to clone. Once registered it counts for the life of its [`Health`], passing or not.
#[derive(Debug, Clone)]
pub struct Check {
    passing: Arc<AtomicBool>,
}

impl Check {
    /// Says whether it passes now.
    pub fn set(&self, passing: bool) {
        self.passing.store(passing, Ordering::Relaxed);
    }

    /// Whether it passes now.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.passing.load(Ordering::Relaxed)
    }
}

impl Health {
    /// A list without checks: not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check, failing at first; a name that exists gives the same check again. Names are literals, so that the list
    /// is bounded and nothing secret can get into it.
    #[must_use]
    pub fn check(&self, name: &'static str) -> Check {
        let mut checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        Check { passing: Arc::clone(checks.entry(name).or_default()) }
    }

    /// Whether there are checks and all pass.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        !checks.is_empty() && checks.values().all(|passing| passing.load(Ordering::Relaxed))
    }

    /// Every check and whether it passes, by name.
    #[must_use]
    pub fn checks(&self) -> BTreeMap<&'static str, bool> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner);
        checks.iter().map(|(name, passing)| (*name, passing.load(Ordering::Relaxed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_ready_when_every_check_passes() {
        let health = Health::new();
        assert!(!health.is_ready(), "nothing registered");
        let (store, worker) = (health.check("store"), health.check("worker"));
        store.set(true);
        assert!(!health.is_ready());
        worker.set(true);
        assert!(health.is_ready());
        store.set(false);
        assert_eq!(health.checks(), BTreeMap::from([("store", false), ("worker", true)]));
        assert!(!health.is_ready());
    }

    #[test]
    fn the_same_name_is_the_same_check() {
        let health = Health::new();
        health.check("store").set(true);
        assert!(health.check("store").is_passing());
        assert_eq!(health.checks().len(), 1);
    }
}
