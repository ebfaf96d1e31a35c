//! Messages, as they are read: by the edge under its tenant, by the owner under its instances.
//!
//! One table for both directions. Everything of a message is persisted; its encrypted form only from the claim until the
//! server's ack, with its place in the queue.

use crate::rows::{
    self, Id, direction_number, message_columns, message_source, message_status, outbound_columns, small, uuids,
};
use crate::scope::Enter;
use crate::{Postgres, accept, queue};
use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use std::collections::HashSet;
use uuid::Uuid;
use warren_domain::group::{Member, MemberReceipt};
use warren_domain::message::Outbound;
use warren_domain::{InstanceId, Message, MessageId, Result, Shard, TenantId, Timestamp};
use warren_ports::ledger::{Accepted, Acquaintance, MessageFilter, Messages, NewMessage, Released};

/// How many messages with one WhatsApp id are shown.
const SAME_ID: i64 = 100;

#[async_trait]
impl Messages for Postgres {
    async fn accept(&self, messages: Vec<NewMessage>) -> Result<Vec<Accepted>> {
        accept::accept(self, messages).await
    }

    async fn message(&self, tenant: TenantId, id: MessageId) -> Result<Option<Message>> {
        self.reading(|| async { Ok(find(self.pool(), tenant, &[id]).await?.pop()) }).await
    }

    async fn messages_by_whatsapp_id(
        &self,
        tenant: TenantId,
        instance: InstanceId,
        whatsapp_id: &str,
    ) -> Result<Vec<Message>> {
        if whatsapp_id.contains('\0') {
            return Ok(Vec::new());
        }
        self.reading(|| async {
            // Two partial indexes hold the ids, one a direction.
            let rows = sqlx::query(concat!(
                "SELECT ",
                message_columns!(),
                " FROM (SELECT * FROM messages WHERE instance_id = $2 AND whatsapp_id = $3 AND direction = 1
                        UNION ALL
                        SELECT * FROM messages WHERE instance_id = $2 AND whatsapp_id = $3 AND direction = 0) m
                  LEFT JOIN queue q ON q.queue_order = m.queue_order
                  WHERE m.tenant_id = $1 ORDER BY m.queue_order LIMIT $4"
            ))
            .bind(tenant.scope())
            .bind(instance.uuid())
            .bind(whatsapp_id)
            .bind(SAME_ID)
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(rows::message).collect::<sqlx::Result<_>>()?)
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
        if filter.chat.as_ref().is_some_and(|chat| chat.contains('\0')) {
            return Ok(Vec::new());
        }
        self.reading(|| async {
            let rows = sqlx::query(concat!(
                "SELECT ",
                message_columns!(),
                " FROM ",
                message_source!(),
                " WHERE m.instance_id = $2 AND m.id < $3 AND m.tenant_id = $1 AND ($4 IS NULL OR m.direction = $4)
                        AND ($5 IS NULL OR ",
                message_status!(),
                " = $5) AND ($6 IS NULL OR m.chat = $6)
                  ORDER BY m.id DESC LIMIT $7"
            ))
            .bind(tenant.scope())
            .bind(instance.uuid())
            .bind(before.map_or(Uuid::max(), |id| id.uuid()))
            .bind(filter.direction.map(direction_number))
            .bind(filter.status.map(|status| small(status.rank())))
            .bind(&filter.chat)
            .bind(i64::from(limit))
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(rows::message).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn member_receipts(&self, tenant: TenantId, id: MessageId) -> Result<Vec<MemberReceipt>> {
        self.reading(|| async {
            let rows = sqlx::query(
                "SELECT jid, pn, lid, delivered_at, read_at, played_at FROM message_members
                 WHERE queue_order = (SELECT queue_order FROM messages WHERE id = $1 AND tenant_id = $2) ORDER BY jid",
            )
            .bind(id.uuid())
            .bind(tenant.scope())
            .fetch_all(self.pool())
            .await?;
            Ok(rows.iter().map(member_receipt).collect::<sqlx::Result<_>>()?)
        })
        .await
    }

    async fn open_messages(&self, instances: &[InstanceId], limit: u32) -> Result<Vec<Outbound>> {
        self.reading(|| async { Ok(queue::open(self.pool(), instances, limit).await?) }).await
    }

    async fn open_messages_to_known(&self, instance: InstanceId, limit: u32) -> Result<Vec<Outbound>> {
        self.reading(|| async { Ok(queue::open_to_known(self.pool(), instance, limit).await?) }).await
    }

    async fn acquaintance(&self, instance: InstanceId, chats: &[String], since: Timestamp) -> Result<Acquaintance> {
        self.reading(|| async { Ok(queue::acquaintance(self.pool(), instance, chats, since).await?) }).await
    }

    async fn release_due(&self, now: Timestamp, limit: u32) -> Result<Released> {
        self.writing(|| async { Ok(queue::release(self.pool(), now, limit).await?) }).await
    }

    async fn instances_with_open_messages(&self, shards: &[Shard]) -> Result<Vec<InstanceId>> {
        let (shards, count): (HashSet<&Shard>, _) = (shards.iter().collect(), self.shards());
        let mut found = self.reading(|| async { Ok(queue::with_open(self.pool()).await?) }).await?;
        found.retain(|instance| shards.contains(&Shard::of(*instance, count)));
        Ok(found)
    }

    async fn outbound_by_whatsapp_id(&self, instance: InstanceId, whatsapp_id: &str) -> Result<Option<Outbound>> {
        if whatsapp_id.contains('\0') {
            return Ok(None);
        }
        self.reading(|| async {
            let row = sqlx::query(concat!(
                "SELECT ",
                outbound_columns!(),
                " FROM ",
                message_source!(),
                " WHERE m.instance_id = $1 AND m.whatsapp_id = $2 AND m.direction = 1 ORDER BY m.queue_order DESC LIMIT 1"
            ))
            .bind(instance.uuid())
            .bind(whatsapp_id)
            .fetch_optional(self.pool())
            .await?;
            Ok(row.as_ref().map(rows::outbound).transpose()?)
        })
        .await
    }

    async fn has_inbound(&self, instance: InstanceId, chat: &str, author: &str, whatsapp_id: &str) -> Result<bool> {
        if [chat, author, whatsapp_id].iter().any(|text| text.contains('\0')) {
            return Ok(false);
        }
        self.reading(|| async {
            let row = sqlx::query(
                "SELECT 1 FROM messages
                 WHERE instance_id = $1 AND whatsapp_id = $2 AND chat = $3 AND author_jid = $4 AND direction = 0",
            )
            .bind(instance.uuid())
            .bind(whatsapp_id)
            .bind(chat)
            .bind(author)
            .fetch_optional(self.pool())
            .await?;
            Ok(row.is_some())
        })
        .await
    }
}

/// Those of the messages with these ids that are the tenant's.
pub(crate) async fn find(conn: impl PgExecutor<'_>, tenant: TenantId, ids: &[MessageId]) -> sqlx::Result<Vec<Message>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        message_columns!(),
        " FROM ",
        message_source!(),
        " WHERE m.id = ANY ($1) AND m.tenant_id = $2"
    ))
    .bind(uuids(ids))
    .bind(tenant.scope())
    .fetch_all(conn)
    .await?;
    rows.iter().map(rows::message).collect()
}

fn member_receipt(row: &PgRow) -> sqlx::Result<MemberReceipt> {
    Ok(MemberReceipt {
        member: Member { jid: row.try_get(0)?, pn: row.try_get(1)?, lid: row.try_get(2)? },
        delivered_at: rows::maybe_time(row, 3)?,
        read_at: rows::maybe_time(row, 4)?,
        played_at: rows::maybe_time(row, 5)?,
    })
}
