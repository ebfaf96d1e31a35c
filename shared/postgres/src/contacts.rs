//! People with whom an instance exchanged messages, in `known_chats`: one row an address. Owners write it with the messages that
//! make it (`commit`).

use crate::Postgres;
use crate::rows::Id;
use crate::scope::Enter;
use async_trait::async_trait;
use sqlx::Row;
use warren_domain::{InstanceId, Result, TenantId};
use warren_ports::ledger::{Contact, Contacts};

#[async_trait]
impl Contacts for Postgres {
    async fn contacts(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Contact>> {
        self.reading(|| async {
            let rows = sqlx::query(
                "SELECT chat, name FROM known_chats
                 WHERE instance_id = $1 AND tenant_id = $2 AND chat > $3 AND pn IS NULL ORDER BY chat LIMIT $4",
            )
            .bind(instance.uuid())
            .bind(tenant.scope())
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            let contact = |row: &sqlx::postgres::PgRow| Ok(Contact { address: row.try_get(0)?, name: row.try_get(1)? });
            Ok(rows.iter().map(contact).collect::<sqlx::Result<_>>()?)
        })
        .await
    }
}
