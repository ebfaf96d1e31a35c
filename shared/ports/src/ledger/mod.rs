//! The ledger: what was acknowledged is a committed row here.
//!
//! A method that returned `Ok` has committed durably, except where it says otherwise. Errors are
//! [`warren_domain::Error`]: `Unavailable` for a passing condition (only on the edge's methods; the owner's hot writes
//! wait, see [`Committer`]), `Internal` for corrupt data.

mod commit;
mod contacts;
mod deliveries;
mod events;
mod idempotency;
mod instances;
mod maintenance;
mod media;
mod messages;
mod numbers;
mod ownership;
mod sessions;
mod tenants;
mod webhooks;

pub use commit::{Committer, Inbound, Op, Outcome, ReceiptTarget, Write};
pub use contacts::{Contact, Contacts};
pub use deliveries::{Assignment, Claim, Claimed, Claiming, Deliveries, FlowProgress, Held, Lane, Progress};
pub use events::{EventFilter, Events, LogBounds, Page};
pub use idempotency::{Idempotency, Reservation, Reserved, StoredResponse};
pub use instances::{InstanceFilter, InstancePatch, Instances};
pub use maintenance::{Expired, Maintenance, Retention};
pub use media::MediaFiles;
pub use messages::{Accepted, Acquaintance, IdempotencyKey, MessageFilter, Messages, NewMessage, Released};
pub use numbers::{CheckQuota, Numbers};
pub use ownership::{Ownership, Taken};
pub use sessions::{Record, RecordKind, Sessions, after_prefix};
pub use tenants::{TenantPatch, Tenants};
pub use webhooks::{AttemptFilter, WebhookPatch, Webhooks};

/// What the edge (gateway) may do with the ledger. It cannot write events or session state.
pub trait EdgeLedger:
    Tenants + Instances + Messages + MediaFiles + Events + Idempotency + Numbers + Contacts + Webhooks
{
}
impl<T> EdgeLedger for T where
    T: Tenants + Instances + Messages + MediaFiles + Events + Idempotency + Numbers + Contacts + Webhooks
{
}

/// What a dispatcher may do with the ledger: read the log, and say what it delivered of it.
pub trait DispatcherLedger: Events + Deliveries {}
impl<T: Events + Deliveries> DispatcherLedger for T {}

/// What the owner of shards (worker) may do with the ledger.
pub trait OwnerLedger: Instances + Messages + MediaFiles + Sessions + Ownership + Committer + Maintenance + Numbers {}
impl<T: Instances + Messages + MediaFiles + Sessions + Ownership + Committer + Maintenance + Numbers> OwnerLedger for T {}
