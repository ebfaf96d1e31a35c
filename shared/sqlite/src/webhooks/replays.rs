//! Events that are delivered again.

use super::rows::{Home, replay};
use crate::failure::Stop;
use crate::rows::json;
use rusqlite::{Connection, Result, params};
use warren_domain::webhook::Replay;
use warren_domain::{Error, ErrorKind, ReplayId, WebhookId};

pub(super) fn start(conn: &Connection, home: Home, replay: &Replay, limit: u32) -> Result<(), Stop> {
    let under_way = of(conn, home.webhook)?;
    if under_way.iter().any(|other| other.id == replay.id) {
        return Ok(());
    }
    if under_way.len() >= limit as usize {
        let detail = format!("A webhook has at most {limit} replays under way: wait for one to end, or cancel one.");
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "replay_limit", detail)));
    }
    conn.prepare_cached(
        "INSERT INTO webhook_replays (webhook_id, id, tenant_id, source, position, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        home.webhook.as_bytes(),
        replay.id.as_bytes(),
        home.tenant.as_bytes(),
        json(&replay.what)?,
        replay.position,
        replay.created_at.as_millis(),
    ])?;
    changed(conn, home.webhook)?;
    Ok(())
}

pub(super) fn of(conn: &Connection, webhook: WebhookId) -> Result<Vec<Replay>> {
    conn.prepare_cached("SELECT id, source, position, created_at FROM webhook_replays WHERE webhook_id = ?1 ORDER BY id")?
        .query_map([webhook.as_bytes()], replay)?
        .collect()
}

pub(super) fn cancel(conn: &Connection, webhook: WebhookId, id: ReplayId) -> Result<bool> {
    let is_gone = end(conn, webhook, id)?;
    if is_gone {
        changed(conn, webhook)?;
    }
    Ok(is_gone)
}

/// Removes a replay with its lanes.
pub(super) fn end(conn: &Connection, webhook: WebhookId, id: ReplayId) -> Result<bool> {
    let flow = params![webhook.as_bytes(), id.as_bytes()];
    conn.prepare_cached("DELETE FROM webhook_lanes WHERE webhook_id = ?1 AND replay_id = ?2")?.execute(flow)?;
    let rows = conn.prepare_cached("DELETE FROM webhook_replays WHERE webhook_id = ?1 AND id = ?2")?.execute(flow)?;
    Ok(rows > 0)
}

/// Has the dispatcher read the webhook again.
fn changed(conn: &Connection, webhook: WebhookId) -> Result<()> {
    conn.prepare_cached("UPDATE webhooks SET version = version + 1 WHERE id = ?1")?.execute([webhook.as_bytes()])?;
    Ok(())
}
