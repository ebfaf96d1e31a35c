//! What can be set of a dispatcher.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Settings of the dispatcher, with their defaults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Posts under way at once. Default 1,024.
    pub in_flight: usize,
    /// Posts under way at once to the webhooks of one tenant. Default 256.
    pub in_flight_per_tenant: usize,
    /// Posts under way at once to one webhook, each of another instance. It begins with 4, and grows while posts succeed.
    /// Default 32.
    pub in_flight_per_webhook: usize,
    /// How long a post may take, milliseconds; at most 30 s. Default 15 s.
    pub timeout_ms: u64,
    /// The pauses between the tries of one event, seconds; each is made up to a tenth longer by chance. After the last one the
    /// event becomes a dead letter. Default 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 10 h.
    pub retry_s: Vec<u64>,
    /// The longest time that a `Retry-After` is heeded, seconds. Default 24 h.
    pub retry_after_most_s: u64,
    /// After so many failed posts of a webhook in a row it is only asked now and then, with one event at a time. Default 10.
    pub failures_to_open: u32,
    /// The longest pause before it is asked again, milliseconds; the first is a sixtieth of it. Default 60 s.
    pub probe_ms: u64,
    /// A webhook that took nothing for so long is disabled, seconds. Shorter than events are kept, so that it has them all once
    /// it is enabled again. Default 5 days.
    pub disable_after_s: u64,
    /// How many dead letters of a webhook are kept; with more it is disabled. Default 100,000.
    pub dead_letters: u32,
    /// How long dead letters are kept, seconds. Default 30 days.
    pub dead_letter_retention_s: u64,
    /// How long webhooks stay with a dispatcher that gives no sign of life, milliseconds. Default 10 s.
    pub claim_ttl_ms: u64,
    /// How often it gives a sign of life, looks for webhooks that are nobody's, and reads the log without a ring, milliseconds.
    /// Default 1 s.
    pub sweep_ms: u64,
    /// How often what was delivered is recorded, milliseconds: as much is delivered again after a crash. Default 50 ms.
    pub record_ms: u64,
    /// Bytes of events that wait in memory, of all webhooks together. Default 256 MiB.
    pub memory_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            in_flight: 1_024,
            in_flight_per_tenant: 256,
            in_flight_per_webhook: 32,
            timeout_ms: 15_000,
            retry_s: vec![5, 300, 1_800, 7_200, 18_000, 36_000, 36_000],
            retry_after_most_s: 24 * 3_600,
            failures_to_open: 10,
            probe_ms: 60_000,
            disable_after_s: 5 * 24 * 3_600,
            dead_letters: 100_000,
            dead_letter_retention_s: 30 * 24 * 3_600,
            claim_ttl_ms: 10_000,
            sweep_ms: 1_000,
            record_ms: 50,
            memory_bytes: 256 << 20,
        }
    }
}

impl Options {
    /// Whether the settings make sense together; the first that does not, with what to do.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn validate(&self) -> Result<(), String> {
        let checks = [
            (self.in_flight > 0, "dispatcher.in_flight must be at least 1"),
            (self.in_flight_per_tenant > 0, "dispatcher.in_flight_per_tenant must be at least 1"),
            (self.in_flight_per_webhook > 0, "dispatcher.in_flight_per_webhook must be at least 1"),
            ((1..=30_000).contains(&self.timeout_ms), "dispatcher.timeout_ms must be 1 to 30,000"),
            (
                (1..=20).contains(&self.retry_s.len()) && self.retry_s.iter().all(|pause| *pause <= 7 * 24 * 3_600),
                "dispatcher.retry_s must be a list of 1 to 20 pauses of at most a week",
            ),
            (self.failures_to_open > 0, "dispatcher.failures_to_open must be at least 1"),
            (self.probe_ms > 0, "dispatcher.probe_ms must be at least 1"),
            (self.disable_after_s > 0, "dispatcher.disable_after_s must be at least 1"),
            (self.dead_letters > 0, "dispatcher.dead_letters must be at least 1"),
            (
                self.sweep_ms > 0 && self.claim_ttl_ms / 3 >= self.sweep_ms,
                "dispatcher.claim_ttl_ms must be at least three times dispatcher.sweep_ms",
            ),
            (self.record_ms > 0, "dispatcher.record_ms must be at least 1"),
            (self.memory_bytes >= 1 << 20, "dispatcher.memory_bytes must be at least a MiB"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message.to_owned()))
    }

    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) const fn sweep(&self) -> Duration {
        Duration::from_millis(self.sweep_ms)
    }

    pub(crate) const fn claim_ttl(&self) -> Duration {
        Duration::from_millis(self.claim_ttl_ms)
    }

    pub(crate) const fn record_every(&self) -> Duration {
        Duration::from_millis(self.record_ms)
    }

    /// How long an event can be tried, from its first try to its last: all pauses, each as long as it can be.
    pub(crate) fn patience(&self) -> Duration {
        self.retry_s.iter().map(|pause| Duration::from_secs(*pause) + Duration::from_secs(*pause) / 10).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_nonsense_is_named() {
        assert_eq!(Options::default().validate(), Ok(()));
        let hasty = Options { claim_ttl_ms: 1_000, ..Options::default() };
        assert!(hasty.validate().is_err_and(|text| text.contains("claim_ttl_ms")));
        let never = Options { retry_s: Vec::new(), ..Options::default() };
        assert!(never.validate().is_err_and(|text| text.contains("retry_s")));
    }

    #[test]
    fn an_event_is_tried_for_more_than_a_day() {
        assert_eq!(Options::default().patience().as_secs() / 3_600, 30);
    }
}
