//! What can be set of a worker.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use warren_domain::Network;

/// Settings of the worker, with their defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A name for this worker, unique in the cluster and the same after a restart; empty: the machine's.
    pub name: String,
    /// How many shards it takes, compared to other workers; at least 1.
    pub weight: u32,
    /// The name that phones show for the devices paired here, unless an instance has one of its own: 1 to 50 characters.
    pub device_name: String,
    /// One-time pre-keys kept at WhatsApp, 5 to 812: as many strangers may write for the first time while the instance is
    /// away. More cost pairing time (15 microseconds of CPU each) and rows.
    pub pre_keys: usize,
    /// Connects a second that this worker makes at most. WhatsApp sees them all from one address: 20 is careful.
    pub connects_per_second: u32,
    /// Connects under way at once.
    pub connects_at_once: usize,
    /// The first reconnect after a lost connection waits a random time up to this, milliseconds; it doubles with each
    /// failure, up to 5 minutes.
    pub reconnect_jitter_ms: u64,
    /// How long a lease lasts without renewal, milliseconds.
    pub lease_ttl_ms: u64,
    /// How often it is renewed, milliseconds.
    pub lease_renewal_ms: u64,
    /// A worker of which no task gets its turn for so long lets its lease run out, milliseconds. One that is late by less keeps
    /// it.
    pub stuck_after_ms: u64,
    /// The sweep that finds open messages no ring announced, milliseconds.
    pub sweep_ms: u64,
    /// Open messages of an instance held in memory.
    pub window: u32,
    /// Messages of an instance on their way at once, each to another chat.
    pub in_flight: usize,
    /// Whether messages are paced.
    pub pacing: Pacing,
    /// How far apart the messages of an account are, on average, milliseconds; 0 is as fast as it goes.
    pub pace_ms: u64,
    /// To how many people who never exchanged a message with it an account writes within 24 hours; 0 is any number. More wait.
    pub new_chats_per_day: u32,
    /// No answer of the server to a message for this long, milliseconds: the connection is rebuilt.
    pub ack_deadline_ms: u64,
    /// A pairing that nobody scans ends after this, seconds.
    pub pairing_deadline_s: u64,
    /// Nothing heard of the server for this long, seconds: degraded.
    pub silent_after_s: u64,
    /// Kicks by another login of the same device do not count towards quarantine so soon after this worker took the shard,
    /// seconds: a paused former owner may kick once.
    pub handover_s: u64,
    /// When received files are fetched from WhatsApp.
    pub media_fetch: MediaFetch,
    /// How often the file of a message is brought to WhatsApp, with growing pauses, while the media host is away: 1 to 50.
    /// Then the message fails.
    pub media_attempts: u32,
    /// How long events are kept, seconds.
    pub event_retention_s: u64,
    /// How long settled messages are kept, seconds.
    pub message_retention_s: u64,
}

/// Whether messages are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// With WhatsApp yes; with a simulator, where no number can be lost, no.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// How fast an account may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Between two messages, on average; zero is none.
    pub(crate) interval: Duration,
    /// 0 is any number.
    pub(crate) new_chats_per_day: u32,
}

/// When received files are fetched from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaFetch {
    /// When somebody asks for their bytes. WhatsApp keeps them for some weeks.
    OnRequest,
    /// As they come in.
    OnReceipt,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: String::new(),
            weight: 1,
            device_name: "Warren".into(),
            pre_keys: 100,
            connects_per_second: 20,
            connects_at_once: 64,
            reconnect_jitter_ms: 1_000,
            lease_ttl_ms: 3_000,
            lease_renewal_ms: 500,
            stuck_after_ms: 10_000,
            sweep_ms: 1_000,
            window: 256,
            in_flight: 64,
            pacing: Pacing::Auto,
            pace_ms: 1_000,
            new_chats_per_day: 200,
            ack_deadline_ms: 10_000,
            pairing_deadline_s: 600,
            silent_after_s: 90,
            handover_s: 60,
            media_fetch: MediaFetch::OnRequest,
            media_attempts: 10,
            event_retention_s: 7 * 24 * 3_600,
            message_retention_s: 30 * 24 * 3_600,
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
            ((5..=812).contains(&self.pre_keys), "worker.pre_keys must be 5 to 812"),
            (
                (1..=50).contains(&self.device_name.trim().chars().count())
                    && !self.device_name.chars().any(char::is_control),
                "worker.device_name must have 1 to 50 characters",
            ),
            (self.weight > 0, "worker.weight must be at least 1"),
            (self.name.len() <= 128, "worker.name must have at most 128 bytes"),
            (self.connects_per_second > 0, "worker.connects_per_second must be at least 1"),
            (self.connects_at_once > 0, "worker.connects_at_once must be at least 1"),
            (self.window > 0 && self.in_flight > 0, "worker.window and worker.in_flight must be at least 1"),
            (
                self.lease_renewal_ms > 0 && self.lease_ttl_ms >= 4 * self.lease_renewal_ms,
                "worker.lease_ttl_ms must be at least four times worker.lease_renewal_ms",
            ),
            (
                self.stuck_after_ms >= self.lease_ttl_ms,
                "worker.stuck_after_ms must be at least worker.lease_ttl_ms: a worker that is late is not stuck",
            ),
            (self.pace_ms <= 3_600_000, "worker.pace_ms must be at most 3600000"),
            (self.sweep_ms >= 100, "worker.sweep_ms must be at least 100"),
            ((1..=50).contains(&self.media_attempts), "worker.media_attempts must be 1 to 50"),
            (self.ack_deadline_ms >= 1_000, "worker.ack_deadline_ms must be at least 1000"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message.to_owned()))
    }

    /// The pace of an account of this network; `None`: any.
    pub(crate) fn pace(&self, network: &Network) -> Option<Pace> {
        let is_paced = match self.pacing {
            Pacing::Auto => *network == Network::Whatsapp,
            Pacing::On => true,
            Pacing::Off => false,
        };
        let pace = Pace { interval: Duration::from_millis(self.pace_ms), new_chats_per_day: self.new_chats_per_day };
        is_paced.then_some(pace)
    }

    pub(crate) fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_ms)
    }

    pub(crate) fn lease_renewal(&self) -> Duration {
        Duration::from_millis(self.lease_renewal_ms)
    }

    pub(crate) fn stuck_after(&self) -> Duration {
        Duration::from_millis(self.stuck_after_ms)
    }

    pub(crate) fn ack_deadline(&self) -> Duration {
        Duration::from_millis(self.ack_deadline_ms)
    }
}
