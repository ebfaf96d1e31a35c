//! I8: tenants isolated.

use super::{Invariant, Violation};
use crate::History;

/// I8: nothing of one tenant was shown to the key of another.
#[must_use]
pub fn isolated(history: &History) -> Vec<Violation> {
    let seen = history.looks.iter().filter(|look| look.seen);
    seen.map(|look| Violation::new(Invariant::I8, format!("a stranger was shown {}", look.what))).collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_what_a_stranger_was_shown() {
        let mut history = sound();
        history.looks[0].seen = true;
        assert_eq!(violated(&history), [Invariant::I8]);
    }
}
