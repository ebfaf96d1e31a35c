//! Instances: who they are and what they do last. The shard is stored beside the id, so that an owner finds its own by
//! index; a deleted one stays as a tombstone until its last row is purged.

use crate::counters::{self, Subject};
use crate::edge::Tx;
use crate::failure::Stop;
use crate::rows::{self, Id, health_number, instance_columns, json, maybe_json, millis, object};
use crate::scope::Enter;
use crate::{Postgres, media, tenants, webhooks};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;
use warren_domain::proxy::Proxy;
use warren_domain::{Error, ErrorKind, FailureReason, Instance, InstanceId, InstanceState, Result, Shard, TenantId};
use warren_ports::ledger::{InstanceFilter, InstancePatch, Instances};

#[async_trait]
impl Instances for Postgres {
    async fn create_instance(&self, instance: &Instance, limit: u32) -> Result<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            create(&mut tx, instance, Shard::of(instance.id, self.shards()), limit).await?;
            tx.commit().await
        })
        .await
    }

    async fn instance(&self, tenant: TenantId, id: InstanceId) -> Result<Option<Instance>> {
        self.reading(|| async {
            let row = sqlx::query(concat!(
                "SELECT ",
                instance_columns!(),
                " FROM instances WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL"
            ))
            .bind(id.uuid())
            .bind(tenant.scope())
            .fetch_optional(self.pool())
            .await?;
            Ok(row.as_ref().map(rows::instance).transpose()?)
        })
        .await
    }

    async fn instances(
        &self,
        tenant: TenantId,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Instance>> {
        let texts = filter.metadata.iter().flat_map(|(key, text)| [key, text]);
        if texts.chain(&filter.name).chain(&filter.phone).any(|text| text.contains('\0')) {
            // No text that is kept has a zero in it.
            return Ok(Vec::new());
        }
        self.reading(|| async { Ok(list(self.pool(), tenant, filter, after, limit).await?) }).await
    }

    async fn instance_by_phone(&self, tenant: TenantId, phone: &str) -> Result<Option<Instance>> {
        if phone.contains('\0') {
            return Ok(None);
        }
        self.reading(|| async {
            // One that was logged out is named only if no other has the number.
            let row = sqlx::query(concat!(
                "SELECT ",
                instance_columns!(),
                " FROM instances WHERE tenant_id = $1 AND phone = $2 AND deleted_at IS NULL
                  ORDER BY state = 'logged_out', last_online_at DESC NULLS LAST, id DESC LIMIT 1"
            ))
            .bind(tenant.scope())
            .bind(phone)
            .fetch_optional(self.pool())
            .await?;
            Ok(row.as_ref().map(rows::instance).transpose()?)
        })
        .await
    }

    async fn update_instance(&self, tenant: TenantId, id: InstanceId, patch: InstancePatch) -> Result<Option<Instance>> {
        self.writing(|| async {
            let row = sqlx::query(concat!(
                "UPDATE instances SET name = CASE WHEN $3 THEN $4 ELSE name END,
                        device_name = CASE WHEN $5 THEN $6 ELSE device_name END,
                        proxy = CASE WHEN $7 THEN $8 ELSE proxy END, metadata = CASE WHEN $9 THEN $10 ELSE metadata END
                 WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL RETURNING ",
                instance_columns!()
            ))
            .bind(id.uuid())
            .bind(tenant.scope())
            .bind(patch.name.is_some())
            .bind(patch.name.as_ref().and_then(Option::as_deref))
            .bind(patch.device_name.is_some())
            .bind(patch.device_name.as_ref().and_then(Option::as_deref))
            .bind(patch.proxy.is_some())
            .bind(patch.proxy.as_ref().and_then(|proxy| proxy.as_ref().map(Proxy::to_url)))
            .bind(patch.metadata.is_some())
            .bind(patch.metadata.as_ref().map(object).transpose()?.flatten())
            .fetch_optional(self.pool())
            .await?;
            Ok(row.as_ref().map(rows::instance).transpose()?)
        })
        .await
    }

    async fn delete_instance(&self, tenant: TenantId, id: InstanceId) -> Result<bool> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let deleted = delete(&mut tx, Subject { tenant, instance: id }).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    async fn instances_of(&self, shards: &[Shard]) -> Result<Vec<Instance>> {
        let shards: Vec<i32> = shards.iter().map(|shard| i32::from(shard.0)).collect();
        self.reading(|| async {
            let rows = sqlx::query(concat!(
                "SELECT ",
                instance_columns!(),
                " FROM (SELECT i.*, c.last_active_at FROM instances i
                        LEFT JOIN instance_counters c ON c.instance_id = i.id
                        WHERE i.shard = ANY ($1) AND i.deleted_at IS NULL) owned
                  ORDER BY last_active_at DESC NULLS LAST, id"
            ))
            .bind(&shards)
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(rows::instance).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn owned_instance(&self, id: InstanceId) -> Result<Option<Instance>> {
        self.reading(|| async {
            let row =
                sqlx::query(concat!("SELECT ", instance_columns!(), " FROM instances WHERE id = $1 AND deleted_at IS NULL"))
                    .bind(id.uuid())
                    .fetch_optional(self.pool())
                    .await?;
            Ok(row.as_ref().map(rows::instance).transpose()?)
        })
        .await
    }
}

async fn create(tx: &mut Tx, instance: &Instance, shard: Shard, limit: u32) -> Result<(), Stop> {
    // Of a tenant's parallel calls each counts what the one before made.
    if !tenants::lock(tx, instance.tenant).await? {
        return Err(Stop::Verdict(Error::not_found()));
    }
    let found = sqlx::query(
        "SELECT (SELECT tenant_id FROM instances WHERE id = $1),
                (SELECT count(*) FROM (SELECT 1 FROM instances WHERE tenant_id = $2 AND deleted_at IS NULL LIMIT $3) live)",
    )
    .bind(instance.id.uuid())
    .bind(instance.tenant.scope())
    .bind(i64::from(limit))
    .fetch_one(&mut **tx)
    .await?;
    match rows::maybe_id::<TenantId>(&found, 0)? {
        Some(holder) if holder == instance.tenant => return Ok(()),
        Some(_) => return Err(Stop::Verdict(Error::not_found())),
        None => {}
    }
    if found.try_get::<i64, _>(1)? >= i64::from(limit) {
        let detail = "The tenant has as many instances as it may have.";
        return Err(Stop::Verdict(Error::new(ErrorKind::Exhausted, "instance_limit", detail)));
    }
    // Somebody else's with the same id, who is not shown here.
    if insert(tx, instance, shard).await? { Ok(()) } else { Err(Stop::Verdict(Error::not_found())) }
}

/// Stores an instance; `false` if the id is taken.
async fn insert(conn: &mut PgConnection, instance: &Instance, shard: Shard) -> sqlx::Result<bool> {
    let account = instance.account.as_ref();
    let done = sqlx::query(concat!(
        "WITH counters AS (
             INSERT INTO instance_counters (instance_id, tenant_id, event_seq, open_messages, last_active_at)
             VALUES ($1, $2, 0, 0, $16) ON CONFLICT (instance_id) DO NOTHING
         )
         INSERT INTO instances (",
        instance_columns!(),
        ", shard) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20) ON CONFLICT (id) DO NOTHING"
    ))
    .bind(instance.id.uuid())
    .bind(instance.tenant.scope())
    .bind(&instance.name)
    .bind(object(&instance.metadata)?)
    .bind(instance.state.as_str())
    .bind(&instance.reason)
    .bind(instance.since.as_millis())
    .bind(account.map(|account| &account.phone))
    .bind(account.map(|account| &account.jid))
    .bind(account.and_then(|account| account.lid.as_ref()))
    .bind(account.and_then(|account| account.push_name.as_ref()))
    .bind(health_number(instance.health.status))
    .bind(&instance.health.reason)
    .bind(millis(instance.health.last_stanza_at))
    .bind(instance.health.rtt_ms.map(i64::from))
    .bind(instance.created_at.as_millis())
    .bind(maybe_json(instance.restriction.as_ref())?)
    .bind(&instance.device_name)
    .bind(instance.proxy.as_ref().map(Proxy::to_url))
    .bind(i32::from(shard.0))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Marks an instance deleted, and ends what it has open.
///
/// Messages are accepted under the lock of the counter row, by who has looked whether the instance is there. Whoever looked
/// before it was marked is waited for, and what he brought ends too; whoever looks later finds it deleted.
async fn delete(tx: &mut Tx, subject: Subject) -> Result<bool, Stop> {
    let (now, id) = (tx.now, subject.instance.uuid());
    let marked = sqlx::query("UPDATE instances SET deleted_at = $3 WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL")
        .bind(id)
        .bind(subject.tenant.scope())
        .bind(now.as_millis())
        .execute(&mut **tx)
        .await?;
    if marked.rows_affected() == 0 {
        return Ok(false);
    }
    counters::fail_open(tx, now, subject, FailureReason::LoggedOut, now).await?;
    sqlx::query("SELECT 1 FROM instance_counters WHERE instance_id = $1 FOR NO KEY UPDATE")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    counters::fail_open(tx, now, subject, FailureReason::LoggedOut, now).await?;
    media::delete_of_instance(tx, subject.tenant, subject.instance, now).await?;
    webhooks::delete_of_seed(&mut **tx, subject.tenant, subject.instance, now).await?;
    Ok(true)
}

async fn list(
    pool: &PgPool,
    tenant: TenantId,
    filter: &InstanceFilter,
    after: Option<InstanceId>,
    limit: u32,
) -> sqlx::Result<Vec<Instance>> {
    // An object each: the same key may be asked for twice.
    let texts = filter.metadata.iter();
    let texts = texts.map(|(key, text)| json(&Map::from_iter([(key.clone(), Value::from(text.clone()))])));
    let rows = sqlx::query(concat!(
        "SELECT ",
        instance_columns!(),
        " FROM instances
          WHERE tenant_id = $1 AND id > $2 AND deleted_at IS NULL AND ($3 IS NULL OR state = $3)
                AND ($4 IS NULL OR name = $4) AND ($5 IS NULL OR phone = $5)
                AND (cardinality($6::TEXT[]) = 0 OR metadata::JSONB @> ALL ($6::TEXT[]::JSONB[]))
          ORDER BY id LIMIT $7"
    ))
    .bind(tenant.scope())
    .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
    .bind(filter.state.map(InstanceState::as_str))
    .bind(&filter.name)
    .bind(&filter.phone)
    .bind(texts.collect::<sqlx::Result<Vec<String>>>()?)
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(rows::instance).collect()
}
