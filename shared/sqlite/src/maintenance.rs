//! Retention: what is old enough goes, in small batches.
//!
//! Candidates are looked for by a reader; the lane only deletes them by their keys, so that it does not stall. Events go
//! from the front of the log only, and the last position that went is kept: a reader behind it has missed something. They
//! stay their whole time even where the instance was deleted, because readers still have to hear of its end; the
//! instance's tombstone goes after its last event.

use crate::Sqlite;
use crate::counters::{self, Subject, Tracked};
use crate::events::REMOVED_TO;
use crate::meta;
use crate::numbers;
use crate::transaction::Tx;
use async_trait::async_trait;
use rusqlite::{Connection, params};
use std::time::Duration;
use warren_domain::{FailureReason, InstanceId, MessageId, Result, TenantId, Timestamp};
use warren_ports::ledger::{Expired, Maintenance, Retention};

/// How many rows are looked at for ones to remove; open messages are passed over.
const LOOKED_AT: u32 = 50_000;

/// What a reader found.
#[derive(Debug, Default)]
struct Candidates {
    events: Vec<i64>,
    messages: Vec<i64>,
    keys: Vec<([u8; 16], String, i64)>,
    numbers: numbers::Stale,
    media: Vec<i64>,
    /// Those of which something can go now.
    deleted: Vec<InstanceId>,
}

#[async_trait]
impl Maintenance for Sqlite {
    async fn expire(&self, now: Timestamp, retention: &Retention, limit: u32) -> Result<Expired> {
        let retention = *retention;
        let found = self.read(move |conn| Ok(candidates(conn, now, &retention, limit)?)).await?;
        self.write(move |tx| Ok(remove(tx, &found, limit)?)).await
    }

    async fn expire_queued(&self, now: Timestamp, limit: u32) -> Result<u64> {
        self.write(move |tx| Ok(expire_queued(tx, now, limit)?)).await
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

fn candidates(conn: &Connection, now: Timestamp, retention: &Retention, limit: u32) -> rusqlite::Result<Candidates> {
    // A replayed request must find its message: messages are kept at least as long as keys.
    let messages = retention.messages.max(retention.idempotency);
    Ok(Candidates {
        events: old_events(conn, &Age::new(now, retention.events), limit)?,
        messages: old_messages(conn, &Age::new(now, messages), limit)?,
        keys: conn
            .prepare_cached(
                "SELECT tenant_id, key, stored_at FROM idempotency INDEXED BY idempotency_by_age WHERE stored_at < ?1 LIMIT ?2",
            )?
            .query_map(params![now.before(retention.idempotency).as_millis(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?,
        numbers: numbers::stale(conn, now, limit)?,
        media: conn
            .prepare_cached(
                "SELECT rowid FROM media INDEXED BY media_gone WHERE bytes_gone = 1 AND expires_at < ?1
                 ORDER BY expires_at LIMIT ?2",
            )?
            .query_map(params![now.before(messages).as_millis(), limit], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?,
        deleted: conn
            .prepare_cached(
                "SELECT id FROM instances i INDEXED BY instances_deleted WHERE deleted_at IS NOT NULL
                     AND (EXISTS (SELECT 1 FROM messages WHERE instance_id = i.id)
                          OR EXISTS (SELECT 1 FROM session_records WHERE instance_id = i.id)
                          OR EXISTS (SELECT 1 FROM known_chats WHERE instance_id = i.id)
                          OR deleted_at < ifnull((SELECT stored_at FROM events ORDER BY position LIMIT 1), ?2)
                          OR EXISTS (SELECT 1 FROM instance_counters WHERE instance_id = i.id AND event_seq = 0))
                 LIMIT ?1",
            )?
            .query_map(params![limit, i64::MAX], |row| row.get(0).map(InstanceId::from_bytes))?
            .collect::<rusqlite::Result<_>>()?,
    })
}

/// The front of the log as far as it is expired: up to the last expired event before the first fresh one.
fn old_events(conn: &Connection, age: &Age, limit: u32) -> rusqlite::Result<Vec<i64>> {
    let mut statement = conn.prepare_cached("SELECT position, stored_at FROM events ORDER BY position LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let (mut found, mut expired) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let stored_at = crate::rows::time(row, 1)?;
        if age.is_fresh(stored_at) {
            break;
        }
        found.push(row.get(0)?);
        if age.is_expired(stored_at) {
            expired = found.len();
        }
    }
    found.truncate(expired);
    Ok(found)
}

fn old_messages(conn: &Connection, age: &Age, limit: u32) -> rusqlite::Result<Vec<i64>> {
    let mut statement =
        conn.prepare_cached("SELECT queue_order, stored_at, status FROM messages ORDER BY queue_order LIMIT ?1")?;
    let mut rows = statement.query([LOOKED_AT])?;
    let mut found = Vec::new();
    while found.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        let stored_at = crate::rows::time(row, 1)?;
        if age.is_fresh(stored_at) {
            break;
        }
        if age.is_expired(stored_at) && row.get::<_, i64>(2)? >= 2 {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

fn remove(tx: &mut Tx<'_>, found: &Candidates, limit: u32) -> rusqlite::Result<Expired> {
    let full = |count: usize| count >= limit as usize;
    let mut expired = Expired {
        more: full(found.events.len())
            || full(found.messages.len())
            || full(found.keys.len())
            || full(found.media.len())
            || full(found.deleted.len()),
        ..Expired::default()
    };
    for position in &found.events {
        expired.events += rows(tx.conn.prepare_cached("DELETE FROM events WHERE position = ?1")?.execute([position])?);
    }
    if let Some(last) = found.events.last() {
        meta::raise(tx.conn, REMOVED_TO, *last)?;
    }
    for order in &found.messages {
        let mut statement = tx.conn.prepare_cached("DELETE FROM messages WHERE queue_order = ?1 AND status >= 2")?;
        expired.messages += rows(statement.execute([order])?);
    }
    for (tenant, key, stored_at) in &found.keys {
        let mut statement =
            tx.conn.prepare_cached("DELETE FROM idempotency WHERE tenant_id = ?1 AND key = ?2 AND stored_at = ?3")?;
        expired.idempotency += rows(statement.execute(params![tenant, key, stored_at])?);
    }
    expired.more |= full(numbers::remove(tx, &found.numbers)?);
    for row in &found.media {
        let mut statement = tx.conn.prepare_cached("DELETE FROM media WHERE rowid = ?1 AND bytes_gone = 1")?;
        expired.media += rows(statement.execute([row])?);
    }
    purge(tx, &found.deleted, limit, &mut expired)?;
    Ok(expired)
}

/// Removes rows of deleted instances, at most `limit` of them together.
fn purge(tx: &mut Tx<'_>, deleted: &[InstanceId], limit: u32, expired: &mut Expired) -> rusqlite::Result<()> {
    let mut left = i64::from(limit);
    for instance in deleted {
        let id = instance.as_bytes();
        let records = tx
            .conn
            .prepare_cached(
                "DELETE FROM session_records WHERE instance_id = ?1 AND (kind, key) IN
                     (SELECT kind, key FROM session_records WHERE instance_id = ?1 LIMIT ?2)",
            )?
            .execute(params![id, left])?;
        left -= count(records);
        let messages = tx
            .conn
            .prepare_cached(
                "DELETE FROM messages WHERE queue_order IN
                     (SELECT queue_order FROM messages INDEXED BY messages_by_instance WHERE instance_id = ?1 LIMIT ?2)",
            )?
            .execute(params![id, left])?;
        expired.messages += rows(messages);
        left -= count(messages);
        let chats = tx
            .conn
            .prepare_cached(
                "DELETE FROM known_chats WHERE instance_id = ?1 AND chat IN
                     (SELECT chat FROM known_chats WHERE instance_id = ?1 LIMIT ?2)",
            )?
            .execute(params![id, left.max(0)])?;
        left -= count(chats);
        if left <= 0 {
            expired.more = true;
            return Ok(());
        }
        if !has_events(tx, id)? {
            tx.conn.prepare_cached("DELETE FROM instance_counters WHERE instance_id = ?1")?.execute(params![id])?;
            tx.conn.prepare_cached("DELETE FROM instances WHERE id = ?1")?.execute(params![id])?;
            expired.instances += 1;
            tx.forget();
        }
    }
    Ok(())
}

/// Whether the log may still hold events of a deleted instance: not if it never had one, nor if the oldest event of all was
/// stored after the deletion.
fn has_events(tx: &Tx<'_>, instance: &[u8]) -> rusqlite::Result<bool> {
    tx.conn
        .prepare_cached(
            "SELECT 1 FROM instances JOIN instance_counters ON instance_id = id WHERE id = ?1 AND event_seq > 0
                AND deleted_at >= (SELECT stored_at FROM events ORDER BY position LIMIT 1)",
        )?
        .exists(params![instance])
}

fn expire_queued(tx: &Tx<'_>, now: Timestamp, limit: u32) -> rusqlite::Result<u64> {
    let expired: Vec<(Subject, Tracked)> = tx
        .conn
        .prepare_cached(
            "SELECT tenant_id, instance_id, queue_order, id, whatsapp_id, chat FROM messages INDEXED BY messages_expiring
             WHERE status = 0 AND expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2",
        )?
        .query_map(params![now.as_millis(), limit], |row| {
            let subject =
                Subject { tenant: TenantId::from_bytes(row.get(0)?), instance: InstanceId::from_bytes(row.get(1)?) };
            let tracked = Tracked {
                order: row.get(2)?,
                id: MessageId::from_bytes(row.get(3)?),
                whatsapp_id: row.get(4)?,
                chat: row.get(5)?,
            };
            Ok((subject, tracked))
        })?
        .collect::<rusqlite::Result<_>>()?;
    for (subject, message) in &expired {
        counters::fail(tx, *subject, message, FailureReason::Expired, now)?;
    }
    Ok(rows(expired.len()))
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn rows(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
