//! Idempotency keys: what was asked with a key, and what was answered. Kept until retention removes them.

use crate::Sqlite;
use crate::failure::Stop;
use crate::transaction::Tx;
use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};
use warren_domain::{Error, MessageId, Result, TenantId, Timestamp};
use warren_ports::ledger::{Idempotency, Reservation, Reserved, StoredResponse};

/// In `idempotency.purpose`: a request that was reserved.
const REQUEST: i64 = 0;

#[async_trait]
impl Idempotency for Sqlite {
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved> {
        let reservation = reservation.clone();
        self.write(move |tx| Ok(reserve(tx, &reservation)?)).await
    }

    async fn complete(&self, tenant: TenantId, key: &str, response: &StoredResponse) -> Result<()> {
        let (key, response) = (key.to_owned(), response.clone());
        self.write(move |tx| {
            let reserved = tx
                .conn
                .prepare_cached("SELECT 1 FROM idempotency WHERE tenant_id = ?1 AND key = ?2 AND purpose = ?3")?
                .exists(params![tenant.as_bytes(), key, REQUEST])?;
            if !reserved {
                return Err(Stop::Verdict(Error::not_found()));
            }
            // The first answer stays: it may have been seen.
            tx.conn
                .prepare_cached(
                    "UPDATE idempotency SET status = ?3, body = ?4 WHERE tenant_id = ?1 AND key = ?2 AND status IS NULL",
                )?
                .execute(params![tenant.as_bytes(), key, response.status, response.body])?;
            Ok(())
        })
        .await
    }

    async fn release(&self, tenant: TenantId, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.write(move |tx| {
            tx.conn
                .prepare_cached(
                    "DELETE FROM idempotency WHERE tenant_id = ?1 AND key = ?2 AND purpose = ?3 AND status IS NULL",
                )?
                .execute(params![tenant.as_bytes(), key, REQUEST])?;
            Ok(())
        })
        .await
    }
}

struct Stored {
    purpose: i64,
    fingerprint: [u8; 32],
    resource: MessageId,
    at: Timestamp,
    response: Option<StoredResponse>,
}

fn reserve(tx: &Tx<'_>, reservation: &Reservation) -> rusqlite::Result<Reserved> {
    let tenant = reservation.tenant.as_bytes();
    let key = &reservation.key;
    let stored = tx
        .conn
        .prepare_cached(
            "SELECT purpose, fingerprint, resource, stored_at, status, body FROM idempotency WHERE tenant_id = ?1 AND key = ?2",
        )?
        .query_row(params![tenant, key.key], |row| {
            let response = match row.get::<_, Option<u16>>(4)? {
                Some(status) => Some(StoredResponse { status, body: row.get(5)? }),
                None => None,
            };
            Ok(Stored {
                purpose: row.get(0)?,
                fingerprint: row.get(1)?,
                resource: MessageId::from_bytes(row.get(2)?),
                at: crate::rows::time(row, 3)?,
                response,
            })
        })
        .optional()?;
    let Some(stored) = stored else {
        tx.conn
            .prepare_cached(
                "INSERT INTO idempotency (tenant_id, key, purpose, fingerprint, resource, stored_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                tenant,
                key.key,
                REQUEST,
                key.fingerprint,
                reservation.resource.as_bytes(),
                reservation.at.as_millis()
            ])?;
        return Ok(Reserved::Fresh(reservation.resource));
    };
    if stored.purpose != REQUEST || stored.fingerprint != key.fingerprint {
        return Ok(Reserved::Mismatch);
    }
    if let Some(response) = stored.response {
        return Ok(Reserved::Done(response));
    }
    if stored.at >= reservation.abandoned_before {
        return Ok(Reserved::InFlight);
    }
    tx.conn.prepare_cached("UPDATE idempotency SET stored_at = ?3 WHERE tenant_id = ?1 AND key = ?2")?.execute(params![
        tenant,
        key.key,
        reservation.at.as_millis()
    ])?;
    Ok(Reserved::Fresh(stored.resource))
}
