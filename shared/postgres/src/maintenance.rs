//! Retention: what is old enough goes, in small batches, each a statement of its own. Nothing is waited for: rows that
//! somebody holds are left for the next round. A batch is found by index, and its rows are removed by where they are: how long
//! the batch is, no plan has to guess.
//!
//! Events go from the front of the log only, see `events`. They stay their whole time even where the instance was deleted,
//! because readers still have to hear of its end; the instance's tombstone goes after its last event.

use crate::rows::{self, Id};
use crate::{Postgres, counters, events, media, numbers};
use async_trait::async_trait;
use sqlx::{PgPool, Row};
use std::time::Duration;
use uuid::Uuid;
use warren_domain::{FailureReason, InstanceId, Result, Timestamp};
use warren_ports::ledger::{Expired, Maintenance, Retention};

/// How many rows are looked at for ones to remove; open messages are passed over.
const LOOKED_AT: usize = 50_000;
/// How many of them at once.
const STRETCH: i64 = 1_000;
/// How long the mark of a lane that died is kept: longer than any clock is wrong by, because one that lives may need it.
const LANES_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

#[async_trait]
impl Maintenance for Postgres {
    async fn expire(&self, now: Timestamp, retention: &Retention, limit: u32) -> Result<Expired> {
        let (events, more) = events::expire(self, now, retention.events, limit).await?;
        let mut expired = Expired { events, more, ..Expired::default() };
        // A replayed request must find its message: messages are kept at least as long as keys.
        let kept = retention.messages.max(retention.idempotency);
        let pool = self.pool();
        let full = |count: u64| count >= u64::from(limit);
        expired.messages = self.writing(|| async { Ok(old_messages(pool, &Age::new(now, kept), limit).await?) }).await?;
        expired.idempotency =
            self.writing(|| async { Ok(old_keys(pool, now.before(retention.idempotency), limit).await?) }).await?;
        expired.media = self.writing(|| async { Ok(media::expire(pool, now.before(kept), limit).await?) }).await?;
        let numbers = self.writing(|| async { Ok(numbers::expire(pool, now, limit).await?) }).await?;
        expired.more |= [expired.messages, expired.idempotency, expired.media, numbers].into_iter().any(full);
        self.writing(|| async { Ok(old_lanes(pool, now.before(LANES_KEPT)).await?) }).await?;
        let deleted = self.reading(|| async { Ok(deleted(pool, limit).await?) }).await?;
        expired.more |= deleted.len() >= limit as usize;
        self.purge(&deleted, limit, &mut expired).await?;
        Ok(expired)
    }

    async fn expire_queued(&self, now: Timestamp, limit: u32) -> Result<u64> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let due: Vec<i64> = sqlx::query_scalar(
                "SELECT queue_order FROM queue WHERE NOT handed AND expires_at IS NOT NULL AND expires_at <= $1
                 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED",
            )
            .bind(now.as_millis())
            .bind(i64::from(limit))
            .fetch_all(&mut *tx)
            .await?;
            if due.is_empty() {
                return Ok(0);
            }
            let stored_at = tx.now;
            let failed = counters::fail_queued(&mut tx, stored_at, &due, FailureReason::Expired, now).await?;
            tx.commit().await?;
            Ok(failed)
        })
        .await
    }
}

impl Postgres {
    /// Removes rows of deleted instances, at most `limit` of them together.
    async fn purge(&self, deleted: &[InstanceId], limit: u32, expired: &mut Expired) -> Result<()> {
        let mut left = u64::from(limit);
        for instance in deleted {
            let id = instance.uuid();
            for (sql, are_messages) in [(RECORDS, false), (MESSAGES, true), (CHATS, false)] {
                let most = i64::try_from(left).unwrap_or(i64::MAX);
                let rows = self.writing(|| async { Ok(remove(self.pool(), sql, id, most).await?) }).await?;
                left = left.saturating_sub(rows);
                expired.messages += if are_messages { rows } else { 0 };
            }
            if left == 0 {
                expired.more = true;
                return Ok(());
            }
            expired.instances += self.writing(|| async { Ok(remove_instance(self.pool(), id).await?) }).await?;
        }
        Ok(())
    }
}

/// Rows in the order in which they were stored, with when that was. Times are the store's own clock's; a time in the future
/// was written while the clock was wrong and says nothing.
struct Age {
    now: Timestamp,
    cutoff: Timestamp,
}

impl Age {
    fn new(now: Timestamp, kept: Duration) -> Self {
        Self { now, cutoff: now.before(kept) }
    }

    fn is_expired(&self, stored_at: Timestamp) -> bool {
        stored_at < self.cutoff
    }

    fn is_fresh(&self, stored_at: Timestamp) -> bool {
        stored_at >= self.cutoff && stored_at <= self.now
    }
}

/// Removes ended messages from the front of the table up to the first that is fresh; how many. There is no index by age:
/// every message would pay for it, and the front is a look at one page.
async fn old_messages(pool: &PgPool, age: &Age, limit: u32) -> sqlx::Result<u64> {
    let (mut found, mut after, mut looked_at) = (Vec::new(), i64::MIN, 0);
    'front: while looked_at < LOOKED_AT {
        let rows = sqlx::query(
            "SELECT queue_order, stored_at, status FROM messages WHERE queue_order > $1 ORDER BY queue_order LIMIT $2",
        )
        .bind(after)
        .bind(STRETCH)
        .fetch_all(pool)
        .await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let (stored_at, status) = (rows::time(row, 1)?, row.try_get::<i16, _>(2)?);
            if age.is_fresh(stored_at) || found.len() >= limit as usize {
                break 'front;
            }
            after = row.try_get(0)?;
            if age.is_expired(stored_at) && status >= 2 {
                found.push(after);
            }
        }
        looked_at += rows.len();
    }
    if found.is_empty() {
        return Ok(0);
    }
    let done = sqlx::query(
        "DELETE FROM messages WHERE ctid = ANY (ARRAY (
             SELECT ctid FROM messages WHERE queue_order = ANY ($1) AND status >= 2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(&found)
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

async fn old_keys(pool: &PgPool, before: Timestamp, limit: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM idempotency WHERE ctid = ANY (ARRAY (
             SELECT ctid FROM idempotency WHERE stored_at < $1 ORDER BY stored_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(before.as_millis())
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// Removes the marks of lanes whose processes did not come to do it; a process that was killed leaves one a lane.
async fn old_lanes(pool: &PgPool, before: Timestamp) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM lane_commits WHERE stored_at < $1").bind(before.as_millis()).execute(pool).await?;
    Ok(())
}

/// Deleted instances of which something can go now.
async fn deleted(pool: &PgPool, limit: u32) -> sqlx::Result<Vec<InstanceId>> {
    let oldest = events::oldest_stored_at(pool).await?;
    let rows = sqlx::query(
        "SELECT id FROM instances i WHERE deleted_at IS NOT NULL
             AND (EXISTS (SELECT 1 FROM messages WHERE instance_id = i.id)
                  OR EXISTS (SELECT 1 FROM session_records WHERE instance_id = i.id)
                  OR EXISTS (SELECT 1 FROM known_chats WHERE instance_id = i.id)
                  OR deleted_at < $2
                  OR EXISTS (SELECT 1 FROM instance_counters WHERE instance_id = i.id AND event_seq = 0))
         LIMIT $1",
    )
    .bind(i64::from(limit))
    .bind(oldest.unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row| rows::id(row, 0)).collect()
}

const RECORDS: &str = "DELETE FROM session_records WHERE ctid = ANY (ARRAY (
     SELECT ctid FROM session_records WHERE instance_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
const MESSAGES: &str = "DELETE FROM messages WHERE ctid = ANY (ARRAY (
     SELECT ctid FROM messages WHERE instance_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";
const CHATS: &str = "DELETE FROM known_chats WHERE ctid = ANY (ARRAY (
     SELECT ctid FROM known_chats WHERE instance_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED))";

async fn remove(pool: &PgPool, sql: &'static str, instance: Uuid, limit: i64) -> sqlx::Result<u64> {
    Ok(sqlx::query(sql).bind(instance).bind(limit).execute(pool).await?.rows_affected())
}

/// Removes a deleted instance unless the log may still hold events of it: not if it never had one, nor if the oldest event of
/// all was stored after the deletion. How many were removed.
async fn remove_instance(pool: &PgPool, id: Uuid) -> sqlx::Result<u64> {
    let oldest = events::oldest_stored_at(pool).await?;
    let done = sqlx::query(
        "WITH counters AS (
             DELETE FROM instance_counters c USING instances i
             WHERE c.instance_id = $1 AND i.id = $1 AND (c.event_seq = 0 OR i.deleted_at < $2) RETURNING c.instance_id)
         DELETE FROM instances USING counters WHERE id = counters.instance_id",
    )
    .bind(id)
    .bind(oldest.unwrap_or(i64::MAX))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}
