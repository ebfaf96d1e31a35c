//! What was tried and what was given up, and how that goes.

use super::rows::{Home, attempt, dead_letter, dead_letter_columns};
use rusqlite::{Connection, OptionalExtension, Result, params};
use warren_domain::webhook::{Attempt, DeadLetter};
use warren_domain::{EventId, Timestamp, WebhookId};
use warren_ports::ledger::AttemptFilter;

/// The newest attempts: a webhook has at most two rings of them, so all are looked at.
pub(super) fn attempts(conn: &Connection, home: Home, filter: AttemptFilter, limit: u32) -> Result<Vec<Attempt>> {
    conn.prepare_cached(
        "SELECT number, event_id, type, instance_id, tries, status, failure, took_ms, at, replay FROM webhook_attempts
         WHERE webhook_id = ?1 AND number < ?3 AND failed = coalesce(?4, failed)
             AND EXISTS (SELECT 1 FROM webhooks WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL)
         ORDER BY number DESC LIMIT ?5",
    )?
    .query_map(
        params![home.webhook.as_bytes(), home.tenant.as_bytes(), filter.before.unwrap_or(i64::MAX), filter.failed, limit],
        attempt,
    )?
    .collect()
}

pub(super) fn dead(conn: &Connection, webhook: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>> {
    conn.prepare_cached(concat!(
        "SELECT ",
        dead_letter_columns!(),
        " FROM webhook_dead_letters WHERE webhook_id = ?1 AND position > ?2 ORDER BY position LIMIT ?3"
    ))?
    .query_map(params![webhook.as_bytes(), after, limit], dead_letter)?
    .collect()
}

pub(super) fn positions(conn: &Connection, webhook: WebhookId, events: &[EventId]) -> Result<Vec<Option<i64>>> {
    let mut statement =
        conn.prepare_cached("SELECT position FROM webhook_dead_letters WHERE webhook_id = ?1 AND event_id = ?2")?;
    let mut position =
        |event: &EventId| statement.query_row(params![webhook.as_bytes(), event.0.as_bytes()], |row| row.get(0)).optional();
    events.iter().map(&mut position).collect()
}

pub(super) fn count(conn: &Connection, webhook: WebhookId) -> Result<u32> {
    conn.prepare_cached("SELECT count(*) FROM webhook_dead_letters WHERE webhook_id = ?1")?
        .query_row([webhook.as_bytes()], |row| row.get(0))
}

/// Removes what is old, and what is left of deleted webhooks. Whether there was more.
pub(super) fn tidy(conn: &Connection, dead_before: Timestamp, limit: u32) -> Result<bool> {
    let mut left = i64::from(limit);
    let old = conn
        .prepare_cached(
            "DELETE FROM webhook_dead_letters WHERE rowid IN
                 (SELECT rowid FROM webhook_dead_letters INDEXED BY webhook_dead_letters_by_age WHERE died_at < ?1 LIMIT ?2)",
        )?
        .execute(params![dead_before.as_millis(), limit])?;
    let mut is_more = old >= limit as usize;
    let deleted: Vec<[u8; 16]> = conn
        .prepare_cached("SELECT id FROM webhooks INDEXED BY webhooks_deleted WHERE deleted_at IS NOT NULL LIMIT ?1")?
        .query_map([limit], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for id in &deleted {
        left -= empty(conn, id, left)?;
        if left <= 0 {
            is_more = true;
            break;
        }
        conn.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute([id])?;
    }
    Ok(is_more || deleted.len() >= limit as usize)
}

/// Removes up to `limit` rows of each kind of a deleted webhook; how many together.
fn empty(conn: &Connection, id: &[u8; 16], limit: i64) -> Result<i64> {
    let mut removed = 0;
    for sql in [
        "DELETE FROM webhook_dead_letters WHERE webhook_id = ?1 AND position IN
             (SELECT position FROM webhook_dead_letters WHERE webhook_id = ?1 LIMIT ?2)",
        "DELETE FROM webhook_lanes WHERE webhook_id = ?1 AND (replay_id, instance_id) IN
             (SELECT replay_id, instance_id FROM webhook_lanes WHERE webhook_id = ?1 LIMIT ?2)",
        "DELETE FROM webhook_attempts WHERE webhook_id = ?1 AND (failed, slot) IN
             (SELECT failed, slot FROM webhook_attempts WHERE webhook_id = ?1 LIMIT ?2)",
        "DELETE FROM webhook_replays WHERE webhook_id = ?1 AND id IN
             (SELECT id FROM webhook_replays WHERE webhook_id = ?1 LIMIT ?2)",
    ] {
        let rows = conn.prepare_cached(sql)?.execute(params![id, limit])?;
        removed += i64::try_from(rows).unwrap_or(i64::MAX);
    }
    Ok(removed)
}
