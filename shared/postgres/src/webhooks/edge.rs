//! Webhooks as tenants make, change and list them.

use super::rows::{LIVE, webhook, webhook_columns};
use crate::edge::Tx;
use crate::failure::Stop;
use crate::rows::{Id, id, json, millis};
use crate::scope::Enter;
use crate::tenants;
use sqlx::{PgConnection, PgExecutor, PgPool, Result, Row};
use uuid::Uuid;
use warren_domain::webhook::{Secret, Webhook};
use warren_domain::{Error, ErrorKind, InstanceId, TenantId, Timestamp, WebhookId};
use warren_ports::ledger::WebhookPatch;

/// What a deleted webhook keeps: nothing that is secret, and nobody's claim.
macro_rules! tombstone {
    () => {
        "deleted_at = $1, url = '', headers = '[]', description = NULL, secret = '', former_secret = NULL,
         former_until = NULL, claimed_by = NULL, fence = fence + 1"
    };
}

pub(super) async fn create(tx: &mut Tx, webhook: &Webhook, limit: u32) -> Result<(), Stop> {
    // Of a tenant's parallel calls each sees what the one before made.
    if !tenants::lock(tx, webhook.tenant).await? {
        return Err(Stop::Verdict(Error::not_found()));
    }
    let row = sqlx::query(
        "SELECT (SELECT tenant_id FROM webhooks WHERE id = $1),
                (SELECT count(*) FROM webhooks WHERE tenant_id = $2 AND deleted_at IS NULL AND seed_instance_id IS NULL)",
    )
    .bind(webhook.id.uuid())
    .bind(webhook.tenant.scope())
    .fetch_one(&mut **tx)
    .await?;
    match row.try_get::<Option<Uuid>, _>(0)? {
        // The first try's reply was lost.
        Some(tenant) if tenant == webhook.tenant.uuid() => return Ok(()),
        Some(_) => return Err(Stop::Verdict(Error::not_found())),
        None => {}
    }
    if row.try_get::<i64, _>(1)? >= i64::from(limit) {
        let detail = format!("A tenant has at most {limit} webhooks: delete one first.");
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "webhook_limit", detail)));
    }
    // Somebody else's with the same id, who is not shown here.
    if insert(tx, webhook).await? { Ok(()) } else { Err(Stop::Verdict(Error::not_found())) }
}

/// Stores a webhook; `false` if the id is taken.
async fn insert(conn: &mut PgConnection, webhook: &Webhook) -> Result<bool> {
    let (former, standing) = (webhook.secrets.former.as_ref(), &webhook.standing);
    let done = sqlx::query(concat!(
        "INSERT INTO webhooks (",
        webhook_columns!(),
        ", version, attempts, failures, fence)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, 1, 0, 0, 0) ON CONFLICT (id) DO NOTHING"
    ))
    .bind(webhook.id.uuid())
    .bind(webhook.tenant.scope())
    .bind(&webhook.url)
    .bind(&webhook.description)
    .bind(json(&webhook.events)?)
    .bind(json(&webhook.instances)?)
    .bind(json(&webhook.headers)?)
    .bind(webhook.secrets.current.reveal())
    .bind(former.map(|former| former.secret.reveal()))
    .bind(former.map(|former| former.until.as_millis()))
    .bind(webhook.disabled.map(|disabled| disabled.as_str()))
    .bind(webhook.created_at.as_millis())
    .bind(webhook.updated_at.as_millis())
    .bind(webhook.position)
    .bind(millis(standing.failing_since))
    .bind(millis(standing.delivered_at))
    .bind(millis(standing.paused_until))
    .bind(millis(standing.missed_at))
    .bind(webhook.format.instance().map(|instance| instance.uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn find(conn: impl PgExecutor<'_>, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
    let row = sqlx::query(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhooks WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL"
    ))
    .bind(id.uuid())
    .bind(tenant.scope())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(webhook).transpose()
}

/// Whether the tenant has it.
pub(super) async fn exists(pool: &PgPool, tenant: TenantId, id: WebhookId) -> Result<bool> {
    let found = sqlx::query("SELECT 1 FROM webhooks WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL")
        .bind(id.uuid())
        .bind(tenant.scope())
        .fetch_optional(pool)
        .await?;
    Ok(found.is_some())
}

/// Locks a webhook's row until the transaction ends; whether the tenant has it.
pub(super) async fn lock(conn: &mut PgConnection, tenant: TenantId, id: WebhookId) -> Result<bool> {
    let found =
        sqlx::query("SELECT 1 FROM webhooks WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE")
            .bind(id.uuid())
            .bind(tenant.scope())
            .fetch_optional(conn)
            .await?;
    Ok(found.is_some())
}

pub(super) async fn list(pool: &PgPool, tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhooks WHERE tenant_id = $1 AND deleted_at IS NULL AND id > $2 ORDER BY id LIMIT $3"
    ))
    .bind(tenant.scope())
    .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(webhook).collect()
}

pub(super) async fn update(
    conn: &mut PgConnection,
    tenant: TenantId,
    id: WebhookId,
    patch: &WebhookPatch,
    at: Timestamp,
) -> Result<Option<Webhook>> {
    let done = sqlx::query(
        "UPDATE webhooks SET url = coalesce($3, url), description = CASE WHEN $4 THEN $5 ELSE description END,
             events = coalesce($6, events), instances = coalesce($7, instances), headers = coalesce($8, headers),
             disabled = CASE WHEN $9 THEN $10 ELSE disabled END,
             failing_since = CASE WHEN $9 AND $10 IS NULL THEN NULL ELSE failing_since END,
             paused_until = CASE WHEN $3 IS NOT NULL OR ($9 AND $10 IS NULL) THEN NULL ELSE paused_until END,
             secret = coalesce($12, secret), former_secret = CASE WHEN $12 IS NULL THEN former_secret END,
             former_until = CASE WHEN $12 IS NULL THEN former_until END, updated_at = $11, version = version + 1
         WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL",
    )
    .bind(id.uuid())
    .bind(tenant.scope())
    .bind(&patch.url)
    .bind(patch.description.is_some())
    .bind(patch.description.as_ref().and_then(Option::as_ref))
    .bind(patch.events.as_ref().map(json).transpose()?)
    .bind(patch.instances.as_ref().map(json).transpose()?)
    .bind(patch.headers.as_ref().map(json).transpose()?)
    .bind(patch.disabled.is_some())
    .bind(patch.disabled.flatten().map(|disabled| disabled.as_str()))
    .bind(at.as_millis())
    .bind(patch.secret.as_ref().map(Secret::reveal))
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    if patch.url.is_some() {
        // What is waited for was the old address's fault.
        sqlx::query("UPDATE webhook_lanes SET next_at = least(next_at, $2) WHERE webhook_id = $1")
            .bind(id.uuid())
            .bind(at.as_millis())
            .execute(&mut *conn)
            .await?;
    }
    if let Some(position) = patch.position {
        go_on_after(conn, id, position).await?;
    }
    find(conn, tenant, id).await
}

/// Moves the live flow. Whoever works on the webhook loses it: it would write the old place.
async fn go_on_after(conn: &mut PgConnection, id: WebhookId, position: i64) -> Result<()> {
    sqlx::query(
        "WITH waiting AS (DELETE FROM webhook_lanes WHERE webhook_id = $1 AND replay_id = $3)
         UPDATE webhooks SET position = $2, fence = fence + 1, claimed_by = NULL WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(position)
    .bind(LIVE)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn rotate(
    pool: &PgPool,
    tenant: TenantId,
    id: WebhookId,
    secret: &Secret,
    former_until: Timestamp,
    at: Timestamp,
) -> Result<()> {
    sqlx::query(
        "UPDATE webhooks SET former_secret = secret, former_until = $4, secret = $3, updated_at = $5, version = version + 1
         WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL AND secret <> $3",
    )
    .bind(id.uuid())
    .bind(tenant.scope())
    .bind(secret.reveal())
    .bind(former_until.as_millis())
    .bind(at.as_millis())
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn delete(pool: &PgPool, tenant: TenantId, id: WebhookId, now: Timestamp) -> Result<bool> {
    let done = sqlx::query(concat!(
        "UPDATE webhooks SET ",
        tombstone!(),
        " WHERE id = $2 AND tenant_id = $3 AND deleted_at IS NULL"
    ))
    .bind(now.as_millis())
    .bind(id.uuid())
    .bind(tenant.scope())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(super) async fn set_of_seed(tx: &mut Tx, webhook: &Webhook, keep_secret: bool) -> Result<Webhook, Stop> {
    let none = || Stop::Verdict(Error::not_found());
    let (tenant, instance) = (webhook.tenant, webhook.format.instance().ok_or_else(none)?);
    // Whoever deletes the instance waits, and finds what was made here.
    let is_there =
        sqlx::query("SELECT 1 FROM instances WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL FOR NO KEY UPDATE")
            .bind(instance.uuid())
            .bind(tenant.scope())
            .fetch_optional(&mut **tx)
            .await?;
    is_there.ok_or_else(none)?;
    let id = match of_seed(tx, tenant, instance).await? {
        Some(id) => {
            let patch = WebhookPatch {
                url: Some(webhook.url.clone()),
                secret: (!keep_secret).then(|| webhook.secrets.current.clone()),
                disabled: Some(None),
                ..WebhookPatch::default()
            };
            update(tx, tenant, id, &patch, webhook.updated_at).await?;
            id
        }
        None => {
            insert(tx, webhook).await?;
            webhook.id
        }
    };
    find(&mut **tx, tenant, id).await?.ok_or_else(none)
}

/// The setting of the seed that an instance has.
async fn of_seed(conn: &mut PgConnection, tenant: TenantId, instance: InstanceId) -> Result<Option<WebhookId>> {
    let row = sqlx::query("SELECT id FROM webhooks WHERE seed_instance_id = $1 AND tenant_id = $2 AND deleted_at IS NULL")
        .bind(instance.uuid())
        .bind(tenant.scope())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| id(row, 0)).transpose()
}

/// Deletes the setting of the seed of an instance.
pub(crate) async fn delete_of_seed(
    conn: impl PgExecutor<'_>,
    tenant: TenantId,
    instance: InstanceId,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query(concat!(
        "UPDATE webhooks SET ",
        tombstone!(),
        " WHERE seed_instance_id = $2 AND tenant_id = $3 AND deleted_at IS NULL"
    ))
    .bind(now.as_millis())
    .bind(instance.uuid())
    .bind(tenant.scope())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes the webhooks of a tenant that goes.
pub(crate) async fn delete_of_tenant(conn: &mut PgConnection, tenant: TenantId, now: Timestamp) -> Result<()> {
    sqlx::query(concat!("UPDATE webhooks SET ", tombstone!(), " WHERE tenant_id = $2 AND deleted_at IS NULL"))
        .bind(now.as_millis())
        .bind(tenant.scope())
        .execute(conn)
        .await?;
    Ok(())
}
