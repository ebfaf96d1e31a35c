//! The ledger in Postgres, for a cluster.
//!
//! - Owners write through committer lanes, a connection and a transaction at a time each, in batches. See `lanes`.
//! - Messages are accepted on a connection of its own, those that come together in one statement. See `accept`.
//! - The edge, and every read, has a bounded pool of connections. See `edge`.
//! - Takeovers have connections of their own: they wait for nobody but the lanes that they shut out. See `ownership`.
//! - The log is read up to its horizon: below it nothing can appear any more. See `events`.
//! - Each service has a role in the database, with what it needs and no more; the gateway's sees the rows of the tenant that its
//!   statement names, and none if it names none. See `roles` and `scope`.
//!
//! [`Postgres`] implements every ledger port of `warren-ports`. All connections go to the primary, and directly or through a
//! pooler that keeps one server connection a client connection: what a lane knows of its server process must stay true.

mod accept;
mod commit;
mod contacts;
mod counters;
mod edge;
mod events;
mod failure;
mod fault;
mod idempotency;
mod import;
mod instances;
mod keys;
mod lanes;
mod maintenance;
mod media;
mod messages;
mod meta;
mod migrations;
mod numbers;
mod open;
mod ownership;
mod pace;
mod queue;
mod records;
mod roles;
mod rows;
mod scope;
mod sessions;
mod tenants;
mod webhooks;

pub use open::{CommitObserver, OpenError, Options, Postgres};
pub use roles::{Service, Standing};
