//! What processes hold while something goes on for long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::interval;
use warren_swarm::history::Memory;
use warren_testkit::memory_of;

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);

/// What the processes held, bytes, look by look, in their order.
type Looks = Vec<(Instant, Vec<u64>)>;

/// Looks until it is dropped.
pub(crate) struct Watch {
    processes: Vec<(String, u32)>,
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
        let ids = processes.iter().map(|(_, id)| *id).collect();
        let looking = tokio::spawn(look(ids, looks.clone()));
        Self { processes, looks, looking }
    }

    /// What each kind held.
    pub(crate) fn memory(&self, steady_until: Instant) -> Vec<Memory> {
        let looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let by_kind = |bytes: &[u64]| {
            let mut held = HashMap::new();
            for ((kind, _), bytes) in self.processes.iter().zip(bytes) {
                *held.entry(kind.as_str()).or_default() += bytes;
            }
            held
        };
        let looks: Vec<_> = looks.iter().map(|(at, bytes)| (*at, by_kind(bytes))).collect();
        Memory::of(&looks, steady_until)
    }
}

async fn look(processes: Vec<u32>, looks: Arc<Mutex<Looks>>) {
    let mut clock = interval(LOOK);
    loop {
        clock.tick().await;
        // One that has ended holds nothing; what that means is not for this to say.
        let held = processes.iter().map(|process| memory_of(*process).unwrap_or(0)).collect();
        looks.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), held));
    }
}
