//! Which dispatcher works on which webhook. A dispatcher lives or not as a whole: its renewal is one row, however many it has.

use super::rows::{lane, replay, webhook, webhook_columns};
use crate::failure::corrupt;
use crate::rows::{Id, id};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Result, Row};
use std::collections::HashMap;
use uuid::Uuid;
use warren_domain::webhook::Replay;
use warren_domain::{DispatcherId, ReplayId, WebhookId};
use warren_ports::ledger::{Assignment, Claim, Claimed, Claiming, Held, Lane};

/// Now by the database's clock, milliseconds: the one clock that all dispatchers share.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT"
    };
}

pub(super) async fn claim(conn: &mut PgConnection, claiming: Claiming) -> Result<Claimed> {
    let me = claiming.dispatcher;
    let (living, enabled) = renew(conn, claiming).await?;
    let share = enabled.div_ceil(living.max(1));
    let mut held = held(conn, me).await?;
    let room = share.saturating_sub(u32::try_from(held.len()).unwrap_or(u32::MAX)).min(claiming.most);
    let mut taken = Vec::new();
    if room > 0 {
        let claims = take(conn, me, room).await?;
        taken = assignments(conn, &claims).await?;
        held.extend(taken.iter().map(|taken| Held { claim: taken.claim, version: taken.version }));
    }
    Ok(Claimed { held, taken, share })
}

/// Says that this one lives, forgets those that do not, and counts who does and what there is to do.
async fn renew(conn: &mut PgConnection, claiming: Claiming) -> Result<(u32, u32)> {
    let ttl = i64::try_from(claiming.ttl.as_millis()).unwrap_or(i64::MAX);
    sqlx::query(concat!(
        "INSERT INTO webhook_dispatchers (id, alive_until) VALUES ($1, ",
        now!(),
        " + $2) ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until"
    ))
    .bind(claiming.dispatcher.uuid())
    .bind(ttl)
    .execute(&mut *conn)
    .await?;
    sqlx::query(concat!(
        "DELETE FROM webhook_dispatchers WHERE id IN (
             SELECT id FROM webhook_dispatchers WHERE alive_until <= ",
        now!(),
        " AND id <> $1 FOR UPDATE SKIP LOCKED)"
    ))
    .bind(claiming.dispatcher.uuid())
    .execute(&mut *conn)
    .await?;
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM webhook_dispatchers),
                (SELECT count(*) FROM webhooks WHERE deleted_at IS NULL AND disabled IS NULL)",
    )
    .fetch_one(conn)
    .await?;
    let number = |column: usize| row.try_get::<i64, _>(column).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok((number(0)?, number(1)?))
}

async fn held(conn: &mut PgConnection, dispatcher: DispatcherId) -> Result<Vec<Held>> {
    let rows = sqlx::query(
        "SELECT id, fence, version FROM webhooks WHERE claimed_by = $1 AND deleted_at IS NULL AND disabled IS NULL",
    )
    .bind(dispatcher.uuid())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok(Held { claim: Claim { webhook: id(row, 0)?, fence: row.try_get(1)? }, version: row.try_get(2)? }))
        .collect()
}

/// Takes enabled webhooks that no living dispatcher has; those that somebody else takes just now are passed over.
async fn take(conn: &mut PgConnection, dispatcher: DispatcherId, most: u32) -> Result<Vec<Claim>> {
    let rows = sqlx::query(
        "WITH free AS MATERIALIZED (
             SELECT id FROM webhooks WHERE deleted_at IS NULL AND disabled IS NULL
                 AND (claimed_by IS NULL OR claimed_by NOT IN (SELECT id FROM webhook_dispatchers))
             LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
         UPDATE webhooks w SET claimed_by = $1, fence = w.fence + 1 FROM free WHERE w.id = free.id RETURNING w.id, w.fence",
    )
    .bind(dispatcher.uuid())
    .bind(i64::from(most))
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(Claim { webhook: id(row, 0)?, fence: row.try_get(1)? })).collect()
}

/// The webhooks of those claims that hold, whole.
pub(super) async fn assignments(conn: &mut PgConnection, claims: &[Claim]) -> Result<Vec<Assignment>> {
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.webhook.uuid()).collect();
    let fences: Vec<i64> = claims.iter().map(|claim| claim.fence).collect();
    let rows = sqlx::query(concat!(
        "SELECT ",
        webhook_columns!(),
        ", fence, version, (SELECT count(*) FROM webhook_dead_letters l WHERE l.webhook_id = w.id)
         FROM webhooks w WHERE (id, fence) IN (SELECT * FROM unnest($1::UUID[], $2::BIGINT[]))
             AND claimed_by IS NOT NULL AND deleted_at IS NULL AND disabled IS NULL"
    ))
    .bind(&ids)
    .bind(&fences)
    .fetch_all(&mut *conn)
    .await?;
    let mut replays = replays(conn, &ids).await?;
    let mut lanes = lanes(conn, &ids).await?;
    rows.iter()
        .map(|row| {
            let webhook = webhook(row)?;
            let replays = replays.remove(&webhook.id).unwrap_or_default();
            let mut lanes = lanes.remove(&webhook.id).unwrap_or_default();
            lanes.retain(|(flow, _)| flow.is_none_or(|flow| replays.iter().any(|replay| replay.id == flow)));
            Ok(Assignment {
                claim: Claim { webhook: webhook.id, fence: row.try_get(19)? },
                version: row.try_get(20)?,
                dead_letters: u32::try_from(row.try_get::<i64, _>(21)?).map_err(|_| corrupt(21))?,
                webhook,
                replays,
                lanes,
            })
        })
        .collect()
}

async fn replays(conn: &mut PgConnection, webhooks: &[Uuid]) -> Result<HashMap<WebhookId, Vec<Replay>>> {
    let rows = sqlx::query(
        "SELECT id, source, position, created_at, webhook_id FROM webhook_replays WHERE webhook_id = ANY ($1) ORDER BY id",
    )
    .bind(webhooks)
    .fetch_all(conn)
    .await?;
    grouped(&rows, 4, replay)
}

async fn lanes(conn: &mut PgConnection, webhooks: &[Uuid]) -> Result<HashMap<WebhookId, Vec<(Option<ReplayId>, Lane)>>> {
    let rows = sqlx::query(
        "SELECT replay_id, instance_id, position, tries, next_at, failure, webhook_id FROM webhook_lanes
         WHERE webhook_id = ANY ($1)",
    )
    .bind(webhooks)
    .fetch_all(conn)
    .await?;
    grouped(&rows, 6, lane)
}

/// Rows by the webhook that they are of.
fn grouped<T>(rows: &[PgRow], column: usize, read: impl Fn(&PgRow) -> Result<T>) -> Result<HashMap<WebhookId, Vec<T>>> {
    let mut groups: HashMap<WebhookId, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(id(row, column)?).or_default().push(read(row)?);
    }
    Ok(groups)
}

pub(super) async fn give_back(pool: &PgPool, claims: &[Claim]) -> Result<()> {
    let ids: Vec<Uuid> = claims.iter().map(|claim| claim.webhook.uuid()).collect();
    let fences: Vec<i64> = claims.iter().map(|claim| claim.fence).collect();
    sqlx::query(
        "UPDATE webhooks SET claimed_by = NULL, fence = fence + 1
         WHERE (id, fence) IN (SELECT * FROM unnest($1::UUID[], $2::BIGINT[]))",
    )
    .bind(ids)
    .bind(fences)
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn leave(pool: &PgPool, dispatcher: DispatcherId) -> Result<()> {
    sqlx::query(
        "WITH gone AS (DELETE FROM webhook_dispatchers WHERE id = $1)
         UPDATE webhooks SET claimed_by = NULL, fence = fence + 1 WHERE claimed_by = $1",
    )
    .bind(dispatcher.uuid())
    .execute(pool)
    .await?;
    Ok(())
}
