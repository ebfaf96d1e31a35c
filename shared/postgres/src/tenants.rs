//! Tenants: name, limits, when they were created. All of it is persisted, nothing is rebuilt.
//!
//! A tenant's row is locked by whoever needs that what belongs to it stays as it is: who adds an instance, who takes from a
//! quota, and who deletes it.

use crate::edge::Tx;
use crate::failure::{Class, Stop, class};
use crate::rows::{self, Id, from_json, json, time};
use crate::scope::Enter;
use crate::{Postgres, keys, media, webhooks};
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;
use warren_domain::key::ApiKey;
use warren_domain::{Error, ErrorKind, KeyId, Result, Tenant, TenantId, Timestamp};
use warren_ports::ledger::{TenantPatch, Tenants};

#[async_trait]
impl Tenants for Postgres {
    async fn create_tenant(&self, tenant: &Tenant) -> Result<()> {
        self.writing(|| async {
            sqlx::query(
                "INSERT INTO tenants (id, name, limits, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
            )
            .bind(tenant.id.scope())
            .bind(&tenant.name)
            .bind(json(&tenant.limits)?)
            .bind(tenant.created_at.as_millis())
            .execute(self.pool())
            .await?;
            Ok(())
        })
        .await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>> {
        self.reading(|| async {
            let row = sqlx::query("SELECT id, name, limits, created_at FROM tenants WHERE id = $1")
                .bind(id.scope())
                .fetch_optional(self.pool())
                .await?;
            Ok(row.as_ref().map(tenant).transpose()?)
        })
        .await
    }

    async fn tenants(&self, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>> {
        self.reading(|| async {
            let rows = sqlx::query("SELECT id, name, limits, created_at FROM tenants_after($1, $2) ORDER BY id")
                .bind(after.map_or(Uuid::nil(), |id| id.uuid()))
                .bind(i64::from(limit))
                .fetch_all(self.pool())
                .await?;
            Ok(rows.iter().map(tenant).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn update_tenant(&self, id: TenantId, patch: TenantPatch) -> Result<Option<Tenant>> {
        self.writing(|| async {
            let row = sqlx::query(
                "UPDATE tenants SET name = coalesce($2, name), limits = coalesce($3, limits) WHERE id = $1
                 RETURNING id, name, limits, created_at",
            )
            .bind(id.scope())
            .bind(&patch.name)
            .bind(patch.limits.as_ref().map(json).transpose()?)
            .fetch_optional(self.pool())
            .await?;
            Ok(row.as_ref().map(tenant).transpose()?)
        })
        .await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let deleted = delete(&mut tx, id).await?;
            tx.commit().await?;
            Ok(deleted)
        })
        .await
    }

    async fn create_key(&self, key: &ApiKey) -> Result<()> {
        self.writing(|| async { keys::create(self.pool(), key).await }).await
    }

    async fn key_by_prefix(&self, prefix: &str) -> Result<Option<ApiKey>> {
        self.reading(|| async { Ok(keys::by_prefix(self.pool(), prefix).await?) }).await
    }

    async fn keys(&self, tenant: TenantId) -> Result<Vec<ApiKey>> {
        self.reading(|| async { Ok(keys::of(self.pool(), tenant).await?) }).await
    }

    async fn revoke_key(&self, tenant: TenantId, key: KeyId, at: Timestamp) -> Result<bool> {
        self.writing(|| async { Ok(keys::revoke(self.pool(), tenant, key, at).await?) }).await
    }

    async fn touch_key(&self, key: KeyId, at: Timestamp) -> Result<()> {
        match keys::touch(self.pool(), key, at).await {
            Err(error) if class(&error) == Class::Data => Err(Error::internal(error)),
            // Best effort: a store that is away is not waited for.
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// Locks a tenant's row until the transaction ends; whether there is one. Whoever has it sees all that was done under it before.
pub(crate) async fn lock(conn: &mut PgConnection, id: TenantId) -> sqlx::Result<bool> {
    let found =
        sqlx::query("SELECT 1 FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(id.scope()).fetch_optional(conn).await?;
    Ok(found.is_some())
}

async fn delete(tx: &mut Tx, id: TenantId) -> Result<bool, Stop> {
    if !lock(tx, id).await? {
        return Ok(false);
    }
    let instance = sqlx::query("SELECT 1 FROM instances WHERE tenant_id = $1 AND deleted_at IS NULL LIMIT 1")
        .bind(id.uuid())
        .fetch_optional(&mut **tx)
        .await?;
    if instance.is_some() {
        let detail = "The tenant still has instances: delete them first.";
        return Err(Stop::Verdict(Error::new(ErrorKind::Conflict, "tenant_not_empty", detail)));
    }
    let now = tx.now;
    media::delete_of_tenant(tx, id, now).await?;
    webhooks::delete_of_tenant(tx, id, now).await?;
    // Its keys go by the foreign key.
    sqlx::query(
        "WITH checks AS (DELETE FROM number_checks WHERE tenant_id = $1),
              uses AS (DELETE FROM number_check_uses WHERE tenant_id = $1)
         DELETE FROM tenants WHERE id = $1",
    )
    .bind(id.uuid())
    .execute(&mut **tx)
    .await?;
    Ok(true)
}

fn tenant(row: &PgRow) -> sqlx::Result<Tenant> {
    Ok(Tenant { id: rows::id(row, 0)?, name: row.try_get(1)?, limits: from_json(row, 2)?, created_at: time(row, 3)? })
}
