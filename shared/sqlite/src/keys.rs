//! API keys: everything but the secret, of which the SHA-256 is kept. When a key was last used is kept to the minute, so
//! that a busy key does not write with every request.

use crate::failure::Stop;
use crate::rows::{from_json, json, maybe_time, millis, time};
use crate::tenants;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use warren_domain::key::ApiKey;
use warren_domain::{Error, ErrorKind, KeyId, TenantId, Timestamp};

/// Keys that one list shows.
const LIST: u32 = 1_000;
const MINUTE_MS: i64 = 60_000;

macro_rules! columns {
    () => {
        "id, tenant_id, prefix, hash, name, scopes, expires_at, created_at, revoked_at, last_used_at"
    };
}

pub(crate) fn create(conn: &Connection, key: &ApiKey) -> Result<(), Stop> {
    if !tenants::exists(conn, key.tenant)? {
        return Err(Stop::Verdict(Error::not_found()));
    }
    let holder = conn
        .prepare_cached("SELECT id FROM api_keys WHERE prefix = ?1")?
        .query_row([&key.prefix], |row| row.get(0).map(KeyId::from_bytes))
        .optional()?;
    match holder {
        // The first try's reply was lost.
        Some(id) if id == key.id => return Ok(()),
        Some(_) => {
            let detail = "Another key has the same first characters: make another.";
            return Err(Stop::Verdict(Error::new(ErrorKind::Conflict, "key_prefix_taken", detail)));
        }
        None => {}
    }
    conn.prepare_cached(concat!(
        "INSERT INTO api_keys (",
        columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    ))?
    .execute(params![
        key.id.as_bytes(),
        key.tenant.as_bytes(),
        key.prefix,
        key.hash,
        key.name,
        json(&key.scopes)?,
        millis(key.expires_at),
        key.created_at.as_millis(),
        millis(key.revoked_at),
        millis(key.last_used_at),
    ])?;
    Ok(())
}

pub(crate) fn by_prefix(conn: &Connection, prefix: &str) -> Result<Option<ApiKey>> {
    conn.prepare_cached(concat!("SELECT ", columns!(), " FROM api_keys WHERE prefix = ?1"))?
        .query_row([prefix], key)
        .optional()
}

pub(crate) fn of(conn: &Connection, tenant: TenantId) -> Result<Vec<ApiKey>> {
    conn.prepare_cached(concat!("SELECT ", columns!(), " FROM api_keys WHERE tenant_id = ?1 ORDER BY id LIMIT ?2"))?
        .query_map(params![tenant.as_bytes(), LIST], key)?
        .collect()
}

pub(crate) fn revoke(conn: &Connection, tenant: TenantId, id: KeyId, at: Timestamp) -> Result<bool> {
    let rows = conn
        .prepare_cached("UPDATE api_keys SET revoked_at = ?3 WHERE id = ?1 AND tenant_id = ?2 AND revoked_at IS NULL")?
        .execute(params![id.as_bytes(), tenant.as_bytes(), at.as_millis()])?;
    Ok(rows > 0)
}

pub(crate) fn touch(conn: &Connection, id: KeyId, at: Timestamp) -> Result<()> {
    conn.prepare_cached(
        "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3)",
    )?
    .execute(params![id.as_bytes(), at.as_millis(), at.as_millis().saturating_sub(MINUTE_MS)])?;
    Ok(())
}

fn key(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        prefix: row.get(2)?,
        hash: row.get(3)?,
        name: row.get(4)?,
        scopes: from_json(row, 5)?,
        expires_at: maybe_time(row, 6)?,
        created_at: time(row, 7)?,
        revoked_at: maybe_time(row, 8)?,
        last_used_at: maybe_time(row, 9)?,
    })
}
