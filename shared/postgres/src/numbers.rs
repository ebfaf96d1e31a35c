//! What WhatsApp said of numbers, and how often it was asked.

use crate::failure::Stop;
use crate::rows::{Id, time};
use crate::scope::Enter;
use crate::{Postgres, tenants};
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use std::time::Duration;
use warren_domain::number::{KnownNumber, NumberCheck};
use warren_domain::{InstanceId, Result, TenantId, Timestamp};
use warren_ports::ledger::{CheckQuota, Numbers};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

#[async_trait]
impl Numbers for Postgres {
    async fn known_numbers(&self, tenant: TenantId, phones: &[String]) -> Result<Vec<KnownNumber>> {
        self.reading(|| async {
            let rows = sqlx::query(
                "SELECT phone, jid, lid, checked_at FROM number_checks WHERE tenant_id = $1 AND phone = ANY ($2)",
            )
            .bind(tenant.scope())
            .bind(phones)
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(known).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn take_checks(&self, tenant: TenantId, instance: InstanceId, count: u32, quota: CheckQuota) -> Result<bool> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            // Of a tenant's parallel calls each sees what the one before took.
            tenants::lock(&mut tx, tenant).await?;
            let taken = take(&mut tx, tenant, instance, count, quota).await?;
            tx.commit().await?;
            Ok(taken)
        })
        .await
    }
}

fn known(row: &PgRow) -> sqlx::Result<KnownNumber> {
    let check = NumberCheck { phone: row.try_get(0)?, jid: row.try_get(1)?, lid: row.try_get(2)? };
    Ok(KnownNumber { check, checked_at: time(row, 3)? })
}

/// Adds to one tenant's day, which has a row an instance that asked, if neither sum goes beyond what it may be.
async fn take(
    conn: &mut PgConnection,
    tenant: TenantId,
    instance: InstanceId,
    count: u32,
    quota: CheckQuota,
) -> Result<bool, Stop> {
    let done = sqlx::query(
        "INSERT INTO number_check_uses AS kept (tenant_id, day, instance_id, used)
         SELECT $1, $2, $3, $4 FROM (
             SELECT coalesce(sum(used), 0) AS all, coalesce(sum(used) FILTER (WHERE instance_id = $3), 0) AS own
             FROM number_check_uses WHERE tenant_id = $1 AND day = $2
         ) used
         WHERE used.own + $4 <= $5 AND used.all + $4 <= $6
         ON CONFLICT (tenant_id, day, instance_id) DO UPDATE SET used = kept.used + excluded.used",
    )
    .bind(tenant.scope())
    .bind(i64::from(quota.day))
    .bind(instance.uuid())
    .bind(i64::from(count))
    .bind(i64::from(quota.per_instance))
    .bind(i64::from(quota.per_tenant))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Removes up to `limit` answers that count no more, and as many days; how many of the larger kind.
pub(crate) async fn expire(pool: &PgPool, now: Timestamp, limit: u32) -> sqlx::Result<u64> {
    let checks = sqlx::query(
        "DELETE FROM number_checks WHERE ctid = ANY (ARRAY (
             SELECT ctid FROM number_checks WHERE checked_at < $1 ORDER BY checked_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(now.before(KnownNumber::KEPT).as_millis())
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    // A day longer than it counts: days begin at different times on different clocks.
    let yesterday = now.before(Duration::from_secs(24 * 3_600)).as_millis() / DAY_MS;
    let uses = sqlx::query(
        "DELETE FROM number_check_uses WHERE ctid = ANY (ARRAY (
             SELECT ctid FROM number_check_uses WHERE day < $1 ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED))",
    )
    .bind(yesterday)
    .bind(i64::from(limit))
    .execute(pool)
    .await?;
    Ok(checks.rows_affected().max(uses.rows_affected()))
}
