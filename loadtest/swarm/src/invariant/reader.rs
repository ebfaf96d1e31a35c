//! I4 and I5 of those who follow the log: a stream, a webhook.

use super::{Invariant, Violation};
use crate::History;
use crate::history::{Entry, Reader};
use std::collections::{HashMap, HashSet};

/// I4, where it leaves: from where a reader began, it was given every event of the log, or the event was given up openly.
#[must_use]
pub fn delivery(history: &History) -> Vec<Violation> {
    let of_reader = |reader: &Reader| {
        let reached: HashSet<_> =
            reader.heard.iter().map(|entry| entry.id.as_str()).chain(reader.given_up.iter().map(String::as_str)).collect();
        let missing: Vec<_> = due(history, reader).filter(|entry| !reached.contains(entry.id.as_str())).collect();
        let first = missing.first()?;
        let what = format!("{} events never reached the {}, the first is {}", missing.len(), reader.name, first.id);
        Some(Violation::new(Invariant::I4, what))
    };
    history.readers.iter().filter_map(of_reader).collect()
}

/// I5, where it leaves: what a reader was given is what the log says under that number, and of each instance the first coming
/// of every event is in the order of the log. Repeats may come.
#[must_use]
pub fn stream(history: &History) -> Vec<Violation> {
    let known: HashMap<_, _> =
        history.log.iter().map(|entry| ((entry.instance.as_str(), entry.seq), entry.id.as_str())).collect();
    let mut violations = Vec::new();
    for reader in &history.readers {
        let mut seen = HashSet::new();
        let mut last = HashMap::new();
        for Entry { instance, seq, id } in &reader.heard {
            if known.get(&(instance.as_str(), *seq)) != Some(&id.as_str()) {
                let what = format!("the {} was given {id}, which is not in the log there", reader.name);
                violations.push(Violation::new(Invariant::I5, what));
            }
            if !seen.insert(id.as_str()) {
                continue;
            }
            let last = last.entry(instance.as_str()).or_insert(*seq);
            if *seq < *last {
                let what = format!("the {} was given {id} ({seq}) after {last} of its instance", reader.name);
                violations.push(Violation::new(Invariant::I5, what));
            } else {
                *last = *seq;
            }
        }
    }
    violations
}

/// What a reader should have been given.
fn due<'a>(history: &'a History, reader: &Reader) -> impl Iterator<Item = &'a Entry> {
    history.log.iter().skip(reader.from)
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::invariant::tests::{sound, violated};

    #[test]
    fn sees_an_event_that_a_reader_never_got() {
        for at in [0, 2, 3] {
            let mut history = sound();
            history.readers[1].heard.remove(at);
            assert_eq!(violated(&history), [Invariant::I4]);
        }
    }

    #[test]
    fn what_came_before_it_followed_and_dead_letters_are_no_loss() {
        let mut history = sound();
        history.readers[1].from = 2;
        history.readers[1].heard.remove(0);
        let lost = history.readers[1].heard.remove(1);
        history.readers[1].given_up.push(lost.id);
        assert_eq!(violated(&history), []);
    }

    #[test]
    fn sees_events_that_changed_places() {
        let mut history = sound();
        history.readers[0].heard.swap(2, 3);
        assert_eq!(violated(&history), [Invariant::I5]);
    }

    #[test]
    fn sees_an_event_that_the_log_does_not_have() {
        let mut history = sound();
        let mut other = history.readers[0].heard[4].clone();
        other.id = "evt_other".into();
        history.readers[0].heard.push(other);
        assert_eq!(violated(&history), [Invariant::I5]);
    }

    #[test]
    fn a_repeat_is_allowed() {
        let mut history = sound();
        let again = history.readers[1].heard[0].clone();
        history.readers[1].heard.push(again);
        assert_eq!(violated(&history), []);
    }
}
