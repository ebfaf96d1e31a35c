//! Faults to inject: a server that takes a message and does not say so, refuses it, or loses it; lines that repeat, lose, damage
//! and delay; logins that are refused.

mod delivery;
mod logins;
mod strangers;
mod times;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::world::World;

pub(crate) use delivery::{Fate, damaged, fates, line};
use logins::Second;
pub(crate) use logins::{Failure, Refusing, TOO_MANY};
use strangers::{NewChats, Reachout, ReachoutChange};
pub(crate) use strangers::{begin_chat, refuses};
use times::Dice;
pub(crate) use times::Times;

/// The longest delay, milliseconds.
const DELAY_LIMIT: u64 = 600_000;

/// The standing faults of one account, or of all of them. Everything is off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// Outbound messages are accepted and relayed, but the ack is not sent.
    pub(crate) withhold_acks: Times,
    /// Receipts for messages of this account are swallowed instead of relayed to it.
    pub(crate) withhold_receipts: Times,
    /// Outbound messages are refused with this error code and not relayed.
    pub(crate) nack: Option<u16>,
    /// The ack comes this much later than the relay.
    pub(crate) ack_delay_ms: u64,
    /// The next so many outbound messages are neither relayed nor acked.
    pub(crate) drop_messages: u64,
    /// Requests for a pairing code are refused with this error; of the account whose number they name, or of everybody.
    pub(crate) refuse_codes: Option<u16>,
    /// Messages to strangers are refused with 463 until a time.
    pub(crate) reachout_limit: Option<Reachout>,
    /// How many more strangers may be written to; one more is refused with 475.
    new_chats_left: NewChats,
    /// Messages to companions are not written; they come at the next login.
    pub(crate) drop_deliveries: Times,
    /// Messages to companions are written twice.
    pub(crate) repeat_deliveries: Times,
    /// Messages to companions arrive so that nobody can open them.
    pub(crate) damage_deliveries: Times,
    /// What companions get comes this much later.
    pub(crate) delivery_delay_ms: u64,
    /// What companions get passes so slowly; 0 is no limit.
    pub(crate) bytes_per_second: u64,
    /// Of everybody together; one more is refused with 503. 0 is no limit.
    pub(crate) logins_per_second: u64,
    /// How the dice fall that some of it is decided by.
    dice: Dice,
    #[serde(skip)]
    second: Second,
}

/// Changes to a [`Trouble`]; what is absent stays as it is. 0 takes `nack` and
/// `refuse_codes` back.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    withhold_acks: Option<Times>,
    withhold_receipts: Option<Times>,
    nack: Option<u16>,
    ack_delay_ms: Option<u64>,
    drop_messages: Option<u64>,
    refuse_codes: Option<u16>,
    reachout_limit: Option<ReachoutChange>,
    new_chats_left: Option<NewChats>,
    drop_deliveries: Option<Times>,
    repeat_deliveries: Option<Times>,
    damage_deliveries: Option<Times>,
    delivery_delay_ms: Option<u64>,
    bytes_per_second: Option<u64>,
    logins_per_second: Option<u64>,
    /// Where the dice begin.
    seed: Option<u64>,
}

/// What happens to one outbound message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Relay; then ack after the delay, or not at all.
    Relay { ack: Option<Duration> },
    /// Refuse with this code.
    Nack(u16),
    /// Lose it.
    Drop,
}

impl Trouble {
    pub(crate) fn apply(&mut self, change: &Change) {
        if let Some(times) = change.withhold_acks {
            self.withhold_acks = times;
        }
        if let Some(times) = change.withhold_receipts {
            self.withhold_receipts = times;
        }
        if let Some(code) = change.nack {
            self.nack = (code != 0).then_some(code);
        }
        if let Some(delay) = change.ack_delay_ms {
            self.ack_delay_ms = delay.min(DELAY_LIMIT);
        }
        if let Some(count) = change.drop_messages {
            self.drop_messages = count;
        }
        if let Some(code) = change.refuse_codes {
            self.refuse_codes = (code != 0).then_some(code);
        }
        self.apply_to_strangers(change);
        self.apply_to_the_line(change);
    }

    fn apply_to_the_line(&mut self, change: &Change) {
        let set = |place: &mut Times, times: Option<Times>| *place = times.unwrap_or(*place);
        set(&mut self.drop_deliveries, change.drop_deliveries);
        set(&mut self.repeat_deliveries, change.repeat_deliveries);
        set(&mut self.damage_deliveries, change.damage_deliveries);
        self.delivery_delay_ms = change.delivery_delay_ms.unwrap_or(self.delivery_delay_ms).min(DELAY_LIMIT);
        self.bytes_per_second = change.bytes_per_second.unwrap_or(self.bytes_per_second);
        self.logins_per_second = change.logins_per_second.unwrap_or(self.logins_per_second);
        self.dice = change.seed.map_or(self.dice, Dice::of);
    }

    /// Whether a login is one too many.
    pub(crate) fn refuses_login(&mut self, now: Instant) -> bool {
        self.logins_per_second > 0 && !self.second.admits(self.logins_per_second, now)
    }

    /// Decides about one outbound message and uses up what is counted.
    pub(crate) fn judge(&mut self) -> Verdict {
        if self.drop_messages > 0 {
            self.drop_messages -= 1;
            return Verdict::Drop;
        }
        if let Some(code) = self.nack {
            return Verdict::Nack(code);
        }
        let withheld = self.withhold_acks.strike(&mut self.dice);
        Verdict::Relay { ack: (!withheld).then(|| Duration::from_millis(self.ack_delay_ms)) }
    }

    /// Whether a receipt for this account is swallowed.
    pub(crate) fn swallows_receipt(&mut self) -> bool {
        self.withhold_receipts.strike(&mut self.dice)
    }
}

/// The error for a request for a pairing code for this number.
pub(crate) fn refuses_code(world: &World, phone: u64) -> Option<u16> {
    let own = world.directory.by_phone(phone).and_then(|account| account.state().trouble.refuse_codes);
    own.or_else(|| world.trouble().refuse_codes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counted_faults_run_out() {
        let mut trouble = Trouble::default();
        let change: Change = serde_json::from_str(r#"{"drop_messages":1,"withhold_acks":1}"#).unwrap();
        trouble.apply(&change);
        assert_eq!(trouble.judge(), Verdict::Drop);
        assert_eq!(trouble.judge(), Verdict::Relay { ack: None });
        assert_eq!(trouble.judge(), Verdict::Relay { ack: Some(Duration::ZERO) });
    }

    #[test]
    fn a_standing_fault_is_switched_off() {
        let mut trouble = Trouble::default();
        trouble.apply(&serde_json::from_str(r#"{"nack":463,"withhold_receipts":true}"#).unwrap());
        assert_eq!(trouble.judge(), Verdict::Nack(463));
        assert!(trouble.swallows_receipt());
        trouble.apply(&serde_json::from_str(r#"{"nack":0,"withhold_receipts":false}"#).unwrap());
        assert_eq!(trouble.judge(), Verdict::Relay { ack: Some(Duration::ZERO) });
        assert!(!trouble.swallows_receipt());
    }

    #[test]
    fn unknown_faults_are_refused() {
        assert!(serde_json::from_str::<Change>(r#"{"withold_acks":true}"#).is_err());
    }
}
