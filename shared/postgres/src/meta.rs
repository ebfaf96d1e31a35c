//! Small facts about the store itself: what is fixed when it is made, and what others keep beside it.
//!
//! Persisted: the log's id, the shard count and hash, the network, and named values (such as the check of the sealing key).
//! A value is written once and never changed.

use crate::open::{OpenError, Postgres};
use sqlx::{Connection, PgConnection, PgExecutor};
use warren_domain::shard::SHARD_HASH;
use warren_domain::{Network, Result, ShardCount};

/// Names below this prefix are the store's own.
const OWN: &str = "store.";

/// The value of `name`.
pub(crate) async fn get(conn: impl PgExecutor<'_>, name: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    sqlx::query_scalar("SELECT value FROM meta WHERE name = $1").bind(name).fetch_optional(conn).await
}

/// Stores `value` under `name` if there is none; what is stored then.
pub(crate) async fn put_if_absent(conn: &mut PgConnection, name: &str, value: &[u8]) -> Result<Vec<u8>, sqlx::Error> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *conn)
        .await?;
    sqlx::query_scalar("SELECT value FROM meta WHERE name = $1").bind(name).fetch_one(conn).await
}

/// A number kept under `name`, 0 if none is.
pub(crate) async fn number(conn: impl PgExecutor<'_>, name: &str) -> Result<i64, sqlx::Error> {
    let value = get(conn, name).await?;
    Ok(value.and_then(|value| value.try_into().ok()).map_or(0, i64::from_be_bytes))
}

/// Raises the number under `name`.
pub(crate) async fn raise(conn: &mut PgConnection, name: &str, to: i64) -> Result<(), sqlx::Error> {
    // Numbers are not negative, so that their bytes compare as they do.
    sqlx::query(
        "INSERT INTO meta AS m (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE m.value < excluded.value",
    )
    .bind(name)
    .bind(to.to_be_bytes().as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

/// Fixes what is fixed for the store's life, or compares it; the log's id.
pub(crate) async fn settle_identity(
    conn: &mut PgConnection,
    network: Option<Network>,
    shards: ShardCount,
) -> Result<u64, OpenError> {
    let mut transaction = conn.begin().await?;
    if let Some(network) = network {
        let stored = text(&mut transaction, "store.network", network.to_string()).await?;
        if stored != network.to_string() {
            return Err(OpenError::OtherNetwork { stored, asked: network.to_string() });
        }
    }
    let stored = text(&mut transaction, "store.shards", shards.0.to_string()).await?;
    if stored != shards.0.to_string() {
        return Err(OpenError::OtherShardCount { stored, asked: shards.0.get() });
    }
    let stored = text(&mut transaction, "store.shard_hash", SHARD_HASH.to_owned()).await?;
    if stored != SHARD_HASH {
        return Err(OpenError::OtherShardHash { stored });
    }
    let log = match get(&mut *transaction, "store.log").await? {
        Some(log) => log,
        None => put_if_absent(&mut transaction, "store.log", &rand::random::<u64>().to_be_bytes()).await?,
    };
    let log = log.try_into().map(u64::from_be_bytes).map_err(|_| OpenError::NotWarren)?;
    transaction.commit().await?;
    Ok(log)
}

async fn text(conn: &mut PgConnection, name: &str, value: String) -> Result<String, sqlx::Error> {
    // Read first: most starts write nothing, and need no right to.
    let stored = match get(&mut *conn, name).await? {
        Some(stored) => stored,
        None => put_if_absent(conn, name, value.as_bytes()).await?,
    };
    Ok(String::from_utf8_lossy(&stored).into_owned())
}

impl Postgres {
    /// The value that was stored under this name, if any.
    ///
    /// # Errors
    /// `Unavailable` if the store does not answer in time.
    pub async fn meta(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.reading(|| async { Ok(get(self.pool(), name).await?) }).await
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
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let stored = put_if_absent(&mut tx, name, value).await?;
            tx.commit().await?;
            Ok(stored)
        })
        .await
    }
}
