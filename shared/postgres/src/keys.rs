//! API keys: everything but the secret, of which the SHA-256 is kept. When a key was last used is kept to the minute, so
//! that a busy key does not write with every request.

use crate::failure::Stop;
use crate::rows::{self, Id, from_json, json, maybe_time, millis, time};
use crate::scope::Enter;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Result, Row};
use warren_domain::key::ApiKey;
use warren_domain::{Error, ErrorKind, KeyId, TenantId, Timestamp};

/// Keys that one list shows.
const LIST: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;

macro_rules! columns {
    () => {
        "id, tenant_id, prefix, hash, name, scopes, expires_at, created_at, revoked_at, last_used_at"
    };
}

pub(crate) async fn create(pool: &PgPool, key: &ApiKey) -> Result<(), Stop> {
    // The holder is who has the prefix already, unless he is the key itself: the first try's reply was lost.
    let verdict = sqlx::query(concat!(
        "WITH made AS (
             INSERT INTO api_keys (",
        columns!(),
        ") SELECT $1, t.id, $3, $4, $5, $6, $7, $8, $9, $10 FROM tenants t WHERE t.id = $2
             ON CONFLICT (prefix) DO NOTHING RETURNING id
         )
         SELECT EXISTS (SELECT 1 FROM tenants WHERE id = $2),
                EXISTS (SELECT 1 FROM made) OR EXISTS (SELECT 1 FROM api_keys WHERE prefix = $3 AND id = $1)"
    ))
    .bind(key.id.uuid())
    .bind(key.tenant.scope())
    .bind(&key.prefix)
    .bind(key.hash.as_slice())
    .bind(&key.name)
    .bind(json(&key.scopes)?)
    .bind(millis(key.expires_at))
    .bind(key.created_at.as_millis())
    .bind(millis(key.revoked_at))
    .bind(millis(key.last_used_at))
    .fetch_one(pool)
    .await?;
    match (verdict.try_get(0)?, verdict.try_get(1)?) {
        (false, _) => Err(Stop::Verdict(Error::not_found())),
        (true, true) => Ok(()),
        (true, false) => {
            let detail = "Another key has the same first characters: make another.";
            Err(Stop::Verdict(Error::new(ErrorKind::Conflict, "key_prefix_taken", detail)))
        }
    }
}

pub(crate) async fn by_prefix(pool: &PgPool, prefix: &str) -> Result<Option<ApiKey>> {
    let row =
        sqlx::query(concat!("SELECT ", columns!(), " FROM key_by_prefix($1)")).bind(prefix).fetch_optional(pool).await?;
    row.as_ref().map(key).transpose()
}

pub(crate) async fn of(pool: &PgPool, tenant: TenantId) -> Result<Vec<ApiKey>> {
    let rows = sqlx::query(concat!("SELECT ", columns!(), " FROM api_keys WHERE tenant_id = $1 ORDER BY id LIMIT $2"))
        .bind(tenant.scope())
        .bind(LIST)
        .fetch_all(pool)
        .await?;
    rows.iter().map(key).collect()
}

pub(crate) async fn revoke(pool: &PgPool, tenant: TenantId, id: KeyId, at: Timestamp) -> Result<bool> {
    // What was revoked at this very moment was revoked by this call: the first try's reply was lost.
    let done = sqlx::query(
        "UPDATE api_keys SET revoked_at = $3 WHERE id = $1 AND tenant_id = $2 AND (revoked_at IS NULL OR revoked_at = $3)",
    )
    .bind(id.uuid())
    .bind(tenant.scope())
    .bind(at.as_millis())
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

pub(crate) async fn touch(pool: &PgPool, id: KeyId, at: Timestamp) -> Result<()> {
    sqlx::query("SELECT touch_key($1, $2, $3)")
        .bind(id.uuid())
        .bind(at.as_millis())
        .bind(at.as_millis().saturating_sub(MINUTE_MS))
        .execute(pool)
        .await?;
    Ok(())
}

fn key(row: &PgRow) -> Result<ApiKey> {
    Ok(ApiKey {
        id: rows::id(row, 0)?,
        tenant: rows::id(row, 1)?,
        prefix: row.try_get(2)?,
        hash: row.try_get(3)?,
        name: row.try_get(4)?,
        scopes: from_json(row, 5)?,
        expires_at: maybe_time(row, 6)?,
        created_at: time(row, 7)?,
        revoked_at: maybe_time(row, 8)?,
        last_used_at: maybe_time(row, 9)?,
    })
}
