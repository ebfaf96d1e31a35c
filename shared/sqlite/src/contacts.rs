//! People with whom an instance exchanged messages, in `known_chats`: one row an address. What a row says of its person is that
//! of his latest message, and is written only when it changes.

use crate::Sqlite;
use async_trait::async_trait;
use rusqlite::{Connection, params};
use warren_domain::{InstanceId, Message, Result, TenantId};
use warren_ports::ledger::{Contact, Contacts};

#[async_trait]
impl Contacts for Sqlite {
    async fn contacts(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Contact>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT chat, name FROM known_chats
                 WHERE instance_id = ?1 AND tenant_id = ?2 AND chat > ?3 AND pn IS NULL ORDER BY chat LIMIT ?4",
            )?;
            let found = statement
                .query_map(params![instance.as_bytes(), tenant.as_bytes(), after, limit], |row| {
                    Ok(Contact { address: row.get(0)?, name: row.get(1)? })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(found)
        })
        .await
    }
}

/// Who writes to an account is known to it, under each of his addresses, by the name that he has now.
pub(crate) fn meet(conn: &Connection, message: &Message) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(
        "INSERT INTO known_chats (instance_id, chat, tenant_id, name, pn) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (instance_id, chat) DO UPDATE SET name = coalesce(excluded.name, name), pn = coalesce(excluded.pn, pn)
         WHERE name IS NOT coalesce(excluded.name, name) OR pn IS NOT coalesce(excluded.pn, pn)",
    )?;
    for met in message.acquaintances() {
        let (instance, tenant) = (message.instance.as_bytes(), message.tenant.as_bytes());
        statement.execute(params![instance, met.address, tenant, met.name, met.pn])?;
    }
    Ok(())
}
