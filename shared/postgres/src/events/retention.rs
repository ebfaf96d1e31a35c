//! Retention of the log: old partitions go as a whole; in the open one, which is all there is where little happens, rows go in
//! small batches from the front.
//!
//! A partition goes when its last event is too old, so that events of a busy deployment live up to a partition's time longer.
//! The last position that went is kept in the same transaction: a reader behind it has missed something.

use super::REMOVED_TO;
use super::partitions::{self, Partition};
use crate::failure::{Class, Stop, class};
use crate::rows::time;
use crate::{Postgres, meta};
use sqlx::{Connection, PgConnection, PgExecutor, Row};
use std::ops::RangeInclusive;
use std::time::Duration;
use warren_domain::{Result, Timestamp};

/// How long a drop waits for who uses the log now; everybody else waits behind it as long.
const DROP_LOCK: &str = "SET LOCAL lock_timeout = 200";

/// Removes what is older than `kept` at `now`, by when it was stored: partitions, or up to `limit` rows. How many went
/// (about, for a partition), and whether there is more.
pub(crate) async fn expire(store: &Postgres, now: Timestamp, kept: Duration, limit: u32) -> Result<(u64, bool)> {
    let cutoff = now.before(kept);
    store
        .writing(|| async {
            let mut conn = store.pool().acquire().await?;
            partitions::extend(&mut conn, store.now()).await?;
            let known = partitions::all(&mut conn).await?;
            let head = super::head::look(&mut *conn).await?;
            let next_opened_at = known.get(1).and_then(|next| next.opened_at);
            match (known.first(), next_opened_at) {
                (Some(oldest), Some(closed_at)) if oldest.upper <= head => {
                    if closed_at >= cutoff.as_millis() || !is_old(&mut conn, oldest, cutoff).await? {
                        return Ok((0, false));
                    }
                    drop_partition(&mut conn, oldest).await
                }
                _ => Ok(remove_rows(&mut conn, head, cutoff..=now, limit).await?),
            }
        })
        .await
}

/// When the oldest event was stored, milliseconds.
pub(crate) async fn oldest_stored_at(conn: impl PgExecutor<'_>) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT stored_at FROM events ORDER BY position LIMIT 1").fetch_optional(conn).await
}

/// Whether the last event of a partition is too old; one without events is as old as the next.
async fn is_old(conn: &mut PgConnection, partition: &Partition, cutoff: Timestamp) -> Result<bool, sqlx::Error> {
    let last: Option<i64> = sqlx::query_scalar(
        "SELECT stored_at FROM events WHERE position >= $1 AND position < $2 ORDER BY position DESC LIMIT 1",
    )
    .bind(partition.lower)
    .bind(partition.upper)
    .fetch_optional(conn)
    .await?;
    Ok(last.is_none_or(|stored_at| stored_at < cutoff.as_millis()))
}

async fn drop_partition(conn: &mut PgConnection, partition: &Partition) -> Result<(u64, bool), Stop> {
    let mut transaction = conn.begin().await?;
    let name = format!("events_{}", partition.lower);
    // As the statistics have it: counting takes as long as reading all of it.
    let rows: i64 = sqlx::query_scalar("SELECT greatest(reltuples, 0)::BIGINT FROM pg_class WHERE oid = to_regclass($1)")
        .bind(&name)
        .fetch_optional(&mut *transaction)
        .await?
        .unwrap_or_default();
    sqlx::raw_sql(DROP_LOCK).execute(&mut *transaction).await?;
    let dropping = sqlx::query_scalar("SELECT drop_event_partition($1)").bind(partition.lower);
    match dropping.fetch_one(&mut *transaction).await {
        Ok(true) => {}
        // Somebody else was faster.
        Ok(false) => return Ok((0, false)),
        // Busy: the next round finds it again.
        Err(error) if class(&error) == Class::Passing => return Ok((0, false)),
        Err(error) => return Err(error.into()),
    }
    meta::raise(&mut transaction, REMOVED_TO, partition.upper - 1).await?;
    transaction.commit().await?;
    tracing::info!(lower = partition.lower, upper = partition.upper, "a partition of the log was dropped");
    Ok((u64::try_from(rows).unwrap_or_default(), true))
}

/// Removes the front of the log as far as it is too old: up to the last expired event before the first fresh one. Times are
/// those of many clocks; one in the future was written while a clock was wrong and says nothing.
async fn remove_rows(
    conn: &mut PgConnection,
    head: i64,
    fresh: RangeInclusive<Timestamp>,
    limit: u32,
) -> Result<(u64, bool), sqlx::Error> {
    let front = sqlx::query("SELECT position, stored_at FROM events WHERE position <= $1 ORDER BY position LIMIT $2")
        .bind(head)
        .bind(i64::from(limit))
        .fetch_all(&mut *conn)
        .await?;
    let (mut positions, mut expired) = (Vec::new(), 0);
    for row in &front {
        let stored_at = time(row, 1)?;
        if fresh.contains(&stored_at) {
            break;
        }
        positions.push(row.try_get::<i64, _>(0)?);
        if stored_at < *fresh.start() {
            expired = positions.len();
        }
    }
    positions.truncate(expired);
    let Some(last) = positions.last() else { return Ok((0, false)) };
    let mut transaction = conn.begin().await?;
    let removed = sqlx::query("DELETE FROM events WHERE position = ANY($1)")
        .bind(&positions)
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    meta::raise(&mut transaction, REMOVED_TO, *last).await?;
    transaction.commit().await?;
    Ok((removed, expired >= limit as usize))
}
