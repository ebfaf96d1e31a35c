//! Messages to groups: who they go to, and how far the weakest of those is.

use super::message::{Messages, climb};
use super::{Item, Result, Tx, changed};
use crate::rows::Id;
use sqlx::{PgConnection, Row};
use std::collections::HashSet;
use warren_domain::group::Member;
use warren_domain::{MessageId, MessageStatus, Recipient, Timestamp};
use warren_ports::ledger::{Outcome, ReceiptTarget};

pub(super) async fn audience(tx: &mut Tx<'_>, item: Item<'_>, message: MessageId, members: &[Member]) -> Result<Outcome> {
    let open = sqlx::query(
        "SELECT m.queue_order, m.chat FROM queue q JOIN messages m ON m.queue_order = q.queue_order
         WHERE m.id = $1 AND m.instance_id = $2 AND m.direction = 1",
    )
    .bind(message.uuid())
    .bind(item.write.instance.uuid())
    .fetch_optional(&mut *tx.conn)
    .await?;
    let Some(open) = open else { return Ok(changed(0)) };
    let order: i64 = open.try_get(0)?;
    if !Recipient::is_group(open.try_get(1)?) {
        return Ok(changed(0));
    }
    // Whoever answered has it, in the group or not.
    sqlx::query(
        "DELETE FROM message_members
         WHERE queue_order = $1 AND delivered_at IS NULL AND read_at IS NULL AND played_at IS NULL",
    )
    .bind(order)
    .execute(&mut *tx.conn)
    .await?;
    sqlx::query(
        "INSERT INTO message_members (queue_order, tenant_id, jid, pn, lid)
         SELECT $1, $2, member.* FROM unnest($3::TEXT[], $4::TEXT[], $5::TEXT[]) AS member (jid, pn, lid)
         ON CONFLICT (queue_order, jid) DO NOTHING",
    )
    .bind(order)
    .bind(item.write.tenant.uuid())
    .bind(members.iter().map(|member| member.jid.as_str()).collect::<Vec<_>>())
    .bind(members.iter().map(|member| member.pn.as_deref()).collect::<Vec<_>>())
    .bind(members.iter().map(|member| member.lid.as_deref()).collect::<Vec<_>>())
    .execute(&mut *tx.conn)
    .await?;
    Ok(Outcome::Done)
}

pub(super) async fn receipt(tx: &mut Tx<'_>, item: Item<'_>, target: &ReceiptTarget, member: &Member) -> Result<Outcome> {
    let instance = item.write.instance;
    let names: HashSet<_> = target.whatsapp_ids.iter().map(|name| (instance, name.as_str())).collect();
    let mut messages = Messages::load(&mut *tx.conn, HashSet::new(), names).await?;
    let mut any = false;
    for name in &target.whatsapp_ids {
        for place in messages.named(instance, name) {
            let Some(message) = messages.at(place) else { continue };
            if !Recipient::is_group(&message.chat) {
                continue;
            }
            let is_news = note(&mut *tx.conn, message.order, member, target.status, target.at).await?;
            let status = if is_news { weakest(&mut *tx.conn, message.order).await? } else { MessageStatus::Sent };
            any |= is_news | climb(tx, item, message, status, target.at)?;
        }
    }
    messages.store(&mut *tx.conn).await?;
    Ok(changed(u64::from(any)))
}

/// Notes what a member did with a message; whether that is news. What came later passed what comes before it.
///
/// A member is found by the name that the audience has, or else by any other: a group may have changed from numbers to hidden
/// addresses meanwhile.
async fn note(
    conn: &mut PgConnection,
    order: i64,
    member: &Member,
    status: MessageStatus,
    at: Timestamp,
) -> sqlx::Result<bool> {
    if status.rank() < MessageStatus::Delivered.rank() {
        return Ok(false);
    }
    let reached = |step: MessageStatus| (step.rank() <= status.rank()).then_some(at.as_millis());
    let done = sqlx::query(
        "UPDATE message_members SET delivered_at = coalesce(delivered_at, $5), read_at = coalesce(read_at, $6),
                played_at = coalesce(played_at, $7)
         WHERE queue_order = $1
               AND jid = coalesce(
                   (SELECT jid FROM message_members WHERE queue_order = $1 AND jid = $2),
                   (SELECT jid FROM message_members
                    WHERE queue_order = $1 AND (jid IN ($3, $4) OR pn IN ($2, $3) OR lid IN ($2, $4)) LIMIT 1))
               AND (delivered_at IS NULL OR (read_at IS NULL AND $6 IS NOT NULL) OR (played_at IS NULL AND $7 IS NOT NULL))",
    )
    .bind(order)
    .bind(member.jid.as_str())
    .bind(member.pn.as_deref())
    .bind(member.lid.as_deref())
    .bind(reached(MessageStatus::Delivered))
    .bind(reached(MessageStatus::Read))
    .bind(reached(MessageStatus::Played))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// How far the weakest of a message's audience is.
async fn weakest(conn: &mut PgConnection, order: i64) -> sqlx::Result<MessageStatus> {
    // Each looks no further than to the first who is behind.
    let lacking: (bool, bool, bool) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM message_members WHERE queue_order = $1 AND delivered_at IS NULL),
                EXISTS (SELECT 1 FROM message_members WHERE queue_order = $1 AND read_at IS NULL),
                EXISTS (SELECT 1 FROM message_members WHERE queue_order = $1 AND played_at IS NULL)",
    )
    .bind(order)
    .fetch_one(conn)
    .await?;
    Ok(match lacking {
        (true, _, _) => MessageStatus::Sent,
        (false, true, _) => MessageStatus::Delivered,
        (false, false, true) => MessageStatus::Read,
        (false, false, false) => MessageStatus::Played,
    })
}
