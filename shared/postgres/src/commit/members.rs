//! Messages to groups: who they go to, and how far the weakest of those is.

mod listed;

use super::message::{Messages, climb};
use super::{Item, Result, Tx, changed};
use crate::rows::Id;
use listed::Listed;
use sqlx::Row;
use std::collections::HashSet;
use warren_domain::group::Member;
use warren_domain::{MessageId, MessageStatus, Recipient};
use warren_ports::ledger::{Op, Outcome, ReceiptTarget};

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

/// What members of groups did: noted with each, and the messages are raised as far as the weakest of their audiences are.
pub(super) async fn receipts(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let mut names = HashSet::new();
    for (item, target, _) in told(items) {
        names.extend(target.whatsapp_ids.iter().map(|name| (item.write.instance, name.as_str())));
    }
    let mut messages = Messages::load(&mut *tx.conn, HashSet::new(), names).await?;
    let mut asked = Vec::new();
    for (item, target, member) in told(items) {
        // What only proves that the server has it is no member's.
        if target.status.rank() >= MessageStatus::Delivered.rank() {
            let of_groups = groups(&mut messages, item, target);
            asked.extend(of_groups.into_iter().map(|(_, order)| (order, member)));
        }
    }
    let mut listed = Listed::load(&mut *tx.conn, &asked).await?;
    for (item, target, member) in told(items) {
        let mut any = false;
        for (place, order) in groups(&mut messages, item, target) {
            let is_news = listed.note(order, member, target.status, target.at);
            let status = if is_news { listed.weakest(order) } else { MessageStatus::Sent };
            if let Some(message) = messages.at(place) {
                any |= is_news | climb(tx, item, message, status, target.at)?;
            }
        }
        tx.settle(item, changed(u64::from(any)));
    }
    listed.store(&mut *tx.conn).await?;
    messages.store(&mut *tx.conn).await
}

/// The receipts among writes.
fn told<'a>(items: &[Item<'a>]) -> impl Iterator<Item = (Item<'a>, &'a ReceiptTarget, &'a Member)> {
    items.iter().filter_map(|item| match &item.write.op {
        Op::MemberReceipt { target, member } => Some((*item, target, member)),
        _ => None,
    })
}

/// The messages to groups that a receipt names: where they were read to, and their places in the queue.
fn groups(messages: &mut Messages, item: Item<'_>, target: &ReceiptTarget) -> Vec<(usize, i64)> {
    let mut found = Vec::new();
    for name in &target.whatsapp_ids {
        for place in messages.named(item.write.instance, name) {
            let group = messages.at(place).filter(|message| Recipient::is_group(&message.chat));
            found.extend(group.map(|message| (place, message.order)));
        }
    }
    found
}
