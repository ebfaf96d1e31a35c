//! What a dispatcher did, compared with its fence in the transaction that writes.

use super::replays;
use super::rows::LIVE;
use crate::rows::{json, millis};
use rusqlite::{Connection, OptionalExtension, Result, params};
use warren_domain::webhook::DeadLetter;
use warren_domain::{ReplayId, TenantId};
use warren_ports::ledger::{FlowProgress, Progress};

/// Slots of each ring of attempts.
pub(super) const RING: i64 = 500;

/// For how many items and bytes of a batch it counts.
pub(super) fn weight(progress: &[Progress]) -> (usize, usize) {
    /// An ordinary row with its index entries.
    const ROW: usize = 256;
    let rows = |progress: &Progress| {
        let lanes: usize = progress.flows.iter().map(|flow| 1 + flow.lanes.len() + flow.caught_up.len()).sum();
        1 + progress.attempts.len() + progress.revived.len() + 4 * progress.dead.len() + lanes
    };
    let rows: usize = progress.iter().map(rows).sum();
    (rows, rows * ROW)
}

pub(super) fn all(conn: &Connection, progress: &[Progress]) -> Result<Vec<bool>> {
    progress.iter().map(|progress| one(conn, progress)).collect()
}

fn one(conn: &Connection, progress: &Progress) -> Result<bool> {
    let id = progress.claim.webhook.as_bytes();
    let standing = &progress.standing;
    let tenant: Option<TenantId> = conn
        .prepare_cached(
            "UPDATE webhooks SET failing_since = ?3, delivered_at = ?4, paused_until = ?5, missed_at = ?6,
                 disabled = coalesce(disabled, ?7)
             WHERE id = ?1 AND fence = ?2 AND claimed_by IS NOT NULL AND deleted_at IS NULL RETURNING tenant_id",
        )?
        .query_row(
            params![
                id,
                progress.claim.fence,
                millis(standing.failing_since),
                millis(standing.delivered_at),
                millis(standing.paused_until),
                millis(standing.missed_at),
                progress.disable.map(|disabled| disabled.as_str()),
            ],
            |row| row.get(0).map(TenantId::from_bytes),
        )
        .optional()?;
    let Some(tenant) = tenant else { return Ok(false) };
    for flow in &progress.flows {
        record_flow(conn, progress, tenant, flow)?;
    }
    keep(conn, progress, tenant)?;
    for letter in &progress.dead {
        bury(conn, progress, letter)?;
    }
    let mut statement = conn.prepare_cached("DELETE FROM webhook_dead_letters WHERE webhook_id = ?1 AND position = ?2")?;
    for position in &progress.revived {
        statement.execute(params![id, position])?;
    }
    Ok(true)
}

fn record_flow(conn: &Connection, progress: &Progress, tenant: TenantId, flow: &FlowProgress) -> Result<()> {
    let id = progress.claim.webhook;
    let key = match flow.replay {
        None => {
            conn.prepare_cached("UPDATE webhooks SET position = ?2 WHERE id = ?1")?
                .execute(params![id.as_bytes(), flow.position])?;
            LIVE
        }
        Some(replay) if flow.ended => {
            replays::end(conn, id, replay)?;
            return Ok(());
        }
        Some(replay) => {
            if !moved(conn, progress, replay, flow.position)? {
                return Ok(());
            }
            *replay.as_bytes()
        }
    };
    let mut statement = conn.prepare_cached(
        "INSERT INTO webhook_lanes (webhook_id, replay_id, instance_id, tenant_id, position, tries, next_at, failure)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (webhook_id, replay_id, instance_id) DO UPDATE SET position = excluded.position, tries = excluded.tries,
             next_at = excluded.next_at, failure = excluded.failure",
    )?;
    for lane in &flow.lanes {
        statement.execute(params![
            id.as_bytes(),
            key,
            lane.instance.as_bytes(),
            tenant.as_bytes(),
            lane.position,
            lane.tries,
            lane.next_at.as_millis(),
            lane.failure.map(|failure| failure.as_str()),
        ])?;
    }
    let mut statement =
        conn.prepare_cached("DELETE FROM webhook_lanes WHERE webhook_id = ?1 AND replay_id = ?2 AND instance_id = ?3")?;
    for instance in &flow.caught_up {
        statement.execute(params![id.as_bytes(), key, instance.as_bytes()])?;
    }
    Ok(())
}

/// Moves a replay. `false` if it is not under way any more.
fn moved(conn: &Connection, progress: &Progress, replay: ReplayId, position: i64) -> Result<bool> {
    let rows = conn
        .prepare_cached("UPDATE webhook_replays SET position = ?3 WHERE webhook_id = ?1 AND id = ?2")?
        .execute(params![progress.claim.webhook.as_bytes(), replay.as_bytes(), position])?;
    Ok(rows > 0)
}

/// Writes attempts into their rings.
fn keep(conn: &Connection, progress: &Progress, tenant: TenantId) -> Result<()> {
    if progress.attempts.is_empty() {
        return Ok(());
    }
    let id = progress.claim.webhook.as_bytes();
    let (mut number, mut failures): (i64, i64) = conn
        .prepare_cached("SELECT attempts, failures FROM webhooks WHERE id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement = conn.prepare_cached(
        "INSERT OR REPLACE INTO webhook_attempts (webhook_id, failed, slot, tenant_id, number, event_id, type, instance_id,
             tries, status, failure, took_ms, at, replay)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for attempt in &progress.attempts {
        let is_failed = attempt.failure.is_some();
        let before = if is_failed { failures } else { number - failures };
        number += 1;
        failures += i64::from(is_failed);
        statement.execute(params![
            id,
            is_failed,
            before % RING,
            tenant.as_bytes(),
            number,
            attempt.event.0.as_bytes(),
            attempt.kind.as_str(),
            attempt.instance.as_bytes(),
            attempt.tries,
            attempt.status,
            attempt.failure.map(|failure| failure.as_str()),
            attempt.took_ms,
            attempt.at.as_millis(),
            attempt.replay,
        ])?;
    }
    conn.prepare_cached("UPDATE webhooks SET attempts = ?2, failures = ?3 WHERE id = ?1")?
        .execute(params![id, number, failures])?;
    Ok(())
}

/// Keeps an event that was given up.
fn bury(conn: &Connection, progress: &Progress, letter: &DeadLetter) -> Result<()> {
    let event = &letter.event;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO webhook_dead_letters (webhook_id, position, tenant_id, event_id, instance_id, seq, type,
             occurred_at, data, tries, status, failure, died_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?
    .execute(params![
        progress.claim.webhook.as_bytes(),
        event.position,
        event.tenant.as_bytes(),
        event.id.0.as_bytes(),
        event.instance.as_bytes(),
        event.seq,
        event.kind.as_str(),
        event.occurred_at.as_millis(),
        json(&event.data)?,
        letter.tries,
        letter.status,
        letter.failure.as_str(),
        letter.at.as_millis(),
    ])?;
    Ok(())
}
