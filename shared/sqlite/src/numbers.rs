//! What WhatsApp said of numbers, and how often it was asked.

use crate::Sqlite;
use crate::counters::Subject;
use crate::transaction::Tx;
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;
use warren_domain::number::{KnownNumber, NumberCheck};
use warren_domain::{InstanceId, Result, TenantId, Timestamp};
use warren_ports::ledger::{CheckQuota, Numbers, Outcome};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[async_trait]
impl Numbers for Sqlite {
    async fn known_numbers(&self, tenant: TenantId, phones: &[String]) -> Result<Vec<KnownNumber>> {
        let phones = phones.to_vec();
        self.read(move |conn| Ok(known(conn, tenant, &phones)?)).await
    }

    async fn take_checks(&self, tenant: TenantId, instance: InstanceId, count: u32, quota: CheckQuota) -> Result<bool> {
        self.write(move |tx| Ok(take(tx, tenant, instance, count, quota)?)).await
    }
}

fn known(conn: &Connection, tenant: TenantId, phones: &[String]) -> rusqlite::Result<Vec<KnownNumber>> {
    let mut statement =
        conn.prepare_cached("SELECT jid, lid, checked_at FROM number_checks WHERE tenant_id = ?1 AND phone = ?2")?;
    let mut found = Vec::new();
    for phone in phones {
        let row = statement
            .query_row(params![tenant.as_bytes(), phone], |row| {
                let check = NumberCheck { phone: phone.clone(), jid: row.get(0)?, lid: row.get(1)? };
                Ok(KnownNumber { check, checked_at: crate::rows::time(row, 2)? })
            })
            .optional()?;
        found.extend(row);
    }
    Ok(found)
}

/// Sums of one tenant's day: a row an instance that asked.
fn take(tx: &Tx<'_>, tenant: TenantId, instance: InstanceId, count: u32, quota: CheckQuota) -> rusqlite::Result<bool> {
    let (by_tenant, by_instance): (i64, i64) = tx
        .conn
        .prepare_cached(
            "SELECT ifnull(sum(used), 0), ifnull(sum(iif(instance_id = ?3, used, 0)), 0)
             FROM number_check_uses WHERE tenant_id = ?1 AND day = ?2",
        )?
        .query_row(params![tenant.as_bytes(), quota.day, instance.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let count = i64::from(count);
    if by_instance + count > i64::from(quota.per_instance) || by_tenant + count > i64::from(quota.per_tenant) {
        return Ok(false);
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO number_check_uses (tenant_id, day, instance_id, used) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (tenant_id, day, instance_id) DO UPDATE SET used = used + excluded.used",
        )?
        .execute(params![tenant.as_bytes(), quota.day, instance.as_bytes(), count])?;
    Ok(true)
}

/// Keeps what an owner was told.
pub(crate) fn keep(tx: &Tx<'_>, subject: Subject, checks: &[NumberCheck], at: Timestamp) -> rusqlite::Result<Outcome> {
    let mut statement = tx.conn.prepare_cached(
        "INSERT INTO number_checks (tenant_id, phone, jid, lid, checked_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (tenant_id, phone) DO UPDATE SET jid = excluded.jid, lid = excluded.lid, checked_at = excluded.checked_at",
    )?;
    for check in checks {
        statement.execute(params![subject.tenant.as_bytes(), check.phone, check.jid, check.lid, at.as_millis()])?;
    }
    Ok(if checks.is_empty() { Outcome::NoChange } else { Outcome::Done })
}

/// What counts no more.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    checks: Vec<([u8; 16], String, i64)>,
    uses: Vec<([u8; 16], i64, [u8; 16])>,
}

/// Up to `limit` of each kind that count no more.
pub(crate) fn stale(conn: &Connection, now: Timestamp, limit: u32) -> rusqlite::Result<Stale> {
    // A day longer than it counts: days begin at different times on different clocks.
    let yesterday = now.before(Duration::from_secs(24 * 3_600)).as_millis() / DAY_MS;
    Ok(Stale {
        checks: conn
            .prepare_cached(
                "SELECT tenant_id, phone, checked_at FROM number_checks INDEXED BY number_checks_by_age
                 WHERE checked_at < ?1 LIMIT ?2",
            )?
            .query_map(params![now.before(KnownNumber::KEPT).as_millis(), limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<rusqlite::Result<_>>()?,
        uses: conn
            .prepare_cached(
                "SELECT tenant_id, day, instance_id FROM number_check_uses INDEXED BY number_check_uses_by_day
                 WHERE day < ?1 LIMIT ?2",
            )?
            .query_map(params![yesterday, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?,
    })
}

/// Removes what was found, unless it was written anew meanwhile; how many of the larger kind.
pub(crate) fn remove(tx: &Tx<'_>, stale: &Stale) -> rusqlite::Result<usize> {
    let mut statement =
        tx.conn.prepare_cached("DELETE FROM number_checks WHERE tenant_id = ?1 AND phone = ?2 AND checked_at = ?3")?;
    for (tenant, phone, checked_at) in &stale.checks {
        statement.execute(params![tenant, phone, checked_at])?;
    }
    let mut statement =
        tx.conn.prepare_cached("DELETE FROM number_check_uses WHERE tenant_id = ?1 AND day = ?2 AND instance_id = ?3")?;
    for (tenant, day, instance) in &stale.uses {
        statement.execute(params![tenant, day, instance])?;
    }
    Ok(stale.checks.len().max(stale.uses.len()))
}
