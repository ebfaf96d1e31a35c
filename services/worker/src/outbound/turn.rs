//! In which order the messages of one chat go out: the pure part.
//!
//! A message takes its place when it may first be sent: when it was accepted, or at its `send_at`. So a scheduled message holds
//! up nothing that was accepted before its time, and is not overtaken by what was accepted after it. What was begun (handed
//! to the wire by this owner or an earlier one, or being encrypted) goes before everything that was not: it is settled before
//! anything new goes to its chat.

use warren_domain::Timestamp;

/// A message as far as its turn is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Whether its sending has begun.
    pub begun: bool,
    /// When it may first be sent, if that is later than its acceptance.
    pub send_at: Option<Timestamp>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Its place in the order in which the instance's messages were accepted.
    pub order: i64,
}

impl Turn {
    /// Whether it goes out before another one of its chat.
    #[must_use]
    pub fn precedes(&self, other: &Self) -> bool {
        if self.begun != other.begun {
            return self.begun;
        }
        // Clocks may be set back; the order of acceptance is not.
        if self.begun || (self.send_at.is_none() && other.send_at.is_none()) {
            return self.order < other.order;
        }
        (self.due(), self.order) < (other.due(), other.order)
    }

    /// When it took its place.
    #[must_use]
    pub fn due(&self) -> Timestamp {
        self.send_at.map_or(self.accepted_at, |send_at| send_at.max(self.accepted_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn turn(order: i64, accepted: i64) -> Turn {
        Turn { begun: false, send_at: None, accepted_at: Timestamp::from_millis(accepted), order }
    }

    fn scheduled(order: i64, accepted: i64, send_at: i64) -> Turn {
        Turn { send_at: Some(Timestamp::from_millis(send_at)), ..turn(order, accepted) }
    }

    #[test]
    fn what_was_accepted_first_goes_first_whatever_the_clock_says() {
        assert!(turn(1, 500).precedes(&turn(2, 100)));
        assert!(!turn(2, 100).precedes(&turn(1, 500)));
    }

    #[test]
    fn a_scheduled_message_takes_its_place_at_its_time() {
        let later = scheduled(1, 100, 1_000);
        assert!(turn(2, 999).precedes(&later));
        assert!(later.precedes(&turn(3, 1_001)));
        assert!(scheduled(4, 100, 900).precedes(&later));
        // A time that had passed when it was accepted is no claim to an earlier place.
        assert!(turn(5, 200).precedes(&scheduled(6, 300, 50)));
    }

    #[test]
    fn what_was_begun_is_settled_before_anything_new() {
        let begun = Turn { begun: true, ..turn(9, 5_000) };
        assert!(begun.precedes(&scheduled(1, 100, 1_000)));
        assert!(!turn(1, 100).precedes(&begun));
        assert!(Turn { begun: true, ..turn(3, 1) }.precedes(&begun));
    }
}
