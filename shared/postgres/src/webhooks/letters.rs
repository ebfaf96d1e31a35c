//! What was tried and what was given up, and how that goes.

use super::rows::{attempt, dead_letter, dead_letter_columns};
use crate::rows::Id;
use crate::scope::Enter;
use sqlx::{PgConnection, PgPool, Result, Row};
use std::collections::HashMap;
use uuid::Uuid;
use warren_domain::webhook::{Attempt, DeadLetter};
use warren_domain::{EventId, TenantId, Timestamp, WebhookId};
use warren_ports::ledger::AttemptFilter;

/// The newest attempts: a webhook has at most two rings of them, so all are looked at.
pub(super) async fn attempts(
    pool: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    filter: AttemptFilter,
    limit: u32,
) -> Result<Vec<Attempt>> {
    let rows = sqlx::query(
        "SELECT number, event_id, type, instance_id, tries, status, failure, took_ms, at, replay FROM webhook_attempts
         WHERE webhook_id = $1 AND number < $3 AND failed = coalesce($4, failed)
             AND EXISTS (SELECT 1 FROM webhooks WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL)
         ORDER BY number DESC LIMIT $5",
    )
    .bind(webhook.uuid())
    .bind(tenant.scope())
    .bind(filter.before.unwrap_or(i64::MAX))
    .bind(filter.failed)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(attempt).collect()
}

/// Dead letters behind a position; of whichever tenant, if none is named.
pub(super) async fn dead(
    pool: &PgPool,
    tenant: Option<TenantId>,
    webhook: WebhookId,
    after: i64,
    limit: u32,
) -> Result<Vec<DeadLetter>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        dead_letter_columns!(),
        " FROM webhook_dead_letters
          WHERE webhook_id = $1 AND position > $2 AND ($4 IS NULL OR tenant_id = $4) ORDER BY position LIMIT $3"
    ))
    .bind(webhook.uuid())
    .bind(after)
    .bind(i64::from(limit))
    .bind(tenant.as_ref().map(Enter::scope))
    .fetch_all(pool)
    .await?;
    rows.iter().map(dead_letter).collect()
}

pub(super) async fn positions(
    pool: &PgPool,
    tenant: TenantId,
    webhook: WebhookId,
    events: &[EventId],
) -> Result<Vec<Option<i64>>> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.0.uuid()).collect();
    let rows = sqlx::query(
        "SELECT event_id, position FROM webhook_dead_letters
         WHERE webhook_id = $1 AND event_id = ANY ($2) AND tenant_id = $3",
    )
    .bind(webhook.uuid())
    .bind(&ids)
    .bind(tenant.scope())
    .fetch_all(pool)
    .await?;
    let found: HashMap<Uuid, i64> = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
    Ok(ids.iter().map(|id| found.get(id).copied()).collect())
}

/// Removes what is old, and what is left of deleted webhooks. Whether there was more.
pub(super) async fn tidy(conn: &mut PgConnection, dead_before: Timestamp, limit: u32) -> Result<bool> {
    let limit = i64::from(limit);
    let old = sqlx::query(
        "WITH old AS MATERIALIZED (
             SELECT webhook_id, position FROM webhook_dead_letters WHERE died_at < $1 ORDER BY died_at LIMIT $2
             FOR UPDATE SKIP LOCKED)
         DELETE FROM webhook_dead_letters l USING old WHERE l.webhook_id = old.webhook_id AND l.position = old.position",
    )
    .bind(dead_before.as_millis())
    .bind(limit)
    .execute(&mut *conn)
    .await?;
    let deleted: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM webhooks WHERE deleted_at IS NOT NULL LIMIT $1")
        .bind(limit)
        .fetch_all(&mut *conn)
        .await?;
    let mut left = limit;
    for id in &deleted {
        left -= empty(conn, *id, left).await?;
        if left <= 0 {
            return Ok(true);
        }
        sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id).execute(&mut *conn).await?;
    }
    Ok(count(old.rows_affected()) >= limit || count(deleted.len() as u64) >= limit)
}

/// Removes up to `limit` rows of each kind of a deleted webhook; how many together.
async fn empty(conn: &mut PgConnection, webhook: Uuid, limit: i64) -> Result<i64> {
    let mut removed = 0;
    for sql in [
        "DELETE FROM webhook_dead_letters WHERE webhook_id = $1 AND position IN
             (SELECT position FROM webhook_dead_letters WHERE webhook_id = $1 LIMIT $2)",
        "DELETE FROM webhook_lanes WHERE webhook_id = $1 AND (replay_id, instance_id) IN
             (SELECT replay_id, instance_id FROM webhook_lanes WHERE webhook_id = $1 LIMIT $2)",
        "DELETE FROM webhook_attempts WHERE webhook_id = $1 AND (failed, slot) IN
             (SELECT failed, slot FROM webhook_attempts WHERE webhook_id = $1 LIMIT $2)",
        "DELETE FROM webhook_replays WHERE webhook_id = $1 AND id IN
             (SELECT id FROM webhook_replays WHERE webhook_id = $1 LIMIT $2)",
    ] {
        removed += count(sqlx::query(sql).bind(webhook).bind(limit).execute(&mut *conn).await?.rows_affected());
    }
    Ok(removed)
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
