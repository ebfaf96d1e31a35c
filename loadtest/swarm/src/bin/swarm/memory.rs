//! What processes hold while something goes on for long.

use crate::process;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::interval;
use warren_swarm::history::Memory;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// Private memory by kind of process, bytes, look by look.
type Looks = Vec<BTreeMap<String, u64>>;

/// Looks until it is dropped.
pub(crate) struct Watch {
    looks: Arc<Mutex<Looks>>,
    looking: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

impl Watch {
    /// Looks at these from now on; those of one name are added up.
    pub(crate) fn start(processes: Vec<(String, u32)>) -> Self {
        let looks = Arc::new(Mutex::new(Looks::new()));
        let looking = tokio::spawn(look(processes, looks.clone()));
        Self { looks, looking }
    }

    /// What each kind held: as steady counts the most of the first half of the time.
    pub(crate) fn memory(&self) -> Vec<Memory> {
        judged(&self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn look(processes: Vec<(String, u32)>, looks: Arc<Mutex<Looks>>) {
    let mut clock = interval(LOOK);
    loop {
        clock.tick().await;
        let mut held = BTreeMap::new();
        for (kind, pid) in &processes {
            // One that has ended holds nothing; what that means is not for this to say.
            *held.entry(kind.clone()).or_default() += process::private_kib(*pid).unwrap_or(0) << 10;
        }
        looks.lock().unwrap_or_else(PoisonError::into_inner).push(held);
    }
}

fn judged(looks: &[BTreeMap<String, u64>]) -> Vec<Memory> {
    let most = |kind: &str, looks: &[BTreeMap<String, u64>]| looks.iter().filter_map(|held| held.get(kind)).copied().max();
    let half = looks.get(..looks.len().div_ceil(2)).unwrap_or_default();
    let kinds = looks.first().map(|held| held.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let memory = kinds.into_iter().map(|kind| Memory {
        steady: most(&kind, half).unwrap_or(0),
        worst: most(&kind, looks).unwrap_or(0),
        kind,
    });
    memory.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_against_the_most_of_the_first_half() {
        let look = |bytes: u64| BTreeMap::from([("worker".to_owned(), bytes)]);
        let memory = judged(&[look(1), look(5), look(4), look(9)]);
        assert_eq!(memory, [Memory { kind: "worker".to_owned(), steady: 5, worst: 9 }]);
        assert_eq!(judged(&[]), []);
    }
}
