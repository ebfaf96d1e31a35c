//! I6: the Signal sessions are intact.

use super::{Invariant, Violation};
use crate::History;

/// I6: every probe after the fault was read, in both directions, and at no time did anybody have to ask for a message again.
#[must_use]
pub fn session(history: &History) -> Vec<Violation> {
    let sessions = &history.sessions;
    let counts = [
        (sessions.retry_receipts, "retry receipts"),
        (sessions.undecryptable_outbound, "messages that a recipient could not decrypt"),
        (sessions.undecryptable_inbound, "messages that an instance could not decrypt"),
    ];
    let counted = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let unread =
        sessions.probes.iter().filter(|(_, is_read)| !is_read).map(|(probe, _)| format!("the probe {probe} was not read"));
    counted.chain(unread).map(|what| Violation::new(Invariant::I6, what)).collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_retries_undecryptable_messages_and_unread_probes() {
        let breaks: [fn(&mut History); 4] = [
            |history| history.sessions.retry_receipts = 1,
            |history| history.sessions.undecryptable_outbound = 1,
            |history| history.sessions.undecryptable_inbound = 1,
            |history| history.sessions.probes[1].1 = false,
        ];
        for destroy in breaks {
            let mut history = sound();
            destroy(&mut history);
            assert_eq!(violated(&history), [Invariant::I6]);
        }
    }
}
