//! Instances: WhatsApp accounts linked to Warren.

use crate::{InstanceId, Restriction, TenantId, Timestamp, proxy::Proxy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What an instance is doing. The owner of its shard writes it; nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Made, never paired.
    Created,
    /// Waiting for its QR code (or code) to be entered on a phone.
    Pairing,
    /// Paired; a connection is being made or remade.
    Connecting,
    /// Logged in.
    Online,
    /// Paired, and told to stay away.
    Disconnected,
    /// The phone (or WhatsApp) removed this device; pairing again keeps the id.
    LoggedOut,
    /// WhatsApp restricts the account for a time.
    Restricted,
    /// Kicked again and again by another connection of the same device; waits for a person.
    Quarantined,
}

impl InstanceState {
    /// Every state, for metrics and checks.
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Pairing,
        Self::Connecting,
        Self::Online,
        Self::Disconnected,
        Self::LoggedOut,
        Self::Restricted,
        Self::Quarantined,
    ];

    /// The name as the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pairing => "pairing",
            Self::Connecting => "connecting",
            Self::Online => "online",
            Self::Disconnected => "disconnected",
            Self::LoggedOut => "logged_out",
            Self::Restricted => "restricted",
            Self::Quarantined => "quarantined",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether an owner that takes the shard connects this instance without being asked.
    #[must_use]
    pub const fn reconnects(self) -> bool {
        matches!(self, Self::Connecting | Self::Online | Self::Restricted)
    }
}

/// Who the account is at WhatsApp, known from pairing on.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Account {
    /// E.164 digits without `+`.
    pub phone: String,
    /// Address of this device by phone number, `628..:5@s.whatsapp.net`.
    pub jid: String,
    /// Hidden address of this device, if WhatsApp gave one.
    pub lid: Option<String>,
    /// The name shown to others, if known.
    pub push_name: Option<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(..)")
    }
}

/// An instance as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// A name for people, at most 200 characters.
    pub name: Option<String>,
    /// The caller's own data, at most 16 kB of JSON.
    pub metadata: Map<String, Value>,
    /// What it is doing.
    pub state: InstanceState,
    /// Why it is in that state, where there is a reason: stable and lower-case.
    pub reason: Option<String>,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// Who it is at WhatsApp; `None` before the first pairing.
    pub account: Option<Account>,
    /// Its stored health: changes are events.
    pub health: Health,
    /// What it may not send for a time.
    pub restriction: Option<Restriction>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The name that phones show for it, from its next pairing on; `None` for the deployment's.
    pub device_name: Option<String>,
    /// The proxy through which it speaks to WhatsApp, from its next connection on; `None` for none.
    pub proxy: Option<Proxy>,
}

/// Whether an instance that is online really works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Stanzas flow, the store answers.
    Ok,
    /// Something that the account needs does not work; see the reason.
    Degraded,
}

/// Measured health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// Why, if degraded: `store` (waiting for the ledger), `silent` (no stanza for too long), `offline`.
    pub reason: Option<String>,
    /// When the last stanza came in.
    pub last_stanza_at: Option<Timestamp>,
    /// Round trip of the last ping, milliseconds.
    pub rtt_ms: Option<u32>,
}

impl Health {
    /// Nothing to complain about, nothing measured yet.
    pub const OK: Self = Self { status: HealthStatus::Ok, reason: None, last_stanza_at: None, rtt_ms: None };
}
