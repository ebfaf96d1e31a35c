//! I7: bounded memory.

use super::{Invariant, Violation};
use crate::History;

/// How much more than before a fault the processes of a kind may hold after it.
const GROWTH: f64 = 1.3;
/// What they may hold besides, together: an allocator's heaps and a connection pool that opens are no growth with the load.
const ALLOWANCE: u64 = 32 << 20;

/// I7: what the processes of each kind hold together stays within 1.3 times of what they held under the same load before the
/// fault, and 32 MiB. Together, because the instances of a dead worker go to the others.
#[must_use]
pub fn bounded(history: &History) -> Vec<Violation> {
    let is_too_much = |steady: u64, worst: u64| worst as f64 > steady as f64 * GROWTH + ALLOWANCE as f64;
    history
        .memory
        .iter()
        .filter(|memory| is_too_much(memory.steady, memory.worst))
        .map(|memory| {
            let mebibytes = |bytes: u64| bytes >> 20;
            let (steady, worst) = (mebibytes(memory.steady), mebibytes(memory.worst));
            Violation::new(Invariant::I7, format!("{}: {steady} MiB became {worst} MiB", memory.kind))
        })
        .collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_memory_that_grew() {
        let mut history = sound();
        history.memory[0].worst = 700 << 20;
        assert_eq!(violated(&history), [Invariant::I7]);
    }

    #[test]
    fn small_processes_may_grow_a_little() {
        let mut history = sound();
        (history.memory[0].steady, history.memory[0].worst) = (10 << 20, 40 << 20);
        assert_eq!(violated(&history), []);
    }
}
