//! Webhooks as tenants make, change and list them.

use super::rows::{Home, LIVE, webhook, webhook_columns};
use crate::failure::Stop;
use crate::rows::{json, millis};
use crate::transaction::Tx;
use crate::{instances, tenants};
use rusqlite::{Connection, OptionalExtension, Result, params};
use warren_domain::webhook::{Secret, Webhook};
use warren_domain::{Error, ErrorKind, InstanceId, TenantId, Timestamp, WebhookId};
use warren_ports::ledger::WebhookPatch;

const NO_ID: [u8; 16] = [0; 16];

/// What a deleted webhook keeps: nothing that is secret, and nobody's claim.
macro_rules! tombstone {
    () => {
        "deleted_at = ?1, url = '', headers = '[]', description = NULL, secret = '', former_secret = NULL, former_until = NULL,
         claimed_by = NULL, fence = fence + 1"
    };
}

pub(super) fn create(conn: &Connection, webhook: &Webhook, limit: u32) -> Result<(), Stop> {
    if !tenants::exists(conn, webhook.tenant)? {
        return Err(Stop::Verdict(Error::not_found()));
    }
    let holder: Option<TenantId> = conn
        .prepare_cached("SELECT tenant_id FROM webhooks WHERE id = ?1")?
        .query_row([webhook.id.as_bytes()], |row| row.get(0).map(TenantId::from_bytes))
        .optional()?;
    match holder {
        // The first try's reply was lost.
        Some(tenant) if tenant == webhook.tenant => return Ok(()),
        Some(_) => return Err(Stop::Verdict(Error::not_found())),
        None => {}
    }
    let count: u32 = conn
        .prepare_cached(
            "SELECT count(*) FROM webhooks WHERE tenant_id = ?1 AND deleted_at IS NULL AND seed_instance_id IS NULL",
        )?
        .query_row([webhook.tenant.as_bytes()], |row| row.get(0))?;
    if count >= limit {
        let detail = format!("A tenant has at most {limit} webhooks: delete one first.");
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "webhook_limit", detail)));
    }
    insert(conn, webhook)?;
    Ok(())
}

fn insert(conn: &Connection, webhook: &Webhook) -> Result<()> {
    let standing = &webhook.standing;
    conn.prepare_cached(concat!(
        "INSERT INTO webhooks (",
        webhook_columns!(),
        ", version, attempts, failures, fence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, 1, 0, 0, 0)"
    ))?
    .execute(params![
        webhook.id.as_bytes(),
        webhook.tenant.as_bytes(),
        webhook.url,
        webhook.description,
        json(&webhook.events)?,
        json(&webhook.instances)?,
        json(&webhook.headers)?,
        webhook.secrets.current.reveal(),
        webhook.secrets.former.as_ref().map(|former| former.secret.reveal()),
        webhook.secrets.former.as_ref().map(|former| former.until.as_millis()),
        webhook.disabled.map(|disabled| disabled.as_str()),
        webhook.created_at.as_millis(),
        webhook.updated_at.as_millis(),
        webhook.position,
        millis(standing.failing_since),
        millis(standing.delivered_at),
        millis(standing.paused_until),
        millis(standing.missed_at),
        webhook.format.instance().as_ref().map(InstanceId::as_bytes),
    ])?;
    Ok(())
}

pub(super) fn find(conn: &Connection, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
    conn.prepare_cached(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhooks WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL"
    ))?
    .query_row(params![id.as_bytes(), tenant.as_bytes()], webhook)
    .optional()
}

/// The webhook, if the tenant has it.
pub(super) fn home(conn: &Connection, tenant: TenantId, id: WebhookId) -> Result<Option<Home>> {
    let exists = conn
        .prepare_cached("SELECT 1 FROM webhooks WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL")?
        .exists(params![id.as_bytes(), tenant.as_bytes()])?;
    Ok(exists.then_some(Home { tenant, webhook: id }))
}

pub(super) fn list(conn: &Connection, tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>> {
    let after = after.map_or(NO_ID, |id| *id.as_bytes());
    conn.prepare_cached(concat!(
        "SELECT ",
        webhook_columns!(),
        " FROM webhooks WHERE tenant_id = ?1 AND deleted_at IS NULL AND id > ?2 ORDER BY id LIMIT ?3"
    ))?
    .query_map(params![tenant.as_bytes(), after, limit], webhook)?
    .collect()
}

pub(super) fn update(
    conn: &Connection,
    tenant: TenantId,
    id: WebhookId,
    patch: &WebhookPatch,
    at: Timestamp,
) -> Result<Option<Webhook>> {
    let rows = conn
        .prepare_cached(
            "UPDATE webhooks SET url = coalesce(?3, url), description = iif(?4, ?5, description),
                 events = coalesce(?6, events), instances = coalesce(?7, instances), headers = coalesce(?8, headers),
                 disabled = iif(?9, ?10, disabled), failing_since = iif(?9 AND ?10 IS NULL, NULL, failing_since),
                 paused_until = iif(?3 IS NOT NULL OR (?9 AND ?10 IS NULL), NULL, paused_until),
                 secret = coalesce(?12, secret), former_secret = iif(?12 IS NULL, former_secret, NULL),
                 former_until = iif(?12 IS NULL, former_until, NULL), updated_at = ?11, version = version + 1
             WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
        )?
        .execute(params![
            id.as_bytes(),
            tenant.as_bytes(),
            patch.url,
            patch.description.is_some(),
            patch.description.as_ref().and_then(Option::as_ref),
            patch.events.as_ref().map(json).transpose()?,
            patch.instances.as_ref().map(json).transpose()?,
            patch.headers.as_ref().map(json).transpose()?,
            patch.disabled.is_some(),
            patch.disabled.flatten().map(|disabled| disabled.as_str()),
            at.as_millis(),
            patch.secret.as_ref().map(Secret::reveal),
        ])?;
    if rows == 0 {
        return Ok(None);
    }
    if patch.url.is_some() {
        // What is waited for was the old address's fault.
        conn.prepare_cached("UPDATE webhook_lanes SET next_at = min(next_at, ?2) WHERE webhook_id = ?1")?
            .execute(params![id.as_bytes(), at.as_millis()])?;
    }
    if let Some(position) = patch.position {
        go_on_after(conn, id, position)?;
    }
    find(conn, tenant, id)
}

/// Moves the live flow. Whoever works on the webhook loses it: it would write the old place.
fn go_on_after(conn: &Connection, id: WebhookId, position: i64) -> Result<()> {
    conn.prepare_cached("UPDATE webhooks SET position = ?2, fence = fence + 1, claimed_by = NULL WHERE id = ?1")?
        .execute(params![id.as_bytes(), position])?;
    conn.prepare_cached("DELETE FROM webhook_lanes WHERE webhook_id = ?1 AND replay_id = ?2")?
        .execute(params![id.as_bytes(), LIVE])?;
    Ok(())
}

pub(super) fn rotate(
    conn: &Connection,
    tenant: TenantId,
    id: WebhookId,
    secret: &Secret,
    former_until: Timestamp,
    at: Timestamp,
) -> Result<Option<Webhook>> {
    conn.prepare_cached(
        "UPDATE webhooks SET former_secret = secret, former_until = ?4, secret = ?3, updated_at = ?5, version = version + 1
         WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL AND secret <> ?3",
    )?
    .execute(params![id.as_bytes(), tenant.as_bytes(), secret.reveal(), former_until.as_millis(), at.as_millis()])?;
    find(conn, tenant, id)
}

pub(super) fn delete(tx: &Tx<'_>, tenant: TenantId, id: WebhookId) -> Result<bool> {
    let rows = tx
        .conn
        .prepare_cached(concat!(
            "UPDATE webhooks SET ",
            tombstone!(),
            " WHERE id = ?2 AND tenant_id = ?3 AND deleted_at IS NULL"
        ))?
        .execute(params![tx.now.as_millis(), id.as_bytes(), tenant.as_bytes()])?;
    Ok(rows > 0)
}

/// The setting of the seed that an instance has.
fn of_seed(conn: &Connection, tenant: TenantId, instance: InstanceId) -> Result<Option<WebhookId>> {
    conn.prepare_cached("SELECT id FROM webhooks WHERE seed_instance_id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL")?
        .query_row(params![instance.as_bytes(), tenant.as_bytes()], |row| row.get(0).map(WebhookId::from_bytes))
        .optional()
}

pub(super) fn set_of_seed(conn: &Connection, webhook: &Webhook, keep_secret: bool) -> Result<Webhook, Stop> {
    let none = || Stop::Verdict(Error::not_found());
    let (tenant, instance) = (webhook.tenant, webhook.format.instance().ok_or_else(none)?);
    if !instances::exists(conn, tenant, instance)? {
        return Err(none());
    }
    let id = match of_seed(conn, tenant, instance)? {
        Some(id) => {
            let patch = WebhookPatch {
                url: Some(webhook.url.clone()),
                secret: (!keep_secret).then(|| webhook.secrets.current.clone()),
                disabled: Some(None),
                ..WebhookPatch::default()
            };
            update(conn, tenant, id, &patch, webhook.updated_at)?;
            id
        }
        None => {
            insert(conn, webhook)?;
            webhook.id
        }
    };
    find(conn, tenant, id)?.ok_or_else(none)
}

/// Deletes the setting of the seed of an instance.
pub(crate) fn delete_of_seed(tx: &Tx<'_>, tenant: TenantId, instance: InstanceId) -> Result<bool> {
    match of_seed(tx.conn, tenant, instance)? {
        Some(id) => delete(tx, tenant, id),
        None => Ok(false),
    }
}

/// Deletes the webhooks of a tenant that goes.
pub(crate) fn delete_of_tenant(tx: &Tx<'_>, tenant: TenantId) -> Result<()> {
    tx.conn
        .prepare_cached(concat!("UPDATE webhooks SET ", tombstone!(), " WHERE tenant_id = ?2 AND deleted_at IS NULL"))?
        .execute(params![tx.now.as_millis(), tenant.as_bytes()])?;
    Ok(())
}
