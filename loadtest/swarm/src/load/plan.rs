//! What is done when, and to whom: all of it follows from a seed.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::Duration;

/// A load.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides everything that is random in it.
    pub seed: u64,
    /// Texts a second from instances to people, evenly spaced.
    pub sends_per_s: f64,
    /// Texts a second from people to instances.
    pub texts_per_s: f64,
    /// Requests a second that the owner of an instance answers (typing shown in a chat).
    pub asks_per_s: f64,
    /// What part of the sends must not be tried again when in doubt, 0 to 1.
    pub at_most_once: f64,
    /// What part of the sends waits for the server's ack, 0 to 1.
    pub waiting: f64,
    /// How long a call may take in all before it has failed.
    pub patience: Duration,
}

impl Plan {
    /// A load of so many texts a second out, half as many in and a tenth as many asks; a third of the sends `at_most_once`, a
    /// fifth waiting.
    #[must_use]
    pub fn usual(seed: u64, sends_per_s: f64) -> Self {
        Self {
            seed,
            sends_per_s,
            texts_per_s: sends_per_s / 2.0,
            asks_per_s: sends_per_s / 10.0,
            at_most_once: 1.0 / 3.0,
            waiting: 0.2,
            patience: Duration::from_secs(30),
        }
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// An instance writes.
    Send { at_most_once: bool, waiting: bool },
    /// A person writes.
    Text,
    /// An instance shows that it types.
    Ask,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// When, from the beginning.
    pub(super) due: Duration,
    pub(super) act: Act,
    /// In which chat.
    pub(super) chat: usize,
    /// Which gateway is asked first.
    pub(super) gateway: usize,
    /// In the text and in the key: no other step has it.
    pub(super) name: String,
}

/// The steps of a plan, without end.
#[derive(Debug)]
pub(super) struct Steps {
    plan: Plan,
    chats: usize,
    rng: StdRng,
    /// How many of sends, texts and asks there were.
    counts: [u64; 3],
}

impl Steps {
    /// Over so many chats, at least 1.
    pub(super) fn new(plan: Plan, chats: usize) -> Self {
        let rng = StdRng::seed_from_u64(plan.seed);
        Self { plan, chats: chats.max(1), rng, counts: [0; 3] }
    }

    fn act(&mut self, kind: usize) -> Act {
        match kind {
            0 => Act::Send {
                at_most_once: self.rng.random_bool(self.plan.at_most_once.clamp(0.0, 1.0)),
                waiting: self.rng.random_bool(self.plan.waiting.clamp(0.0, 1.0)),
            },
            1 => Act::Text,
            _ => Act::Ask,
        }
    }
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let rates = [self.plan.sends_per_s, self.plan.texts_per_s, self.plan.asks_per_s];
        let dues =
            self.counts.iter().zip(rates).map(|(count, rate)| if rate > 0.0 { *count as f64 / rate } else { f64::MAX });
        let (kind, due) = dues.enumerate().min_by(|a, b| a.1.total_cmp(&b.1))?;
        if due >= f64::from(u32::MAX) {
            return None;
        }
        *self.counts.get_mut(kind)? += 1;
        let act = self.act(kind);
        let chat = self.rng.random_range(0..self.chats);
        let gateway = self.rng.random_range(0..1_000);
        let name = format!("{:032x}", self.rng.random::<u128>());
        Some(Step { due: Duration::from_secs_f64(due), act, chat, gateway, name })
    }
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_seed_decides_everything() {
        let steps = |seed| Steps::new(Plan::usual(seed, 100.0), 10).take(500).collect::<Vec<_>>();
        assert_eq!(steps(1), steps(1));
        assert_ne!(steps(1), steps(2));
        let names: HashSet<_> = steps(1).into_iter().map(|step| step.name).collect();
        assert_eq!(names.len(), 500);
    }

    #[test]
    fn steps_come_in_time_at_their_rates() {
        let steps: Vec<_> = Steps::new(Plan::usual(3, 100.0), 10).take(1_600).collect();
        assert!(steps.windows(2).all(|pair| pair[0].due <= pair[1].due));
        let count = |is: fn(&Act) -> bool| steps.iter().filter(|step| is(&step.act)).count();
        assert_eq!(count(|act| matches!(act, Act::Send { .. })), 1_000);
        assert_eq!(count(|act| *act == Act::Text), 500);
        assert_eq!(count(|act| *act == Act::Ask), 100);
        assert!(steps.last().is_some_and(|step| step.due < Duration::from_secs(10)));
    }

    #[test]
    fn a_plan_of_nothing_ends() {
        let plan = Plan { sends_per_s: 0.0, texts_per_s: 0.0, asks_per_s: 0.0, ..Plan::usual(1, 1.0) };
        assert_eq!(Steps::new(plan, 10).next(), None);
    }
}
