//! Small facts about the store itself: what is fixed when it is made, and what others keep beside it.
//!
//! Persisted: the log's id, the shard count and hash, the network, and named values (such as the check of the sealing key).
//! A value is written once and never changed.

use crate::open::{OpenError, Sqlite};
use rusqlite::{Connection, OptionalExtension, params};
use warren_domain::shard::SHARD_HASH;
use warren_domain::{Network, Result, ShardCount};

/// Names below this prefix are the store's own.
const OWN: &str = "store.";

/// The value of `name`.
pub(crate) fn get(conn: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// Stores `value` under `name` if there is none; what is stored then.
pub(crate) fn put_if_absent(conn: &Connection, name: &str, value: &[u8]) -> rusqlite::Result<Vec<u8>> {
    conn.prepare_cached("INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO NOTHING")?
        .execute(params![name, value])?;
    conn.prepare_cached("SELECT value FROM meta WHERE name = ?1")?.query_row([name], |row| row.get(0))
}

/// A number kept under `name`, 0 if none is.
pub(crate) fn number(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let value = get(conn, name)?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, i64::from_be_bytes))
}

/// Raises the number under `name`.
pub(crate) fn raise(conn: &Connection, name: &str, to: i64) -> rusqlite::Result<()> {
    if number(conn, name)? < to {
        conn.prepare_cached(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![name, to.to_be_bytes()])?;
    }
    Ok(())
}

/// Fixes what is fixed for the store's life, or compares it; the log's id.
pub(crate) fn settle_identity(conn: &Connection, network: Network, shards: ShardCount) -> Result<u64, OpenError> {
    let transaction = rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate)?;
    let text = |name: &str, value: String| -> rusqlite::Result<String> {
        let stored = put_if_absent(conn, name, value.as_bytes())?;
        Ok(String::from_utf8_lossy(&stored).into_owned())
    };
    let stored = text("store.network", network.to_string())?;
    if stored != network.to_string() {
        return Err(OpenError::OtherNetwork { stored, asked: network.to_string() });
    }
    let stored = text("store.shards", shards.0.to_string())?;
    if stored != shards.0.to_string() {
        return Err(OpenError::OtherShardCount { stored, asked: shards.0.get() });
    }
    let stored = text("store.shard_hash", SHARD_HASH.to_owned())?;
    if stored != SHARD_HASH {
        return Err(OpenError::OtherShardHash { stored });
    }
    let log = put_if_absent(conn, "store.log", &rand::random::<u64>().to_be_bytes())?;
    let log = log.try_into().map(u64::from_be_bytes).map_err(|_| OpenError::NotWarren)?;
    transaction.commit()?;
    Ok(log)
}

impl Sqlite {
    /// The value that was stored under this name, if any.
    ///
    /// # Errors
    /// `Unavailable` if the store does not answer in time.
    pub async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let name = name.to_owned();
        self.read(move |conn| Ok(get(conn, &name)?)).await
    }

    /// Stores a value under a name that has none, for ever; what is stored now: of parallel calls all get the first
    /// one's.
    ///
    /// # Errors
    /// `Invalid` for a name of the store's own (`store.`); `Unavailable` if the store does not answer in time.
    pub async fn put_meta_if_absent(&self, name: &str, value: &[u8]) -> Result<Vec<u8>> {
        if name.starts_with(OWN) {
            return Err(warren_domain::Error::invalid("reserved_name", "Names that start with store. are the store's own."));
        }
        let (name, value) = (name.to_owned(), value.to_owned());
        self.write(move |tx| Ok(put_if_absent(tx.conn, &name, &value)?)).await
    }
}
