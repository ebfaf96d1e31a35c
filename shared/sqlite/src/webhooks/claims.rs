//! Which dispatcher works on which webhook. A dispatcher lives or not as a whole: its renewal is one row, however many it has.

use super::rows::{lane, webhook, webhook_columns};
use super::{letters, replays};
use crate::transaction::Tx;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use std::collections::HashSet;
use warren_domain::{DispatcherId, WebhookId};
use warren_ports::ledger::{Assignment, Claim, Claimed, Claiming, Held};

pub(super) fn claim(tx: &Tx<'_>, claiming: Claiming) -> Result<Claimed> {
    let me = claiming.dispatcher;
    let living = renew(tx, claiming)?;
    let enabled: u32 = tx
        .conn
        .prepare_cached(
            "SELECT count(*) FROM webhooks INDEXED BY webhooks_enabled WHERE deleted_at IS NULL AND disabled IS NULL",
        )?
        .query_row([], |row| row.get(0))?;
    let share = enabled.div_ceil(living.max(1));
    let mut held = held(tx.conn, me)?;
    let room = share.saturating_sub(u32::try_from(held.len()).unwrap_or(u32::MAX)).min(claiming.most);
    let mut taken = Vec::new();
    for webhook in free(tx.conn, room)? {
        let claim = take(tx.conn, me, webhook)?;
        if let Some(assignment) = assignment(tx.conn, claim)? {
            held.push(Held { claim, version: assignment.version });
            taken.push(assignment);
        }
    }
    Ok(Claimed { held, taken, share })
}

/// Says that this one lives, forgets those that do not, and counts who does.
fn renew(tx: &Tx<'_>, claiming: Claiming) -> Result<u32> {
    tx.conn
        .prepare_cached(
            "INSERT INTO webhook_dispatchers (id, alive_until) VALUES (?1, ?2)
             ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until",
        )?
        .execute(params![claiming.dispatcher.as_bytes(), tx.now.after(claiming.ttl).as_millis()])?;
    tx.conn
        .prepare_cached("DELETE FROM webhook_dispatchers WHERE alive_until <= ?1 AND id <> ?2")?
        .execute(params![tx.now.as_millis(), claiming.dispatcher.as_bytes()])?;
    tx.conn.prepare_cached("SELECT count(*) FROM webhook_dispatchers")?.query_row([], |row| row.get(0))
}

fn held(conn: &Connection, dispatcher: DispatcherId) -> Result<Vec<Held>> {
    conn.prepare_cached(
        "SELECT id, fence, version FROM webhooks INDEXED BY webhooks_enabled
         WHERE claimed_by = ?1 AND deleted_at IS NULL AND disabled IS NULL",
    )?
    .query_map([dispatcher.as_bytes()], |row: &Row<'_>| {
        let claim = Claim { webhook: WebhookId::from_bytes(row.get(0)?), fence: row.get(1)? };
        Ok(Held { claim, version: row.get(2)? })
    })?
    .collect()
}

/// Enabled webhooks that no living dispatcher has.
fn free(conn: &Connection, most: u32) -> Result<Vec<WebhookId>> {
    if most == 0 {
        return Ok(Vec::new());
    }
    conn.prepare_cached(
        "SELECT id FROM webhooks INDEXED BY webhooks_enabled WHERE deleted_at IS NULL AND disabled IS NULL
             AND (claimed_by IS NULL OR claimed_by NOT IN (SELECT id FROM webhook_dispatchers))
         LIMIT ?1",
    )?
    .query_map([most], |row| row.get(0).map(WebhookId::from_bytes))?
    .collect()
}

fn take(conn: &Connection, dispatcher: DispatcherId, webhook: WebhookId) -> Result<Claim> {
    let fence = conn
        .prepare_cached("UPDATE webhooks SET claimed_by = ?2, fence = fence + 1 WHERE id = ?1 RETURNING fence")?
        .query_row(params![webhook.as_bytes(), dispatcher.as_bytes()], |row| row.get(0))?;
    Ok(Claim { webhook, fence })
}

pub(super) fn assignment(conn: &Connection, claim: Claim) -> Result<Option<Assignment>> {
    let id = claim.webhook.as_bytes();
    let found = conn
        .prepare_cached(concat!(
            "SELECT ",
            webhook_columns!(),
            ", version FROM webhooks WHERE id = ?1 AND fence = ?2 AND claimed_by IS NOT NULL AND deleted_at IS NULL
                 AND disabled IS NULL"
        ))?
        .query_row(params![id, claim.fence], |row| Ok((webhook(row)?, row.get(19)?)))
        .optional()?;
    let Some((webhook, version)) = found else { return Ok(None) };
    let replays = replays::of(conn, claim.webhook)?;
    let known: HashSet<_> = replays.iter().map(|replay| replay.id).collect();
    let mut lanes: Vec<_> = conn
        .prepare_cached(
            "SELECT replay_id, instance_id, position, tries, next_at, failure FROM webhook_lanes WHERE webhook_id = ?1",
        )?
        .query_map([id], lane)?
        .collect::<Result<_>>()?;
    lanes.retain(|(replay, _)| replay.is_none_or(|replay| known.contains(&replay)));
    let dead_letters = letters::count(conn, claim.webhook)?;
    Ok(Some(Assignment { claim, version, webhook, replays, lanes, dead_letters }))
}

pub(super) fn give_back(conn: &Connection, claims: &[Claim]) -> Result<()> {
    let mut statement =
        conn.prepare_cached("UPDATE webhooks SET claimed_by = NULL, fence = fence + 1 WHERE id = ?1 AND fence = ?2")?;
    for claim in claims {
        statement.execute(params![claim.webhook.as_bytes(), claim.fence])?;
    }
    Ok(())
}

pub(super) fn leave(conn: &Connection, dispatcher: DispatcherId) -> Result<()> {
    conn.prepare_cached("UPDATE webhooks SET claimed_by = NULL, fence = fence + 1 WHERE claimed_by = ?1")?
        .execute([dispatcher.as_bytes()])?;
    conn.prepare_cached("DELETE FROM webhook_dispatchers WHERE id = ?1")?.execute([dispatcher.as_bytes()])?;
    Ok(())
}
