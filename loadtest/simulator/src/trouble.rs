//! Faults to inject: a server that takes a message and does not say so, refuses it, or loses it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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
}

/// Changes to a [`Trouble`]; what is absent stays as it is. `nack: 0` switches refusals off.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    withhold_acks: Option<Times>,
    withhold_receipts: Option<Times>,
    nack: Option<u16>,
    ack_delay_ms: Option<u64>,
    drop_messages: Option<u64>,
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

    /// Whether a receipt for this account is swallowed.
    pub(crate) fn swallows_receipt(&mut self) -> bool {
        self.withhold_receipts.strike()
    }
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
