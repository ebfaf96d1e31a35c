//! Faults to inject: a server that takes a message and does not say so, refuses it, or loses it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::world::World;

/// How often something is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Times {
    /// `true` always, `false` never.
    Always(bool),
    /// The next so many.
    Count(u64),
}

impl Default for Times {
    fn default() -> Self {
        Self::Always(false)
    }
}

impl Times {
    /// Whether it applies now; uses up one of a count.
    fn strike(&mut self) -> bool {
        match self {
            Self::Always(always) => *always,
            Self::Count(0) => false,
            Self::Count(left) => {
                *left -= 1;
                true
            }
        }
    }
}

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
}

/// A limit on writing to people the account has not talked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reachout {
    /// In Unix milliseconds.
    pub(crate) until_ms: u64,
    /// Chats in which either side has written before are not affected.
    pub(crate) known_chats_pass: bool,
}

/// A [`Reachout`] from now on; `for_s: 0` lifts it.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReachoutChange {
    for_s: u64,
    known_chats_pass: Option<bool>,
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
            self.ack_delay_ms = delay.min(600_000);
        }
        if let Some(count) = change.drop_messages {
            self.drop_messages = count;
        }
        if let Some(code) = change.refuse_codes {
            self.refuse_codes = (code != 0).then_some(code);
        }
        if let Some(limit) = change.reachout_limit {
            let until_ms = crate::stanza::unix_millis().saturating_add(limit.for_s.saturating_mul(1_000));
            let known_chats_pass = limit.known_chats_pass.unwrap_or(true);
            self.reachout_limit = (limit.for_s > 0).then_some(Reachout { until_ms, known_chats_pass });
        }
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
        let withheld = self.withhold_acks.strike();
        Verdict::Relay { ack: (!withheld).then(|| Duration::from_millis(self.ack_delay_ms)) }
    }

    /// The limit on writing to strangers, while it holds.
    pub(crate) fn reachout(&self) -> Option<Reachout> {
        self.reachout_limit.filter(|limit| limit.until_ms > crate::stanza::unix_millis())
    }

    /// Whether a receipt for this account is swallowed.
    pub(crate) fn swallows_receipt(&mut self) -> bool {
        self.withhold_receipts.strike()
    }
}

/// The error for a request for a pairing code for this number.
pub(crate) fn refuses_code(world: &World, phone: u64) -> Option<u16> {
    let own = world.directory.by_phone(phone).and_then(|account| account.state().trouble.refuse_codes);
    own.or_else(|| world.trouble().refuse_codes)
}

/// Whether a message of one account to another is refused under a reach-out limit.
pub(crate) fn restricts(world: &World, sender: &Account, recipient: &Account) -> bool {
    let everybody = world.trouble().reachout();
    let state = sender.state();
    let known = state.chats.knows(recipient.phone) || sender.phone == recipient.phone;
    let limits = [state.trouble.reachout(), everybody];
    limits.into_iter().flatten().any(|limit| !(known && limit.known_chats_pass))
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
    fn a_reach_out_limit_ends_by_itself_and_can_be_lifted() {
        let mut trouble = Trouble::default();
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":60}}"#).unwrap());
        assert!(trouble.reachout().is_some_and(|limit| limit.known_chats_pass));
        if let Some(limit) = &mut trouble.reachout_limit {
            limit.until_ms = 1;
        }
        assert_eq!(trouble.reachout(), None);
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":60,"known_chats_pass":false}}"#).unwrap());
        trouble.apply(&serde_json::from_str(r#"{"reachout_limit":{"for_s":0}}"#).unwrap());
        assert_eq!(trouble.reachout_limit, None);
    }

    #[test]
    fn unknown_faults_are_refused() {
        assert!(serde_json::from_str::<Change>(r#"{"withold_acks":true}"#).is_err());
    }
}
