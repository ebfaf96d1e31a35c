//! The ledger in one SQLite file, for a single process: `warren.db` in the data folder.
//!
//! - One writer thread owns the one write connection and commits what waits in one transaction (group commit); order is
//!   the order of its queue. See `writer`.
//! - A few reader threads serve reads from the write-ahead log. See `readers`.
//! - Checkpoints run on a thread of their own, so that the lane does not stall. See `checkpoint`.
//!
//! [`Sqlite`] implements every ledger port of `warren-ports`.

mod accept;
mod checkpoint;
mod commit;
mod contacts;
mod counters;
mod events;
mod export;
mod failure;
mod idempotency;
mod instances;
mod keys;
mod maintenance;
mod media;
mod messages;
mod meta;
mod migrations;
mod numbers;
mod open;
mod ownership;
mod queue;
mod readers;
mod rows;
mod sessions;
mod tenants;
mod transaction;
mod webhooks;
mod writer;

pub use open::{CommitObserver, OpenError, Options, Sqlite};
