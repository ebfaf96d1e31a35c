//! Events that are delivered again. Whoever starts or ends a replay has locked its webhook's row.

use super::rows::replay;
use crate::failure::Stop;
use crate::rows::{Id, json};
use crate::scope::Enter;
use sqlx::{PgConnection, PgExecutor, Result};
use warren_domain::webhook::Replay;
use warren_domain::{Error, ErrorKind, ReplayId, TenantId, WebhookId};

pub(super) async fn start(
    conn: &mut PgConnection,
    tenant: TenantId,
    webhook: WebhookId,
    replay: &Replay,
    limit: u32,
) -> Result<(), Stop> {
    let under_way = of(&mut *conn, tenant, webhook).await?;
    if under_way.iter().any(|other| other.id == replay.id) {
        return Ok(());
    }
    if under_way.len() >= limit as usize {
        let detail = format!("A webhook has at most {limit} replays under way: wait for one to end, or cancel one.");
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "replay_limit", detail)));
    }
    sqlx::query(
        "INSERT INTO webhook_replays (webhook_id, id, tenant_id, source, position, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(webhook.uuid())
    .bind(replay.id.uuid())
    .bind(tenant.scope())
    .bind(json(&replay.what)?)
    .bind(replay.position)
    .bind(replay.created_at.as_millis())
    .execute(&mut *conn)
    .await?;
    changed(conn, webhook).await?;
    Ok(())
}

pub(super) async fn of(conn: impl PgExecutor<'_>, tenant: TenantId, webhook: WebhookId) -> Result<Vec<Replay>> {
    let rows = sqlx::query(
        "SELECT id, source, position, created_at FROM webhook_replays WHERE webhook_id = $1 AND tenant_id = $2 ORDER BY id",
    )
    .bind(webhook.uuid())
    .bind(tenant.scope())
    .fetch_all(conn)
    .await?;
    rows.iter().map(replay).collect()
}

pub(super) async fn cancel(conn: &mut PgConnection, webhook: WebhookId, id: ReplayId) -> Result<bool> {
    let done = sqlx::query(
        "WITH lanes AS (DELETE FROM webhook_lanes WHERE webhook_id = $1 AND replay_id = $2)
         DELETE FROM webhook_replays WHERE webhook_id = $1 AND id = $2",
    )
    .bind(webhook.uuid())
    .bind(id.uuid())
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() > 0 {
        changed(conn, webhook).await?;
    }
    Ok(done.rows_affected() > 0)
}

/// Has the dispatcher read the webhook again.
async fn changed(conn: &mut PgConnection, webhook: WebhookId) -> Result<()> {
    sqlx::query("UPDATE webhooks SET version = version + 1 WHERE id = $1").bind(webhook.uuid()).execute(conn).await?;
    Ok(())
}
