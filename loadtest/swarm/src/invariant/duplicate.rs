//! I2a, I2b and the inbound half of I4: nothing is seen twice.

use super::{Invariant, Violation};
use crate::History;
use std::collections::{HashMap, HashSet};

/// I2a: no two ids carry the same payload to a recipient, and none carries two. Also catches one request that became two
/// messages: the API acknowledged one id, the recipient got others.
#[must_use]
pub fn distinct_ids(history: &History) -> Vec<Violation> {
    let mut ids = HashMap::<_, HashSet<&str>>::new();
    for received in &history.received {
        let content = (received.recipient.as_str(), received.payload.as_str());
        ids.entry(content).or_default().insert(&received.whatsapp_id);
    }
    let mut violations: Vec<_> = ids
        .into_values()
        .filter(|ids| ids.len() > 1)
        .map(|ids| {
            let mut ids: Vec<_> = ids.into_iter().collect();
            ids.sort_unstable();
            Violation::new(Invariant::I2a, format!("one payload arrived under the ids {}", ids.join(", ")))
        })
        .collect();
    violations.sort_by(|a, b| a.what.cmp(&b.what));
    violations
}

/// I2b: no plaintext surfaced twice under one id, although the recipient does not drop repeated ids. What is
/// `at_most_once` was not even put on the wire as two different stanzas.
#[must_use]
pub fn same_id(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for received in history.received.iter().filter(|received| received.surfaced > 1) {
        let what = format!("{} surfaced {} times", received.whatsapp_id, received.surfaced);
        violations.push(Violation::new(Invariant::I2b, what));
    }
    let once: HashSet<_> =
        history.sends.iter().filter(|send| send.at_most_once).map(|send| send.whatsapp_id.as_str()).collect();
    for taken in history.taken.iter().filter(|taken| taken.distinct_stanzas > 1 && once.contains(&*taken.whatsapp_id)) {
        let what = format!("{} is at_most_once and was encrypted {} times", taken.whatsapp_id, taken.distinct_stanzas);
        violations.push(Violation::new(Invariant::I2b, what));
    }
    violations
}

/// I4, the other half: an inbound message is in the log once.
#[must_use]
pub fn inbound(history: &History) -> Vec<Violation> {
    let mut seen = HashSet::new();
    history
        .logged
        .iter()
        .filter(|logged| !seen.insert((&logged.instance, &logged.whatsapp_id)))
        .map(|logged| Violation::new(Invariant::I4, format!("{} is in the log again", logged.whatsapp_id)))
        .collect()
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_one_payload_under_two_ids() {
        let mut history = sound();
        let mut again = history.received[0].clone();
        again.whatsapp_id = "A9".into();
        history.received.push(again);
        assert!(violated(&history).contains(&Invariant::I2a));
    }

    #[test]
    fn sees_a_plaintext_that_surfaced_twice() {
        let mut history = sound();
        history.received[1].surfaced = 2;
        assert_eq!(violated(&history), [Invariant::I2b]);
    }

    #[test]
    fn a_repeated_stanza_is_no_duplicate_and_a_fresh_one_is_for_at_most_once() {
        let mut history = sound();
        history.taken[0].copies = 2;
        assert_eq!(violated(&history), []);
        history.taken[0].distinct_stanzas = 2;
        assert_eq!(violated(&history), []);
        history.sends[0].at_most_once = true;
        assert_eq!(violated(&history), [Invariant::I2b]);
    }

    #[test]
    fn sees_an_inbound_message_that_is_logged_twice() {
        let mut history = sound();
        let again = history.logged[0].clone();
        history.logged.push(again);
        assert!(violated(&history).contains(&Invariant::I4));
    }
}
