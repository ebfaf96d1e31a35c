//! Instances: who they are and what they do last. The shard is stored beside the id, so that an owner finds its own by
//! index; a deleted one stays as a tombstone until its last row is purged.

use crate::Sqlite;
use crate::commit::shard_set;
use crate::counters::{Subject, fail_open};
use crate::failure::Stop;
use crate::media;
use crate::rows::{self, health_number, instance_columns, maybe_json, millis, object};
use crate::transaction::Tx;
use crate::{tenants, webhooks};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use warren_domain::proxy::Proxy;
use warren_domain::{Error, ErrorKind, FailureReason, Instance, InstanceId, Result, Shard, TenantId};
use warren_ports::ledger::{InstanceFilter, InstancePatch, Instances};

const NO_ID: [u8; 16] = [0; 16];

#[async_trait]
impl Instances for Sqlite {
    async fn create_instance(&self, instance: &Instance, limit: u32) -> Result<()> {
        let instance = instance.clone();
        self.write(move |tx| create(tx, &instance, limit)).await
    }

    async fn instance(&self, tenant: TenantId, id: InstanceId) -> Result<Option<Instance>> {
        self.read(move |conn| Ok(find(conn, tenant, id)?)).await
    }

    async fn instances(
        &self,
        tenant: TenantId,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Instance>> {
        let filter = filter.clone();
        self.read(move |conn| Ok(list(conn, tenant, &filter, after, limit)?)).await
    }

    async fn instance_by_phone(&self, tenant: TenantId, phone: &str) -> Result<Option<Instance>> {
        let phone = phone.to_owned();
        self.read(move |conn| {
            // One that was logged out is named only if no other has the number.
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                instance_columns!(),
                " FROM instances INDEXED BY instances_by_phone
                  WHERE tenant_id = ?1 AND phone = ?2 AND phone IS NOT NULL AND deleted_at IS NULL
                  ORDER BY state = 'logged_out', last_online_at DESC, id DESC LIMIT 1"
            ))?;
            Ok(statement.query_row(params![tenant.as_bytes(), phone], rows::instance).optional()?)
        })
        .await
    }

    async fn update_instance(&self, tenant: TenantId, id: InstanceId, patch: InstancePatch) -> Result<Option<Instance>> {
        self.write(move |tx| {
            if let Some(name) = &patch.name {
                tx.conn
                    .prepare_cached(
                        "UPDATE instances SET name = ?3 WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
                    )?
                    .execute(params![id.as_bytes(), tenant.as_bytes(), name])?;
            }
            if let Some(device_name) = &patch.device_name {
                tx.conn
                    .prepare_cached(
                        "UPDATE instances SET device_name = ?3 WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
                    )?
                    .execute(params![id.as_bytes(), tenant.as_bytes(), device_name])?;
            }
            if let Some(proxy) = &patch.proxy {
                tx.conn
                    .prepare_cached(
                        "UPDATE instances SET proxy = ?3 WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
                    )?
                    .execute(params![id.as_bytes(), tenant.as_bytes(), proxy.as_ref().map(Proxy::to_url)])?;
            }
            if let Some(metadata) = &patch.metadata {
                tx.conn
                    .prepare_cached(
                        "UPDATE instances SET metadata = ?3 WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
                    )?
                    .execute(params![id.as_bytes(), tenant.as_bytes(), object(metadata)?])?;
            }
            Ok(find(tx.conn, tenant, id)?)
        })
        .await
    }

    async fn delete_instance(&self, tenant: TenantId, id: InstanceId) -> Result<bool> {
        self.write(move |tx| {
            let rows = tx
                .conn
                .prepare_cached(
                    "UPDATE instances SET deleted_at = ?3 WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
                )?
                .execute(params![id.as_bytes(), tenant.as_bytes(), tx.now.as_millis()])?;
            if rows == 0 {
                return Ok(false);
            }
            fail_open(tx, Subject { tenant, instance: id }, FailureReason::LoggedOut, tx.now)?;
            media::delete_of_instance(tx, tenant, id)?;
            webhooks::delete_of_seed(tx, tenant, id)?;
            tx.forget();
            Ok(true)
        })
        .await
    }

    async fn instances_of(&self, shards: &[Shard]) -> Result<Vec<Instance>> {
        let shards = shard_set(shards);
        self.read(move |conn| {
            let mut found: Vec<(i64, Instance)> = Vec::new();
            for shard in &shards {
                let mut statement = conn.prepare_cached(concat!(
                    "SELECT ",
                    instance_columns!(),
                    ", (SELECT last_active_at FROM instance_counters WHERE instance_id = instances.id)
                      FROM instances INDEXED BY instances_by_shard WHERE shard = ?1 AND deleted_at IS NULL"
                ))?;
                let rows = statement.query_map(params![shard.0], |row| Ok((row.get(19)?, rows::instance(row)?)))?;
                for row in rows {
                    found.push(row?);
                }
            }
            found.sort_by(|(left_at, left), (right_at, right)| right_at.cmp(left_at).then(left.id.cmp(&right.id)));
            Ok(found.into_iter().map(|(_, instance)| instance).collect())
        })
        .await
    }

    async fn owned_instance(&self, id: InstanceId) -> Result<Option<Instance>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                instance_columns!(),
                " FROM instances WHERE id = ?1 AND deleted_at IS NULL"
            ))?;
            Ok(statement.query_row(params![id.as_bytes()], rows::instance).optional()?)
        })
        .await
    }
}

/// Whether the tenant has it.
pub(crate) fn exists(conn: &Connection, tenant: TenantId, id: InstanceId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM instances WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL")?
        .exists(params![id.as_bytes(), tenant.as_bytes()])
}

fn find(conn: &Connection, tenant: TenantId, id: InstanceId) -> rusqlite::Result<Option<Instance>> {
    conn.prepare_cached(concat!(
        "SELECT ",
        instance_columns!(),
        " FROM instances WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL"
    ))?
    .query_row(params![id.as_bytes(), tenant.as_bytes()], rows::instance)
    .optional()
}

fn create(tx: &mut Tx<'_>, instance: &Instance, limit: u32) -> Result<(), Stop> {
    if !tenants::exists(tx.conn, instance.tenant)? {
        return Err(Stop::Verdict(Error::not_found()));
    }
    let holder = tx
        .conn
        .prepare_cached("SELECT tenant_id FROM instances WHERE id = ?1")?
        .query_row(params![instance.id.as_bytes()], |row| row.get(0).map(TenantId::from_bytes))
        .optional()?;
    match holder {
        Some(tenant) if tenant == instance.tenant => return Ok(()),
        Some(_) => return Err(Stop::Verdict(Error::not_found())),
        None => {}
    }
    let count: u32 = tx
        .conn
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM instances INDEXED BY instances_by_tenant
                                   WHERE tenant_id = ?1 AND deleted_at IS NULL LIMIT ?2)",
        )?
        .query_row(params![instance.tenant.as_bytes(), limit], |row| row.get(0))?;
    if count >= limit {
        let detail = "The tenant has as many instances as it may have.";
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "instance_limit", detail)));
    }
    insert(tx, instance)?;
    tx.forget();
    Ok(())
}

fn insert(tx: &Tx<'_>, instance: &Instance) -> rusqlite::Result<()> {
    let account = instance.account.as_ref();
    tx.conn
        .prepare_cached(concat!(
            "INSERT INTO instances (",
            instance_columns!(),
            ", shard) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        ))?
        .execute(params![
            instance.id.as_bytes(),
            instance.tenant.as_bytes(),
            instance.name,
            object(&instance.metadata)?,
            instance.state.as_str(),
            instance.reason,
            instance.since.as_millis(),
            account.map(|account| &account.phone),
            account.map(|account| &account.jid),
            account.and_then(|account| account.lid.as_ref()),
            account.and_then(|account| account.push_name.as_ref()),
            health_number(instance.health.status),
            instance.health.reason,
            millis(instance.health.last_stanza_at),
            instance.health.rtt_ms,
            instance.created_at.as_millis(),
            maybe_json(instance.restriction.as_ref())?,
            instance.device_name,
            instance.proxy.as_ref().map(Proxy::to_url),
            Shard::of(instance.id, tx.shards).0,
        ])?;
    tx.conn
        .prepare_cached(
            "INSERT INTO instance_counters (instance_id, tenant_id, event_seq, open_messages, last_active_at)
             VALUES (?1, ?2, 0, 0, ?3)",
        )?
        .execute(params![instance.id.as_bytes(), instance.tenant.as_bytes(), instance.created_at.as_millis()])?;
    Ok(())
}

fn list(
    conn: &Connection,
    tenant: TenantId,
    filter: &InstanceFilter,
    after: Option<InstanceId>,
    limit: u32,
) -> rusqlite::Result<Vec<Instance>> {
    let mut statement = conn.prepare_cached(concat!(
        "SELECT ",
        instance_columns!(),
        " FROM instances INDEXED BY instances_by_tenant
          WHERE tenant_id = ?1 AND id > ?2 AND deleted_at IS NULL
                AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR name = ?4) AND (?5 IS NULL OR phone = ?5)
          ORDER BY id"
    ))?;
    let after = after.map_or(NO_ID, |id| *id.as_bytes());
    let state = filter.state.map(warren_domain::InstanceState::as_str);
    let mut rows = statement.query(params![tenant.as_bytes(), after, state, filter.name, filter.phone])?;
    let mut found = Vec::new();
    while found.len() < limit as usize
        && let Some(row) = rows.next()?
    {
        let instance = rows::instance(row)?;
        // Not in SQL: a key is any text, and JSON paths have a syntax of their own.
        let matches = filter
            .metadata
            .iter()
            .all(|(key, text)| matches!(instance.metadata.get(key), Some(Value::String(value)) if value == text));
        if matches {
            found.push(instance);
        }
    }
    Ok(found)
}
