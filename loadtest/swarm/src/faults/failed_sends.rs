//! Sends that end `failed`. I1 takes that for an answer, and it is no loss; yet nothing that is broken here makes a number wrong
//! or a message invalid, so that each of them is the fault's doing.

use crate::history::{End, Send};
use std::time::Instant;

/// How many sends failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FailedSends {
    /// Those that may not be repeated and were accepted before all was well again: nobody may have known whether they had left.
    pub(super) in_doubt: u64,
    /// All others.
    pub(super) inexcusable: u64,
}

impl FailedSends {
    /// Of these, with when each was accepted (none: after `healed`).
    pub(super) fn of<'a>(sends: impl IntoIterator<Item = (&'a Send, Option<Instant>)>, healed: Instant) -> Self {
        let mut failed = Self::default();
        for (send, accepted) in sends.into_iter().filter(|(send, _)| send.end == End::Failed) {
            let is_in_doubt = send.at_most_once && accepted.is_some_and(|accepted| accepted < healed);
            *(if is_in_doubt { &mut failed.in_doubt } else { &mut failed.inexcusable }) += 1;
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_must_not_be_repeated_may_be_in_doubt() {
        let now = Instant::now();
        let (healed, later) = (now + Duration::from_secs(1), now + Duration::from_secs(2));
        let failed = |end, at_most_once, accepted| {
            let ids = ["A1", "i", "p", "text"].map(str::to_owned);
            let [whatsapp_id, instance, recipient, payload] = ids;
            let send = Send { whatsapp_id, instance, recipient, payload, at_most_once, end };
            let FailedSends { in_doubt, inexcusable } = FailedSends::of([(&send, accepted)], healed);
            (in_doubt, inexcusable)
        };
        assert_eq!(failed(End::Sent, false, Some(now)), (0, 0));
        assert_eq!(failed(End::Failed, true, Some(now)), (1, 0));
        assert_eq!(failed(End::Failed, false, Some(now)), (0, 1), "it may be repeated");
        assert_eq!(failed(End::Failed, true, Some(later)), (0, 1), "all was well when it was accepted");
        assert_eq!(failed(End::Failed, true, None), (0, 1), "a probe comes when all is well");
    }
}
