//! A run in numbers.

use crate::history::End;
use crate::{History, Violation, check};
use std::fmt;

/// What is printed of a run, whether it was sound or not.
#[derive(Debug, Clone)]
pub struct Report {
    /// Sends that the API acknowledged.
    pub acknowledged: usize,
    /// Of these, the ones that it reports failed.
    pub failed: usize,
    /// Stanzas that the server took beyond the first of each id.
    pub repeated_on_the_wire: u32,
    /// Messages on their way to the instances.
    pub emitted: usize,
    /// Received messages in the log.
    pub logged: usize,
    /// What was violated.
    pub violations: Vec<Violation>,
}

impl Report {
    /// Checks a run.
    #[must_use]
    pub fn of(history: &History) -> Self {
        Self {
            acknowledged: history.sends.len(),
            failed: history.sends.iter().filter(|send| send.end == End::Failed).count(),
            repeated_on_the_wire: history.taken.iter().map(|taken| taken.copies.saturating_sub(1)).sum(),
            emitted: history.emitted.len(),
            logged: history.logged.len(),
            violations: check(history),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "acknowledged {}, failed {}, repeated on the wire {}, emitted {}, logged {}, violations {}",
            self.acknowledged,
            self.failed,
            self.repeated_on_the_wire,
            self.emitted,
            self.logged,
            self.violations.len()
        )?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::sound;

    #[test]
    fn counts_what_happened() {
        let mut history = sound();
        history.taken[0].copies = 3;
        history.sends[2].end = End::Failed;
        let report = Report::of(&history);
        let numbers = (report.acknowledged, report.failed, report.repeated_on_the_wire, report.emitted, report.logged);
        assert_eq!(numbers, (3, 1, 2, 2, 2));
        assert!(report.to_string().ends_with("violations 0"));
    }
}
