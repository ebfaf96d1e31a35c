//! What Warren talks about: tenants, instances, messages, events, shards and epochs, and the closed list of errors.
//!
//! This crate is pure: it does no I/O and reads no clock. Times come in as [`Timestamp`] parameters.

pub mod acquaintance;
pub mod content;
pub mod error;
pub mod event;
pub mod group;
pub mod id;
pub mod instance;
pub mod key;
pub mod media;
pub mod message;
pub mod network;
pub mod number;
pub mod person;
pub mod proxy;
pub mod recipient;
pub mod restriction;
pub mod seed;
pub mod shard;
pub mod tenant;
pub mod time;
pub mod webhook;

pub use error::{Error, ErrorKind, Result};
pub use event::{Event, EventId, EventType};
pub use id::{DispatcherId, InstanceId, KeyId, MediaId, MessageId, ReplayId, RequestId, TenantId, WebhookId};
pub use instance::{Health, HealthStatus, Instance, InstanceState};
pub use message::{Delivery, Direction, FailureReason, Message, MessageStatus};
pub use network::Network;
pub use number::NumberCheck;
pub use person::Person;
pub use recipient::Recipient;
pub use restriction::{Restriction, RestrictionReason, RestrictionScope};
pub use shard::{Epoch, Fence, Shard, ShardCount};
pub use tenant::Tenant;
pub use time::Timestamp;
pub use webhook::Webhook;
