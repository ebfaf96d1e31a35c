//! Webhooks: addresses of a tenant to which its events are posted, signed as [Standard Webhooks] says, or as the seed does.
//!
//! [Standard Webhooks]: https://www.standardwebhooks.com

mod failure;
mod format;
mod request;
mod sample;
mod secret;

pub use failure::DeliveryFailure;
pub use format::Format;
pub use request::{Occasion, RESERVED_HEADERS, is_reserved_header, request_headers};
pub use sample::sample;
pub use secret::{Former, NoSecret, Secret, Secrets};

use crate::{Event, EventId, EventType, InstanceId, ReplayId, TenantId, Timestamp, WebhookId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// An address to which events are posted.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Where events are posted to.
    pub url: String,
    /// A note for people, at most 500 characters.
    pub description: Option<String>,
    /// Of which types; empty means all that are stored.
    pub events: Vec<EventType>,
    /// Of which instances; empty means all of the tenant.
    pub instances: Vec<InstanceId>,
    /// What is sent along, name and value. The values may be credentials: they are shown to nobody.
    pub headers: Vec<(String, String)>,
    /// What its posts are signed with.
    pub secrets: Secrets,
    /// How events are written and signed.
    pub format: Format,
    /// Why nothing is posted; `None` while it is enabled.
    pub disabled: Option<Disabled>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by its tenant.
    pub updated_at: Timestamp,
    /// The position in the log up to which everything was delivered, or is looked after one instance at a time.
    pub position: i64,
    /// How it stands.
    pub standing: Standing,
}

/// The URL and the headers may hold credentials.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Webhook");
        shown.field("id", &self.id).field("disabled", &self.disabled).field("position", &self.position);
        shown.finish_non_exhaustive()
    }
}

/// Why nothing is posted to a webhook. It keeps its place in the log, and goes on from there once it is enabled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disabled {
    /// Its tenant disabled it.
    Paused,
    /// It answered 410: it does not want to be asked again.
    Gone,
    /// Nothing was taken by it for days.
    Failing,
    /// It has as many dead letters as are kept: none is dropped for another.
    DeadLettersFull,
}

impl Disabled {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Paused, Self::Gone, Self::Failing, Self::DeadLettersFull];

    /// The name as the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::Gone => "gone",
            Self::Failing => "failing",
            Self::DeadLettersFull => "dead_letters_full",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// How a webhook stands, as its dispatcher sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Since when nothing was taken, if the last post failed.
    pub failing_since: Option<Timestamp>,
    /// When something was last taken.
    pub delivered_at: Option<Timestamp>,
    /// Until when the receiver asked not to be asked again (`Retry-After`).
    pub paused_until: Option<Timestamp>,
    /// When it was last found that the log had lost events before they were delivered: it was disabled, or down, for longer
    /// than events are kept.
    pub missed_at: Option<Timestamp>,
}

/// One try to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its number among the webhook's attempts: grows by one; 0 before the store gave it.
    pub number: i64,
    /// Of which event.
    pub event: EventId,
    /// What that is.
    pub kind: EventType,
    /// Of which instance.
    pub instance: InstanceId,
    /// The how many-th try of this event, from 1.
    pub tries: u32,
    /// What was answered, if anything.
    pub status: Option<u16>,
    /// Why it failed; `None`: it was delivered.
    pub failure: Option<DeliveryFailure>,
    /// How long it took, milliseconds.
    pub took_ms: u32,
    /// When it began.
    pub at: Timestamp,
    /// Whether it belongs to a replay.
    pub replay: bool,
}

/// An event that was given up.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The event, whole: the log may have lost it.
    pub event: Event,
    /// How often it was tried.
    pub tries: u32,
    /// The last answer, if there was one.
    pub status: Option<u16>,
    /// Why the last try failed.
    pub failure: DeliveryFailure,
    /// When it was given up.
    pub at: Timestamp,
}

/// Events that are to be delivered again, beside the live ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Which events.
    pub what: Replayed,
    /// Everything of it up to this position in the log was delivered, or is looked after one instance at a time.
    pub position: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// Which events are replayed; within an instance always in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replayed {
    /// Those of the log after one position up to another that the webhook wants.
    Range {
        /// After this position.
        after: i64,
        /// Up to this position, inclusively.
        to: i64,
    },
    /// Those at these positions, rising, at most 1,000: whether or not the webhook wants them. Dead letters, or in the log.
    Positions(Vec<i64>),
    /// The dead letters up to this position.
    DeadLetters {
        /// Up to this position, inclusively.
        to: i64,
    },
}

impl Replayed {
    /// Where it begins: everything of it is after this position.
    #[must_use]
    pub fn begin(&self) -> i64 {
        match self {
            Self::Range { after, .. } => *after,
            Self::Positions(positions) => positions.first().map_or(0, |first| first - 1),
            Self::DeadLetters { .. } => 0,
        }
    }

    /// Its last position.
    #[must_use]
    pub fn end(&self) -> i64 {
        match self {
            Self::Range { to, .. } | Self::DeadLetters { to } => *to,
            Self::Positions(positions) => positions.last().copied().unwrap_or(0),
        }
    }
}
