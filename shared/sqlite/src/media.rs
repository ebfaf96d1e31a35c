//! Files of messages: everything but their bytes. A row is made before the bytes are stored and outlives them, so that the
//! store always knows what the object store may hold.

use crate::Sqlite;
use crate::failure::Stop;
use crate::rows::{corrupt, time};
use crate::tenants;
use crate::transaction::Tx;
use async_trait::async_trait;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use warren_domain::media::{Media, MediaFailure, MediaOrigin, MediaOutcome, MediaState};
use warren_domain::{Error, InstanceId, MediaId, Result, TenantId, Timestamp};
use warren_ports::ledger::MediaFiles;

macro_rules! columns {
    () => {
        "id, tenant_id, instance_id, origin, state, reason, mime_type, size, sha256, filename, link, source, created_at,
         expires_at"
    };
}

/// Fails files with a reason, from a moment on (?1 to ?3), and forgets what people called them.
macro_rules! delete {
    () => {
        "UPDATE media SET state = ?1, reason = ?2, expires_at = min(expires_at, ?3), filename = NULL, link = NULL, source = NULL"
    };
}

#[async_trait]
impl MediaFiles for Sqlite {
    async fn create_media(&self, media: Media) -> Result<()> {
        self.write(move |tx| {
            if !tenants::exists(tx.conn, media.tenant)? {
                return Err(Stop::Verdict(Error::not_found()));
            }
            Ok(insert(tx.conn, &media)?)
        })
        .await
    }

    async fn media(&self, tenant: TenantId, id: MediaId) -> Result<Option<Media>> {
        self.read(move |conn| {
            let mut statement =
                conn.prepare_cached(concat!("SELECT ", columns!(), " FROM media WHERE id = ?1 AND tenant_id = ?2"))?;
            Ok(statement.query_row(params![id.as_bytes(), tenant.as_bytes()], media).optional()?)
        })
        .await
    }

    async fn settle_upload(&self, tenant: TenantId, id: MediaId, outcome: MediaOutcome) -> Result<bool> {
        self.write(move |tx| Ok(settle(tx.conn, tenant, None, id, &outcome)?)).await
    }

    async fn forget_upload(&self, tenant: TenantId, id: MediaId) -> Result<()> {
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "DELETE FROM media WHERE id = ?1 AND tenant_id = ?2 AND origin = ?3 AND state = ?4 AND bytes_gone = 0",
                )?
                .execute(params![id.as_bytes(), tenant.as_bytes(), origin_number(MediaOrigin::Upload), PENDING])?;
            Ok(())
        })
        .await
    }

    async fn linked_media(&self, id: MediaId) -> Result<Option<Media>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(concat!("SELECT ", columns!(), " FROM media WHERE id = ?1"))?;
            Ok(statement.query_row(params![id.as_bytes()], media).optional()?)
        })
        .await
    }

    async fn delete_media(&self, tenant: TenantId, id: MediaId) -> Result<bool> {
        self.write(move |tx| {
            let sql = concat!(delete!(), " WHERE id = ?4 AND tenant_id = ?5 AND bytes_gone = 0");
            tx.conn.prepare_cached(sql)?.execute(params![
                FAILED,
                MediaFailure::Deleted.as_str(),
                tx.now.as_millis(),
                id.as_bytes(),
                tenant.as_bytes()
            ])?;
            let mut known = tx.conn.prepare_cached("SELECT 1 FROM media WHERE id = ?1 AND tenant_id = ?2")?;
            Ok(known.exists(params![id.as_bytes(), tenant.as_bytes()])?)
        })
        .await
    }

    async fn media_bytes(&self, tenant: TenantId) -> Result<u64> {
        self.read(move |conn| {
            let sum: i64 = conn
                .prepare_cached(
                    "SELECT coalesce(sum(size), 0) FROM media INDEXED BY media_by_owner
                     WHERE tenant_id = ?1 AND state = ?2 AND bytes_gone = 0",
                )?
                .query_row(params![tenant.as_bytes(), READY], |row| row.get(0))?;
            Ok(u64::try_from(sum).unwrap_or_default())
        })
        .await
    }

    async fn expired_media(&self, now: Timestamp, limit: u32) -> Result<Vec<(TenantId, MediaId)>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT tenant_id, id FROM media INDEXED BY media_kept WHERE bytes_gone = 0 AND expires_at <= ?1
                 ORDER BY expires_at LIMIT ?2",
            )?;
            let found = statement
                .query_map(params![now.as_millis(), limit], |row| {
                    Ok((TenantId::from_bytes(row.get(0)?), MediaId::from_bytes(row.get(1)?)))
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(found)
        })
        .await
    }

    async fn media_deleted(&self, files: &[(TenantId, MediaId)]) -> Result<()> {
        let files = files.to_vec();
        self.write(move |tx| {
            for (tenant, id) in &files {
                tx.conn
                    .prepare_cached(
                        "UPDATE media SET bytes_gone = 1, reason = CASE state WHEN ?3 THEN reason ELSE ?4 END, state = ?3,
                                filename = NULL, link = NULL, source = NULL
                         WHERE id = ?1 AND tenant_id = ?2",
                    )?
                    .execute(params![id.as_bytes(), tenant.as_bytes(), FAILED, MediaFailure::Expired.as_str()])?;
            }
            Ok(())
        })
        .await
    }
}

const PENDING: i64 = state_number(MediaState::Pending);
const READY: i64 = state_number(MediaState::Ready);
const FAILED: i64 = state_number(MediaState::Failed);

/// Stores a file; one that is there already stays as it is (a retry).
pub(crate) fn insert(conn: &Connection, media: &Media) -> rusqlite::Result<()> {
    conn.prepare_cached(concat!(
        "INSERT INTO media (",
        columns!(),
        ", bytes_gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 0) ON CONFLICT (id) DO NOTHING"
    ))?
    .execute(params![
        media.id.as_bytes(),
        media.tenant.as_bytes(),
        media.instance.as_ref().map(InstanceId::as_bytes),
        origin_number(media.origin),
        state_number(media.state),
        media.reason.map(MediaFailure::as_str),
        media.mime_type,
        media.size.map(size_number),
        media.sha256,
        media.filename,
        media.link,
        media.source,
        media.created_at.as_millis(),
        media.expires_at.as_millis(),
    ])?;
    Ok(())
}

/// Settles a pending file of an instance, or one of none; whether it was pending.
pub(crate) fn settle(
    conn: &Connection,
    tenant: TenantId,
    instance: Option<InstanceId>,
    id: MediaId,
    outcome: &MediaOutcome,
) -> rusqlite::Result<bool> {
    let (id, tenant, instance) = (id.as_bytes(), tenant.as_bytes(), instance.as_ref().map(InstanceId::as_bytes));
    let rows = match outcome {
        MediaOutcome::Ready { size, sha256, mime_type, expires_at } => conn
            .prepare_cached(
                "UPDATE media SET state = ?4, size = ?5, sha256 = ?6, mime_type = coalesce(?7, mime_type), expires_at = ?8,
                        link = NULL, source = NULL
                 WHERE id = ?1 AND tenant_id = ?2 AND instance_id IS ?3 AND state = ?9 AND bytes_gone = 0",
            )?
            .execute(params![
                id,
                tenant,
                instance,
                READY,
                size_number(*size),
                sha256,
                mime_type,
                expires_at.as_millis(),
                PENDING
            ])?,
        MediaOutcome::Failed(reason) => conn
            .prepare_cached(
                "UPDATE media SET state = ?4, reason = ?5, link = NULL, source = NULL
                 WHERE id = ?1 AND tenant_id = ?2 AND instance_id IS ?3 AND state = ?6 AND bytes_gone = 0",
            )?
            .execute(params![id, tenant, instance, FAILED, reason.as_str(), PENDING])?,
    };
    Ok(rows > 0)
}

/// The instance was deleted, and its files with it.
pub(crate) fn delete_of_instance(tx: &Tx<'_>, tenant: TenantId, instance: InstanceId) -> rusqlite::Result<()> {
    let sql = concat!(delete!(), " WHERE tenant_id = ?4 AND instance_id = ?5 AND bytes_gone = 0");
    let (reason, now) = (MediaFailure::Deleted.as_str(), tx.now.as_millis());
    tx.conn.prepare_cached(sql)?.execute(params![FAILED, reason, now, tenant.as_bytes(), instance.as_bytes()])?;
    Ok(())
}

/// The tenant was deleted, and its files with it.
pub(crate) fn delete_of_tenant(tx: &Tx<'_>, tenant: TenantId) -> rusqlite::Result<()> {
    let sql = concat!(delete!(), " WHERE tenant_id = ?4 AND bytes_gone = 0");
    let (reason, now) = (MediaFailure::Deleted.as_str(), tx.now.as_millis());
    tx.conn.prepare_cached(sql)?.execute(params![FAILED, reason, now, tenant.as_bytes()])?;
    Ok(())
}

const fn state_number(state: MediaState) -> i64 {
    match state {
        MediaState::Pending => 0,
        MediaState::Ready => 1,
        MediaState::Failed => 2,
    }
}

const fn origin_number(origin: MediaOrigin) -> i64 {
    match origin {
        MediaOrigin::Upload => 0,
        MediaOrigin::Link => 1,
        MediaOrigin::Whatsapp => 2,
    }
}

/// A sender may announce any size.
fn size_number(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn media(row: &Row<'_>) -> rusqlite::Result<Media> {
    let origin = match row.get::<_, i64>(3)? {
        0 => MediaOrigin::Upload,
        1 => MediaOrigin::Link,
        2 => MediaOrigin::Whatsapp,
        _ => return Err(corrupt(3, Type::Integer)),
    };
    let state = match row.get::<_, i64>(4)? {
        PENDING => MediaState::Pending,
        READY => MediaState::Ready,
        FAILED => MediaState::Failed,
        _ => return Err(corrupt(4, Type::Integer)),
    };
    let reason = match row.get_ref(5)?.as_str_or_null()? {
        Some(name) => Some(MediaFailure::parse(name).ok_or_else(|| corrupt(5, Type::Text))?),
        None => None,
    };
    Ok(Media {
        id: MediaId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        instance: row.get::<_, Option<_>>(2)?.map(InstanceId::from_bytes),
        origin,
        state,
        reason,
        mime_type: row.get(6)?,
        size: row.get::<_, Option<i64>>(7)?.map(|size| u64::try_from(size).unwrap_or_default()),
        sha256: row.get(8)?,
        filename: row.get(9)?,
        link: row.get(10)?,
        source: row.get(11)?,
        created_at: time(row, 12)?,
        expires_at: time(row, 13)?,
    })
}
