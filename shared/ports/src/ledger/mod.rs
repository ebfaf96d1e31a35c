//! The ledger: what was acknowledged is a committed row here.
//!
//! A method that returned `Ok` has committed durably, except where it says otherwise. Errors are
//! [`warren_domain::Error`]: `Unavailable` for a passing condition (only on the edge's methods; the owner's hot writes
//! wait, see [`Committer`]), `Internal` for corrupt data.

mod commit;
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

pub use commit::{Committer, Inbound, Op, Outcome, ReceiptTarget, Write};
pub use events::{EventFilter, Events, LogBounds, Page};
pub use idempotency::{Idempotency, Reservation, Reserved, StoredResponse};
pub use instances::{InstanceFilter, InstancePatch, Instances};
pub use maintenance::{Expired, Maintenance, Retention};
pub use media::MediaFiles;
pub use messages::{Accepted, Acquaintance, IdempotencyKey, MessageFilter, Messages, NewMessage, Released};
pub use numbers::{CheckQuota, Numbers};
pub use ownership::{Ownership, Taken};
pub use sessions::{Record, RecordKind, Sessions};
pub use tenants::{TenantPatch, Tenants};

/// What the edge (gateway, dispatcher) may do with the ledger. It cannot write events or session state.
pub trait EdgeLedger: Tenants + Instances + Messages + MediaFiles + Events + Idempotency + Numbers {}
impl<T: Tenants + Instances + Messages + MediaFiles + Events + Idempotency + Numbers> EdgeLedger for T {}

/// What the owner of shards (worker) may do with the ledger.
pub trait OwnerLedger: Instances + Messages + MediaFiles + Sessions + Ownership + Committer + Maintenance + Numbers {}
impl<T: Instances + Messages + MediaFiles + Sessions + Ownership + Committer + Maintenance + Numbers> OwnerLedger for T {}
