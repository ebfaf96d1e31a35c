//! Files of messages: everything but their bytes. A row is made before the bytes are stored and outlives them, so that the
//! store always knows what the object store may hold.

use crate::Postgres;
use crate::failure::{Stop, corrupt};
use crate::rows::{self, Id, millis, time};
use crate::scope::Enter;
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::collections::BTreeMap;
use uuid::Uuid;
use warren_domain::media::{Media, MediaFailure, MediaOrigin, MediaOutcome, MediaState};
use warren_domain::{Error, InstanceId, MediaId, Result, TenantId, Timestamp};
use warren_ports::ledger::MediaFiles;

macro_rules! columns {
    () => {
        "id, tenant_id, instance_id, origin, state, reason, mime_type, size, sha256, filename, link, source, created_at,
         expires_at"
    };
}

/// Fails files that were deleted, as of a moment ($1), and forgets what people called them.
macro_rules! delete {
    () => {
        "UPDATE media SET state = 2, reason = 'deleted', expires_at = least(expires_at, $1), filename = NULL, link = NULL,
                source = NULL"
    };
}

#[async_trait]
impl MediaFiles for Postgres {
    async fn create_media(&self, media: Media) -> Result<()> {
        self.writing(|| async {
            if create(self.pool(), &media).await? { Ok(()) } else { Err(Stop::Verdict(Error::not_found())) }
        })
        .await
    }

    async fn media(&self, tenant: TenantId, id: MediaId) -> Result<Option<Media>> {
        self.reading(|| async {
            let row = sqlx::query(concat!("SELECT ", columns!(), " FROM media WHERE id = $1 AND tenant_id = $2"))
                .bind(id.uuid())
                .bind(tenant.scope())
                .fetch_optional(self.pool())
                .await?;
            Ok(row.as_ref().map(media).transpose()?)
        })
        .await
    }

    async fn settle_upload(&self, tenant: TenantId, id: MediaId, outcome: MediaOutcome) -> Result<bool> {
        // In a transaction: who is told that it was settled before removes the bytes.
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let settled = settle(&mut tx, tenant, id, &outcome).await?;
            tx.commit().await?;
            Ok(settled)
        })
        .await
    }

    async fn forget_upload(&self, tenant: TenantId, id: MediaId) -> Result<()> {
        self.writing(|| async {
            sqlx::query(
                "DELETE FROM media WHERE id = $1 AND tenant_id = $2 AND origin = 0 AND state = 0 AND NOT bytes_gone",
            )
            .bind(id.uuid())
            .bind(tenant.scope())
            .execute(self.pool())
            .await?;
            Ok(())
        })
        .await
    }

    async fn linked_media(&self, id: MediaId) -> Result<Option<Media>> {
        self.reading(|| async {
            let row = sqlx::query(concat!("SELECT ", columns!(), " FROM linked_media($1)"))
                .bind(id.uuid())
                .fetch_optional(self.pool())
                .await?;
            Ok(row.as_ref().map(media).transpose()?)
        })
        .await
    }

    async fn delete_media(&self, tenant: TenantId, id: MediaId) -> Result<bool> {
        let now = self.now();
        self.writing(|| async {
            let known = sqlx::query(concat!(
                "WITH deleted AS (",
                delete!(),
                " WHERE id = $2 AND tenant_id = $3 AND NOT bytes_gone)
                 SELECT 1 FROM media WHERE id = $2 AND tenant_id = $3"
            ))
            .bind(now.as_millis())
            .bind(id.uuid())
            .bind(tenant.scope())
            .fetch_optional(self.pool())
            .await?;
            Ok(known.is_some())
        })
        .await
    }

    async fn media_bytes(&self, tenant: TenantId) -> Result<u64> {
        self.reading(|| async {
            let sum = sqlx::query(
                "SELECT coalesce(sum(size), 0)::BIGINT FROM media WHERE tenant_id = $1 AND state = 1 AND NOT bytes_gone",
            )
            .bind(tenant.scope())
            .fetch_one(self.pool())
            .await?;
            Ok(u64::try_from(sum.try_get::<i64, _>(0)?).unwrap_or_default())
        })
        .await
    }

    async fn expired_media(&self, now: Timestamp, limit: u32) -> Result<Vec<(TenantId, MediaId)>> {
        self.reading(|| async {
            let found = sqlx::query(
                "SELECT tenant_id, id FROM media WHERE NOT bytes_gone AND expires_at <= $1 ORDER BY expires_at LIMIT $2",
            )
            .bind(now.as_millis())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            let named = |row: &PgRow| Ok((rows::id(row, 0)?, rows::id(row, 1)?));
            Ok(found.iter().map(named).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn media_deleted(&self, files: &[(TenantId, MediaId)]) -> Result<()> {
        let mut tenants: BTreeMap<TenantId, Vec<Uuid>> = BTreeMap::new();
        for (tenant, id) in files {
            tenants.entry(*tenant).or_default().push(id.uuid());
        }
        for (tenant, ids) in &tenants {
            self.writing(|| async { Ok(bytes_gone(self.pool(), *tenant, ids).await?) }).await?;
        }
        Ok(())
    }
}

/// Stores a file of a tenant that exists; one that is there already stays as it is (a retry). Whether there is the tenant.
async fn create(pool: &PgPool, media: &Media) -> sqlx::Result<bool> {
    let row = sqlx::query(concat!(
        "WITH made AS (
             INSERT INTO media (",
        columns!(),
        ", bytes_gone)
             SELECT $1, t.id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, FALSE FROM tenants t WHERE t.id = $2
             ON CONFLICT (id) DO NOTHING
         )
         SELECT 1 FROM tenants WHERE id = $2"
    ))
    .bind(media.id.uuid())
    .bind(media.tenant.scope())
    .bind(media.instance.as_ref().map(Id::uuid))
    .bind(origin_number(media.origin))
    .bind(state_number(media.state))
    .bind(media.reason.map(MediaFailure::as_str))
    .bind(media.mime_type.as_deref())
    .bind(media.size.map(size_number))
    .bind(media.sha256.as_ref().map(<[u8; 32]>::as_slice))
    .bind(media.filename.as_deref())
    .bind(media.link.as_deref())
    .bind(media.source.as_deref())
    .bind(media.created_at.as_millis())
    .bind(media.expires_at.as_millis())
    .fetch_optional(pool)
    .await?;
    Ok(row.is_some())
}

/// Files of a tenant whose bytes are gone.
async fn bytes_gone(pool: &PgPool, tenant: TenantId, ids: &[Uuid]) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE media SET bytes_gone = TRUE, reason = CASE state WHEN 2 THEN reason ELSE 'expired' END, state = 2,
                filename = NULL, link = NULL, source = NULL
         WHERE id = ANY ($2) AND tenant_id = $1",
    )
    .bind(tenant.scope())
    .bind(ids)
    .execute(pool)
    .await?;
    Ok(())
}

/// Settles a pending file of no instance; whether it was pending.
async fn settle(conn: &mut PgConnection, tenant: TenantId, id: MediaId, outcome: &MediaOutcome) -> sqlx::Result<bool> {
    let (state, reason) = match outcome {
        MediaOutcome::Ready { .. } => (MediaState::Ready, None),
        MediaOutcome::Failed(reason) => (MediaState::Failed, Some(reason.as_str())),
    };
    let (size, sha256, mime_type, expires_at) = match outcome {
        MediaOutcome::Ready { size, sha256, mime_type, expires_at } => {
            (Some(size_number(*size)), Some(sha256.as_slice()), mime_type.as_deref(), Some(*expires_at))
        }
        MediaOutcome::Failed(_) => (None, None, None, None),
    };
    let done = sqlx::query(
        "UPDATE media SET state = $3, reason = $4, size = coalesce($5, size), sha256 = coalesce($6, sha256),
                mime_type = coalesce($7, mime_type), expires_at = coalesce($8, expires_at), link = NULL, source = NULL
         WHERE id = $1 AND tenant_id = $2 AND instance_id IS NULL AND state = 0 AND NOT bytes_gone",
    )
    .bind(id.uuid())
    .bind(tenant.scope())
    .bind(state_number(state))
    .bind(reason)
    .bind(size)
    .bind(sha256)
    .bind(mime_type)
    .bind(millis(expires_at))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// The instance was deleted, and its files with it.
pub(crate) async fn delete_of_instance(
    conn: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
    now: Timestamp,
) -> sqlx::Result<()> {
    sqlx::query(concat!(delete!(), " WHERE tenant_id = $2 AND instance_id = $3 AND NOT bytes_gone"))
        .bind(now.as_millis())
        .bind(tenant.scope())
        .bind(instance.uuid())
        .execute(conn)
        .await?;
    Ok(())
}

/// The tenant was deleted, and its files with it.
pub(crate) async fn delete_of_tenant(conn: &mut PgConnection, tenant: TenantId, now: Timestamp) -> sqlx::Result<()> {
    sqlx::query(concat!(delete!(), " WHERE tenant_id = $2 AND NOT bytes_gone"))
        .bind(now.as_millis())
        .bind(tenant.scope())
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes up to `limit` files whose bytes are gone and that expired before a moment; how many.
pub(crate) async fn expire(pool: &PgPool, before: Timestamp, limit: u32) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM media WHERE ctid = ANY (ARRAY (
             SELECT ctid FROM media WHERE bytes_gone AND expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(before.as_millis())
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(done.rows_affected())
}

/// How the store writes a state.
pub(crate) const fn state_number(state: MediaState) -> i16 {
    match state {
        MediaState::Pending => 0,
        MediaState::Ready => 1,
        MediaState::Failed => 2,
    }
}

/// How the store writes an origin.
pub(crate) const fn origin_number(origin: MediaOrigin) -> i16 {
    match origin {
        MediaOrigin::Upload => 0,
        MediaOrigin::Link => 1,
        MediaOrigin::Whatsapp => 2,
    }
}

/// A sender may announce any size.
pub(crate) fn size_number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn media(row: &PgRow) -> sqlx::Result<Media> {
    let origin = match row.try_get::<i16, _>(3)? {
        0 => MediaOrigin::Upload,
        1 => MediaOrigin::Link,
        2 => MediaOrigin::Whatsapp,
        _ => return Err(corrupt(3)),
    };
    let state = match row.try_get::<i16, _>(4)? {
        0 => MediaState::Pending,
        1 => MediaState::Ready,
        2 => MediaState::Failed,
        _ => return Err(corrupt(4)),
    };
    let reason = row.try_get::<Option<&str>, _>(5)?;
    let reason = reason.map(|name| MediaFailure::parse(name).ok_or_else(|| corrupt(5))).transpose()?;
    Ok(Media {
        id: rows::id(row, 0)?,
        tenant: rows::id(row, 1)?,
        instance: rows::maybe_id(row, 2)?,
        origin,
        state,
        reason,
        mime_type: row.try_get(6)?,
        size: row.try_get::<Option<i64>, _>(7)?.map(|size| u64::try_from(size).unwrap_or_default()),
        sha256: row.try_get(8)?,
        filename: row.try_get(9)?,
        link: row.try_get(10)?,
        source: row.try_get(11)?,
        created_at: time(row, 12)?,
        expires_at: time(row, 13)?,
    })
}
