//! Tenants: name, limits, when they were created. All of it is persisted, nothing is rebuilt.

use crate::failure::Stop;
use crate::rows::{from_json, json, time};
use crate::{Sqlite, keys, media, webhooks};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use warren_domain::key::ApiKey;
use warren_domain::{Error, ErrorKind, KeyId, Result, Tenant, TenantId, Timestamp};
use warren_ports::ledger::{TenantPatch, Tenants};

const NO_ID: [u8; 16] = [0; 16];

#[async_trait]
impl Tenants for Sqlite {
    async fn create_tenant(&self, tenant: &Tenant) -> Result<()> {
        let tenant = tenant.clone();
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "INSERT INTO tenants (id, name, limits, created_at) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (id) DO NOTHING",
                )?
                .execute(params![tenant.id.as_bytes(), tenant.name, json(&tenant.limits)?, tenant.created_at.as_millis()])?;
            Ok(())
        })
        .await
    }

    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>> {
        self.read(move |conn| Ok(find(conn, id)?)).await
    }

    async fn tenants(&self, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>> {
        self.read(move |conn| {
            let after = after.map_or(NO_ID, |id| *id.as_bytes());
            let mut statement =
                conn.prepare_cached("SELECT id, name, limits, created_at FROM tenants WHERE id > ?1 ORDER BY id LIMIT ?2")?;
            let tenants = statement.query_map(params![after, limit], tenant)?.collect::<rusqlite::Result<_>>()?;
            Ok(tenants)
        })
        .await
    }

    async fn update_tenant(&self, id: TenantId, patch: TenantPatch) -> Result<Option<Tenant>> {
        self.write(move |tx| {
            tx.conn
                .prepare_cached("UPDATE tenants SET name = coalesce(?2, name), limits = coalesce(?3, limits) WHERE id = ?1")?
                .execute(params![id.as_bytes(), patch.name, patch.limits.as_ref().map(json).transpose()?])?;
            Ok(find(tx.conn, id)?)
        })
        .await
    }

    async fn delete_tenant(&self, id: TenantId) -> Result<bool> {
        self.write(move |tx| {
            let instance = tx
                .conn
                .prepare_cached("SELECT 1 FROM instances WHERE tenant_id = ?1 AND deleted_at IS NULL LIMIT 1")?
                .exists(params![id.as_bytes()])?;
            if instance {
                let detail = "The tenant still has instances: delete them first.";
                return Err(Stop::Verdict(Error::new(ErrorKind::Conflict, "tenant_not_empty", detail)));
            }
            for sql in
                ["DELETE FROM number_checks WHERE tenant_id = ?1", "DELETE FROM number_check_uses WHERE tenant_id = ?1"]
            {
                tx.conn.prepare_cached(sql)?.execute(params![id.as_bytes()])?;
            }
            media::delete_of_tenant(tx, id)?;
            webhooks::delete_of_tenant(tx, id)?;
            // Its keys go by the foreign key.
            let rows = tx.conn.prepare_cached("DELETE FROM tenants WHERE id = ?1")?.execute(params![id.as_bytes()])?;
            Ok(rows > 0)
        })
        .await
    }

    async fn create_key(&self, key: &ApiKey) -> Result<()> {
        let key = key.clone();
        self.write(move |tx| keys::create(tx.conn, &key)).await
    }

    async fn key_by_prefix(&self, prefix: &str) -> Result<Option<ApiKey>> {
        let prefix = prefix.to_owned();
        self.read(move |conn| Ok(keys::by_prefix(conn, &prefix)?)).await
    }

    async fn keys(&self, tenant: TenantId) -> Result<Vec<ApiKey>> {
        self.read(move |conn| Ok(keys::of(conn, tenant)?)).await
    }

    async fn revoke_key(&self, tenant: TenantId, key: KeyId, at: Timestamp) -> Result<bool> {
        self.write(move |tx| Ok(keys::revoke(tx.conn, tenant, key, at)?)).await
    }

    async fn touch_key(&self, key: KeyId, at: Timestamp) -> Result<()> {
        self.writer().best_effort(move |tx| Ok(keys::touch(tx.conn, key, at)?));
        Ok(())
    }
}

/// Whether there is such a tenant.
pub(crate) fn exists(conn: &Connection, id: TenantId) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1")?.exists(params![id.as_bytes()])
}

fn find(conn: &Connection, id: TenantId) -> rusqlite::Result<Option<Tenant>> {
    conn.prepare_cached("SELECT id, name, limits, created_at FROM tenants WHERE id = ?1")?
        .query_row(params![id.as_bytes()], tenant)
        .optional()
}

fn tenant(row: &Row<'_>) -> rusqlite::Result<Tenant> {
    Ok(Tenant {
        id: TenantId::from_bytes(row.get(0)?),
        name: row.get(1)?,
        limits: from_json(row, 2)?,
        created_at: time(row, 3)?,
    })
}
