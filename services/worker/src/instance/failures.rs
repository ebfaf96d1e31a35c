//! How often connecting failed in a row, and the pause that follows from it.

use super::policy::Ending;
use crate::{admission::backoff, transport::Loss};
use std::time::Duration;

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest while nobody answers where WhatsApp should be: such an attempt is no burden to anybody, and when the network is
/// back, accounts should be soon.
const UNANSWERED: Duration = Duration::from_secs(15);

/// Failures in a row, by whether anybody answered: an outage says nothing of the account, and does not make it wait afterwards.
#[derive(Debug, Default)]
pub(super) struct Failures {
    answered: u32,
    unanswered: u32,
}

impl Failures {
    /// One more, of a connection that ended like this; how long to wait, of spans that double from the first.
    pub(super) fn ended(&mut self, ending: &Ending, first: Duration) -> Duration {
        if matches!(ending, Ending::Closed(Loss::NotReached)) {
            return pause(&mut self.unanswered, first, UNANSWERED);
        }
        self.failed(first)
    }

    /// There was none in a row: the connection was a good one, or somebody begins anew.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// One more for another reason.
    pub(super) fn failed(&mut self, first: Duration) -> Duration {
        self.unanswered = 0;
        pause(&mut self.answered, first, LONGEST)
    }
}

fn pause(failures: &mut u32, first: Duration, longest: Duration) -> Duration {
    let pause = backoff(*failures, first, longest);
    *failures = failures.saturating_add(1);
    pause
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);

    #[test]
    fn an_outage_makes_nobody_wait_longer_than_that_and_counts_for_nothing_afterwards() {
        let mut failures = Failures::default();
        let lost = Ending::Closed(Loss::NotReached);
        let longest = (0..200).map(|_| failures.ended(&lost, FIRST)).max().unwrap();
        assert!(longest <= UNANSWERED && longest > UNANSWERED / 2, "{longest:?}");
        assert!(failures.ended(&Ending::Closed(Loss::GivenUp), FIRST) <= FIRST);
        assert!(failures.ended(&lost, FIRST) <= FIRST, "the outage was over");
    }

    #[test]
    fn an_account_that_fails_waits_ever_longer() {
        let mut failures = Failures::default();
        let longest = (0..200).map(|_| failures.ended(&Ending::Closed(Loss::Network), FIRST)).max().unwrap();
        assert!(longest <= LONGEST && longest > LONGEST / 2, "{longest:?}");
    }
}
