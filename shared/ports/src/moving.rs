//! Moving a ledger: everything that one store holds, row by row, into an empty one of another kind.
//!
//! Rows go as they are stored, under the names that both kinds of store share: what is sealed stays sealed, what is open stays
//! open, ids, numbers and positions are the same afterwards. Who owns a shard does not move: the new place has its own owners.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use warren_domain::Result;

/// The tables that move, each after those that its rows need.
pub const TABLES: [&str; 19] = [
    "meta",
    "tenants",
    "api_keys",
    "instances",
    "instance_counters",
    "messages",
    "message_members",
    "known_chats",
    "events",
    "session_records",
    "idempotency",
    "media",
    "number_checks",
    "number_check_uses",
    "webhooks",
    "webhook_replays",
    "webhook_lanes",
    "webhook_attempts",
    "webhook_dead_letters",
];

/// How many rows a chunk has at most.
pub const CHUNK: usize = 500;

/// Some rows of one table. A row is an object by column; bytes are a text of `\x` and their hex digits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// One of [`TABLES`].
    pub table: String,
    /// At most [`CHUNK`].
    pub rows: Vec<Map<String, Value>>,
}

/// How many rows moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Of all tables together.
    pub rows: u64,
    /// Tenants.
    pub tenants: u64,
    /// Instances, the deleted ones too.
    pub instances: u64,
    /// Messages that were open: they are sent from the new place.
    pub open_messages: u64,
}

/// A store that can be read as a whole.
#[async_trait]
pub trait Export: Send + Sync {
    /// Sends everything, as it was at one moment, in the order of [`TABLES`]. Ends early, with an error, when nobody receives.
    async fn export(&self, chunks: mpsc::Sender<Chunk>) -> Result<Moved>;
}

/// A store that can be filled.
#[async_trait]
pub trait Import: Send + Sync {
    /// Takes everything that comes, and commits it once the channel ends: all of it or, after any error, nothing; an error that
    /// comes is returned. A row that `meta` already has must be the same there.
    ///
    /// # Errors
    /// `Conflict` `store_not_empty` if it holds a tenant; `Conflict` `other_store` if it belongs to another network or counts
    /// shards differently; `Invalid` `bad_export` for a table or a value that cannot be.
    async fn import(&self, chunks: mpsc::Receiver<Result<Chunk>>) -> Result<Moved>;
}
