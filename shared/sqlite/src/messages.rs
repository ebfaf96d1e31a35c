//! Messages, as they are read: by the edge under its tenant, by the owner under its instances.
//!
//! One table for both directions. Everything of a message is persisted; its encrypted form only from the claim until the
//! server's ack.

use crate::commit::shard_set;
use crate::rows::{self, direction_number, message_columns, outbound_columns};
use crate::{Sqlite, accept, queue};
use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use warren_domain::group::{Member, MemberReceipt};
use warren_domain::message::Outbound;
use warren_domain::{InstanceId, Message, MessageId, MessageStatus, Result, Shard, TenantId, Timestamp};
use warren_ports::ledger::{Accepted, Acquaintance, MessageFilter, Messages, NewMessage, Released};

/// How many messages with one WhatsApp id are shown.
const SAME_ID: u32 = 100;
/// Above every id.
const LAST_ID: [u8; 16] = [0xff; 16];

#[async_trait]
impl Messages for Sqlite {
    async fn accept(&self, messages: Vec<NewMessage>) -> Result<Vec<Accepted>> {
        accept::accept(self, messages).await
    }

    async fn message(&self, tenant: TenantId, id: MessageId) -> Result<Option<Message>> {
        self.read(move |conn| Ok(find(conn, tenant, id)?)).await
    }

    async fn messages_by_whatsapp_id(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        whatsapp_id: &str,
    ) -> Result<Vec<Message>> {
        let whatsapp_id = whatsapp_id.to_owned();
        self.read(move |conn| {
            // Two partial indexes hold the ids, one a direction.
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                message_columns!(),
                " FROM messages WHERE queue_order IN (
                      SELECT queue_order FROM messages INDEXED BY messages_outbound
                      WHERE instance_id = ?2 AND whatsapp_id = ?3 AND direction = 1
                      UNION ALL
                      SELECT queue_order FROM messages INDEXED BY messages_inbound
                      WHERE instance_id = ?2 AND whatsapp_id = ?3 AND direction = 0)
                  AND tenant_id = ?1 ORDER BY queue_order LIMIT ?4"
            ))?;
            let found = statement
                .query_map(params![tenant.as_bytes(), instance.as_bytes(), whatsapp_id, SAME_ID], rows::message)?
                .collect::<rusqlite::Result<_>>()?;
            Ok(found)
        })
        .await
    }

    async fn messages(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        filter: &MessageFilter,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<Message>> {
        let filter = filter.clone();
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                message_columns!(),
                " FROM messages INDEXED BY messages_by_instance
                  WHERE instance_id = ?2 AND id < ?3 AND tenant_id = ?1
                        AND (?4 IS NULL OR direction = ?4) AND (?5 IS NULL OR status = ?5) AND (?6 IS NULL OR chat = ?6)
                  ORDER BY id DESC LIMIT ?7"
            ))?;
            let found = statement
                .query_map(
                    params![
                        tenant.as_bytes(),
                        instance.as_bytes(),
                        before.map_or(LAST_ID, |id| *id.as_bytes()),
                        filter.direction.map(direction_number),
                        filter.status.map(MessageStatus::rank),
                        filter.chat,
                        limit,
                    ],
                    rows::message,
                )?
                .collect::<rusqlite::Result<_>>()?;
            Ok(found)
        })
        .await
    }

    async fn member_receipts(&self, tenant: TenantId, id: MessageId) -> Result<Vec<MemberReceipt>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT jid, pn, lid, m.delivered_at, m.read_at, m.played_at FROM message_members m
                 WHERE m.queue_order = (SELECT queue_order FROM messages WHERE id = ?1 AND tenant_id = ?2) ORDER BY jid",
            )?;
            let found = statement
                .query_map(params![id.as_bytes(), tenant.as_bytes()], |row| {
                    Ok(MemberReceipt {
                        member: Member { jid: row.get(0)?, pn: row.get(1)?, lid: row.get(2)? },
                        delivered_at: rows::maybe_time(row, 3)?,
                        read_at: rows::maybe_time(row, 4)?,
                        played_at: rows::maybe_time(row, 5)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()?;
            Ok(found)
        })
        .await
    }

    async fn open_messages(&self, instances: &[InstanceId], limit: u32) -> Result<Vec<Outbound>> {
        let instances = instances.to_vec();
        self.read(move |conn| {
            let mut found = Vec::new();
            for instance in &instances {
                queue::open(conn, *instance, limit, &mut found)?;
            }
            Ok(found)
        })
        .await
    }

    async fn open_messages_to_known(&self, instance: InstanceId, limit: u32) -> Result<Vec<Outbound>> {
        self.read(move |conn| Ok(queue::open_to_known(conn, instance, limit)?)).await
    }

    async fn acquaintance(&self, instance: InstanceId, chats: &[String], since: Timestamp) -> Result<Acquaintance> {
        let chats = chats.to_vec();
        self.read(move |conn| Ok(queue::acquaintance(conn, instance, &chats, since)?)).await
    }

    async fn release_due(&self, now: Timestamp, limit: u32) -> Result<Released> {
        // Almost always nothing is due: the lane is not troubled then.
        let next = self.read(|conn| Ok(queue::next_due(conn)?)).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Released { instances: Vec::new(), next });
        }
        self.write(move |tx| Ok(queue::release(tx.conn, now, limit)?)).await
    }

    async fn instances_with_open_messages(&self, shards: &[Shard]) -> Result<Vec<InstanceId>> {
        let (shards, count) = (shard_set(shards), self.shards());
        self.read(move |conn| {
            // One step of the index an instance, however many messages each has open.
            let mut statement = conn.prepare_cached(
                "WITH RECURSIVE open (instance_id) AS (
                     SELECT (SELECT min(instance_id) FROM messages INDEXED BY messages_open WHERE status < 2 AND held = 0)
                     UNION ALL
                     SELECT (SELECT min(m.instance_id) FROM messages m INDEXED BY messages_open
                             WHERE m.status < 2 AND m.held = 0 AND m.instance_id > open.instance_id)
                     FROM open WHERE open.instance_id IS NOT NULL)
                 SELECT instance_id FROM open WHERE instance_id IS NOT NULL",
            )?;
            let mut found = Vec::new();
            for row in statement.query_map([], |row| row.get(0).map(InstanceId::from_bytes))? {
                let instance = row?;
                if shards.contains(&Shard::of(instance, count)) {
                    found.push(instance);
                }
            }
            Ok(found)
        })
        .await
    }

    async fn outbound_by_whatsapp_id(&self, instance: InstanceId, whatsapp_id: &str) -> Result<Option<Outbound>> {
        let whatsapp_id = whatsapp_id.to_owned();
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                outbound_columns!(),
                " FROM messages INDEXED BY messages_outbound
                  WHERE instance_id = ?1 AND whatsapp_id = ?2 AND direction = 1 ORDER BY queue_order DESC LIMIT 1"
            ))?;
            Ok(statement.query_row(params![instance.as_bytes(), whatsapp_id], rows::outbound).optional()?)
        })
        .await
    }

    async fn has_inbound(&self, instance: InstanceId, chat: &str, author: &str, whatsapp_id: &str) -> Result<bool> {
        let (chat, author, whatsapp_id) = (chat.to_owned(), author.to_owned(), whatsapp_id.to_owned());
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(
                "SELECT 1 FROM messages INDEXED BY messages_inbound
                 WHERE instance_id = ?1 AND whatsapp_id = ?2 AND chat = ?3 AND author_jid = ?4 AND direction = 0",
            )?;
            Ok(statement.exists(params![instance.as_bytes(), whatsapp_id, chat, author])?)
        })
        .await
    }
}

/// The tenant's message with this id.
pub(crate) fn find(conn: &Connection, tenant: TenantId, id: MessageId) -> rusqlite::Result<Option<Message>> {
    conn.prepare_cached(concat!("SELECT ", message_columns!(), " FROM messages WHERE id = ?1 AND tenant_id = ?2"))?
        .query_row(params![id.as_bytes(), tenant.as_bytes()], rows::message)
        .optional()
}
