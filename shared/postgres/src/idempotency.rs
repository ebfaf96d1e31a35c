//! Idempotency keys: what was asked with a key, and what was answered. Kept until retention removes them.

use crate::Postgres;
use crate::failure::{Stop, corrupt};
use crate::rows::{self, Id, time};
use crate::scope::Enter;
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use warren_domain::{Error, MessageId, Result, TenantId, Timestamp};
use warren_ports::ledger::{Idempotency, Reservation, Reserved, StoredResponse};

/// In `idempotency.purpose`: a request that was reserved.
const REQUEST: i16 = 0;

#[async_trait]
impl Idempotency for Postgres {
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved> {
        self.writing(|| async {
            loop {
                if let Some(resource) = take(self.pool(), reservation).await? {
                    return Ok(Reserved::Fresh(resource));
                }
                // Not there either: it was given back in between.
                if let Some(held) = held(self.pool(), reservation).await? {
                    return Ok(held);
                }
            }
        })
        .await
    }

    async fn complete(&self, tenant: TenantId, key: &str, response: &StoredResponse) -> Result<()> {
        self.writing(|| async {
            // The first answer stays: it may have been seen.
            let done = sqlx::query(
                "UPDATE idempotency SET body = CASE WHEN status IS NULL THEN $4 ELSE body END, status = coalesce(status, $3)
                 WHERE tenant_id = $1 AND key = $2 AND purpose = $5",
            )
            .bind(tenant.scope())
            .bind(key)
            .bind(i32::from(response.status))
            .bind(&response.body)
            .bind(REQUEST)
            .execute(self.pool())
            .await?;
            if done.rows_affected() == 0 { Err(Stop::Verdict(Error::not_found())) } else { Ok(()) }
        })
        .await
    }

    async fn release(&self, tenant: TenantId, key: &str) -> Result<()> {
        self.writing(|| async {
            sqlx::query("DELETE FROM idempotency WHERE tenant_id = $1 AND key = $2 AND purpose = $3 AND status IS NULL")
                .bind(tenant.scope())
                .bind(key)
                .bind(REQUEST)
                .execute(self.pool())
                .await?;
            Ok(())
        })
        .await
    }
}

/// Takes a key that is free, or was abandoned by a request that was the same; the id for what is created.
async fn take(pool: &PgPool, reservation: &Reservation) -> sqlx::Result<Option<MessageId>> {
    let row = sqlx::query(
        "INSERT INTO idempotency AS kept (tenant_id, key, purpose, fingerprint, resource, stored_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, key) DO UPDATE SET stored_at = excluded.stored_at
             WHERE kept.purpose = excluded.purpose AND kept.fingerprint = excluded.fingerprint AND kept.status IS NULL
                   AND kept.stored_at < $7
         RETURNING resource",
    )
    .bind(reservation.tenant.scope())
    .bind(&reservation.key.key)
    .bind(REQUEST)
    .bind(reservation.key.fingerprint.as_slice())
    .bind(reservation.resource.uuid())
    .bind(reservation.at.as_millis())
    .bind(reservation.abandoned_before.as_millis())
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(|row| rows::id(row, 0)).transpose()
}

/// What is said of a key that could not be taken.
async fn held(pool: &PgPool, reservation: &Reservation) -> sqlx::Result<Option<Reserved>> {
    let row = sqlx::query(
        "SELECT purpose, fingerprint, resource, stored_at, status, body FROM idempotency WHERE tenant_id = $1 AND key = $2",
    )
    .bind(reservation.tenant.scope())
    .bind(&reservation.key.key)
    .fetch_optional(pool)
    .await?;
    row.as_ref().map(|row| verdict(row, reservation)).transpose()
}

fn verdict(row: &PgRow, reservation: &Reservation) -> sqlx::Result<Reserved> {
    let (purpose, fingerprint): (i16, [u8; 32]) = (row.try_get(0)?, row.try_get(1)?);
    if purpose != REQUEST || fingerprint != reservation.key.fingerprint {
        return Ok(Reserved::Mismatch);
    }
    if let Some(status) = row.try_get::<Option<i32>, _>(4)? {
        let status = u16::try_from(status).map_err(|_| corrupt(4))?;
        return Ok(Reserved::Done(StoredResponse { status, body: row.try_get(5)? }));
    }
    let (resource, at): (MessageId, Timestamp) = (rows::id(row, 2)?, time(row, 3)?);
    if resource == reservation.resource && at == reservation.at {
        // Made by this call: the first try's reply was lost.
        return Ok(Reserved::Fresh(resource));
    }
    Ok(Reserved::InFlight)
}
