//! I5: order.

use super::{Invariant, Violation};
use crate::History;
use crate::history::Entry;
use std::collections::HashMap;

/// I5: a chat's messages arrive in the order in which they were accepted (out) or written (in), and the sequence numbers of
/// an instance's log go up by one.
#[must_use]
pub fn order(history: &History) -> Vec<Violation> {
    let outbound = history
        .received
        .iter()
        .map(|received| (format!("{}>{}", received.instance, received.recipient), received.whatsapp_id.as_str()));
    let authors: HashMap<_, _> = history
        .emitted
        .iter()
        .map(|emitted| ((emitted.instance.as_str(), emitted.whatsapp_id.as_str()), emitted.author.as_str()))
        .collect();
    // What had to be told by the own phone comes when that has answered.
    let inbound = history.logged.iter().filter(|logged| !logged.recovered).filter_map(|logged| {
        let author = authors.get(&(logged.instance.as_str(), logged.whatsapp_id.as_str()))?;
        Some((format!("{author}>{}", logged.instance), logged.whatsapp_id.as_str()))
    });
    let accepted = history.sends.iter().map(|send| send.whatsapp_id.as_str());
    let written = history.emitted.iter().map(|emitted| emitted.whatsapp_id.as_str());
    let mut violations = out_of_order(accepted, outbound);
    violations.extend(out_of_order(written, inbound));
    violations.extend(gaps(history));
    violations
}

/// Ids that arrived in their chat after one that comes later in `reference`.
fn out_of_order<'a>(
    reference: impl Iterator<Item = &'a str>,
    arrived: impl Iterator<Item = (String, &'a str)>,
) -> Vec<Violation> {
    let mut places = HashMap::new();
    for (place, id) in reference.enumerate() {
        // A second copy on its way to another device of the account does not move it.
        places.entry(id).or_insert(place);
    }
    let mut last = HashMap::new();
    let mut violations = Vec::new();
    for (chat, id) in arrived {
        let Some(place) = places.get(id) else { continue };
        let last = last.entry(chat).or_insert(place);
        if place < *last {
            violations.push(Violation::new(Invariant::I5, format!("{id} arrived after one that follows it")));
        } else {
            *last = place;
        }
    }
    violations
}

/// Sequence numbers that do not follow their predecessor.
fn gaps(history: &History) -> Vec<Violation> {
    let mut last = HashMap::new();
    let mut violations = Vec::new();
    for Entry { instance, seq, .. } in &history.log {
        let expected = last.get(instance).map_or(1, |last| last + 1);
        if *seq != expected {
            violations
                .push(Violation::new(Invariant::I5, format!("the log of {instance} has {seq} where {expected} comes")));
        }
        last.insert(instance, *seq);
    }
    violations
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_outbound_messages_that_changed_places() {
        let mut history = sound();
        history.received.swap(0, 1);
        assert_eq!(violated(&history), [Invariant::I5]);
    }

    #[test]
    fn sees_inbound_messages_that_changed_places() {
        let mut history = sound();
        history.logged.swap(0, 1);
        assert_eq!(violated(&history), [Invariant::I5]);
    }

    #[test]
    fn what_the_own_phone_told_may_come_late() {
        let mut history = sound();
        history.logged.swap(0, 1);
        history.logged[1].recovered = true;
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn another_chat_may_be_faster() {
        let mut history = sound();
        history.sends[0].recipient = "q".into();
        history.received[0].recipient = "q".into();
        history.received.swap(0, 2);
        history.received.swap(0, 1);
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn sees_a_gap_a_repeat_and_a_late_beginning_of_the_log() {
        for broken in [vec![1, 2, 4], vec![1, 1], vec![2, 3], vec![2, 1]] {
            let mut history = sound();
            history.readers.clear();
            let entry = |seq: &i64| Entry { instance: "i".into(), seq: *seq, id: format!("evt_{seq}") };
            history.log = broken.iter().map(entry).collect();
            assert_eq!(violated(&history), [Invariant::I5], "{broken:?}");
        }
    }
}
