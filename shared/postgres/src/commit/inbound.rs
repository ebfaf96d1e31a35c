//! Messages that came in: each once, with its event, its file, and the acquaintance that it makes.

use super::{Item, Result, Tx, changed, media};
use crate::counters::Entry;
use crate::rows::{Id, delivery_number, id, json, maybe_json, millis, object, shown, small};
use sqlx::PgConnection;
use std::collections::HashSet;
use uuid::Uuid;
use warren_domain::{Message, MessageId, MessageStatus, Timestamp};
use warren_ports::ledger::{Inbound, Op};

/// Whether a chat is with one person: only these can be strangers.
pub(super) fn is_with_a_person(chat: &str) -> bool {
    chat.ends_with("@s.whatsapp.net") || chat.ends_with("@lid")
}

/// Commits what came in; what is there already, or twice in the batch, is no change.
pub(super) async fn receive(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<()> {
    let received: Vec<(Item<'_>, &Inbound)> = items
        .iter()
        .filter_map(|item| match &item.write.op {
            Op::Receive(inbound) => Some((*item, &**inbound)),
            _ => None,
        })
        .collect();
    if received.is_empty() {
        return Ok(());
    }
    let messages: Vec<&Message> = received.iter().map(|(_, inbound)| &inbound.message).collect();
    let mut new = insert(&mut *tx.conn, &messages, tx.now).await?;
    for (item, inbound) in received {
        let is_new = new.remove(&inbound.message.id);
        if is_new {
            if let Some(file) = &inbound.media {
                media::insert(&mut *tx.conn, file).await?;
            }
            let entry = Entry::traffic(item.subject(), &inbound.event)?;
            tx.append(item, entry);
        }
        tx.settle(item, changed(u64::from(is_new)));
    }
    Ok(())
}

/// Stores messages; which of them are new. Who writes to an account is known to it, under each of his addresses.
async fn insert(conn: &mut PgConnection, messages: &[&Message], now: Timestamp) -> sqlx::Result<HashSet<MessageId>> {
    let texts = |of: fn(&Message) -> Option<&str>| messages.iter().map(|message| of(message)).collect::<Vec<_>>();
    let contents = messages.iter().map(|message| json(&message.content)).collect::<Result<Vec<_>, _>>()?;
    let quoted = messages.iter().map(|message| maybe_json(message.quoted.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let metadata = messages.iter().map(|message| object(&message.metadata)).collect::<Result<Vec<_>, _>>()?;
    let (instances, chats, tenants) = acquaintances(messages);
    let rows = sqlx::query(
        "WITH met AS (
             INSERT INTO known_chats (instance_id, chat, tenant_id)
             SELECT * FROM unnest($17::UUID[], $18::TEXT[], $19::UUID[]) ON CONFLICT (instance_id, chat) DO NOTHING)
         INSERT INTO messages (direction, status, attempt, stored_at, id, tenant_id, instance_id, whatsapp_id, chat, author_jid,
             author_pn, author_lid, author_name, content, quoted, delivery, metadata, backfilled, created_at, delivered_at)
         SELECT 0, $1, 0, $2, item.* FROM unnest($3::UUID[], $4::UUID[], $5::UUID[], $6::TEXT[], $7::TEXT[], $8::TEXT[],
             $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::SMALLINT[], $15::TEXT[], $16::BOOLEAN[],
             $20::BIGINT[], $21::BIGINT[]) AS item
         ON CONFLICT (instance_id, whatsapp_id, chat, author_jid) WHERE direction = 0 DO NOTHING
         RETURNING id",
    )
    .bind(small(MessageStatus::Delivered.rank()))
    .bind(now.as_millis())
    .bind(messages.iter().map(|message| message.id.uuid()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.tenant.uuid()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.instance.uuid()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.whatsapp_id.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.chat.as_str()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.author.as_ref().map_or("", |person| &person.jid)).collect::<Vec<_>>())
    .bind(texts(|message| message.author.as_ref()?.pn.as_deref()))
    .bind(texts(|message| message.author.as_ref()?.lid.as_deref()))
    .bind(texts(|message| message.author.as_ref()?.push_name.as_deref()).into_iter().map(|name| name.map(shown)).collect::<Vec<_>>())
    .bind(contents)
    .bind(quoted)
    .bind(messages.iter().map(|message| delivery_number(message.delivery)).collect::<Vec<_>>())
    .bind(metadata)
    .bind(messages.iter().map(|message| message.backfilled).collect::<Vec<_>>())
    .bind(instances)
    .bind(chats)
    .bind(tenants)
    .bind(messages.iter().map(|message| message.times.created.as_millis()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| millis(message.times.delivered)).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| id(row, 0)).collect()
}

/// Whom the instances know from these messages.
fn acquaintances<'a>(messages: &[&'a Message]) -> (Vec<Uuid>, Vec<&'a str>, Vec<Uuid>) {
    let (mut instances, mut chats, mut tenants) = (Vec::new(), Vec::new(), Vec::new());
    for message in messages.iter().filter(|message| !message.chat.ends_with("@g.us")) {
        let author = message.author.as_ref();
        let others = [author.and_then(|person| person.pn.as_deref()), author.and_then(|person| person.lid.as_deref())];
        let others = others.into_iter().flatten().filter(|address| *address != message.chat);
        for address in std::iter::once(message.chat.as_str()).chain(others).filter(|chat| is_with_a_person(chat)) {
            instances.push(message.instance.uuid());
            chats.push(address);
            tenants.push(message.tenant.uuid());
        }
    }
    (instances, chats, tenants)
}
