//! I9: it heals itself.

use super::{Invariant, Violation};
use crate::History;

/// What part of the throughput must come back.
const PART: f64 = 0.95;

/// I9: after the fault, at least 95 % of what went through before goes through again.
#[must_use]
pub fn heals(history: &History) -> Vec<Violation> {
    let throughput = history.throughput.iter();
    throughput
        .filter(|throughput| throughput.healed_per_s < PART * throughput.steady_per_s)
        .map(|throughput| {
            let (before, after) = (throughput.steady_per_s, throughput.healed_per_s);
            Violation::new(Invariant::I9, format!("{before:.1} messages a second became {after:.1}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_throughput_that_does_not_come_back() {
        let mut history = sound();
        if let Some(throughput) = &mut history.throughput {
            throughput.healed_per_s = 94.0;
        }
        assert_eq!(violated(&history), [Invariant::I9]);
    }

    #[test]
    fn does_not_judge_what_nobody_measured() {
        let mut history = sound();
        history.throughput = None;
        assert_eq!(violated(&history), []);
    }
}
