//! Messages that came in: each once, with its event, its file, and the acquaintance that it makes.

use super::{Item, Result, Tx, changed, media};
use crate::counters::Entry;
use crate::rows::{Id, delivery_number, id, json, maybe_json, millis, object, shown, small};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use warren_domain::acquaintance::Met;
use warren_domain::{InstanceId, Message, MessageId, MessageStatus, TenantId, Timestamp};
use warren_ports::ledger::{Inbound, Op};

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

/// Stores messages; which of them are new. Who writes to an account is known to it, under each of his addresses, by the name that
/// he has now; a row that says the same already is not written.
async fn insert(conn: &mut PgConnection, messages: &[&Message], now: Timestamp) -> sqlx::Result<HashSet<MessageId>> {
    let texts = |of: fn(&Message) -> Option<&str>| messages.iter().map(|message| of(message)).collect::<Vec<_>>();
    let contents = messages.iter().map(|message| json(&message.content)).collect::<Result<Vec<_>, _>>()?;
    let quoted = messages.iter().map(|message| maybe_json(message.quoted.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let metadata = messages.iter().map(|message| object(&message.metadata)).collect::<Result<Vec<_>, _>>()?;
    let met = acquaintances(messages);
    let rows = sqlx::query(
        "WITH met AS (
             INSERT INTO known_chats (instance_id, chat, tenant_id, name, pn)
             SELECT met.* FROM unnest($17::UUID[], $18::TEXT[], $19::UUID[], $22::TEXT[], $23::TEXT[])
                  AS met (instance_id, chat, tenant_id, name, pn)
             LEFT JOIN LATERAL (
                 SELECT name, pn, TRUE AS is_known FROM known_chats k
                 WHERE k.instance_id = met.instance_id AND k.chat = met.chat OFFSET 0) AS known ON TRUE
             WHERE known.is_known IS NULL OR known.name IS DISTINCT FROM coalesce(met.name, known.name)
                   OR known.pn IS DISTINCT FROM coalesce(met.pn, known.pn)
             ON CONFLICT (instance_id, chat) DO UPDATE
             SET name = coalesce(excluded.name, known_chats.name), pn = coalesce(excluded.pn, known_chats.pn))
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
    .bind(met.keys().map(|(instance, _)| instance.uuid()).collect::<Vec<_>>())
    .bind(met.keys().map(|(_, address)| *address).collect::<Vec<_>>())
    .bind(met.values().map(|(tenant, _)| tenant.uuid()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| message.times.created.as_millis()).collect::<Vec<_>>())
    .bind(messages.iter().map(|message| millis(message.times.delivered)).collect::<Vec<_>>())
    .bind(met.values().map(|(_, met)| met.name.map(shown)).collect::<Vec<_>>())
    .bind(met.values().map(|(_, met)| met.pn).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| id(row, 0)).collect()
}

/// Whom the instances know from these messages: by address, what the latest one says.
fn acquaintances<'a>(messages: &[&'a Message]) -> HashMap<(InstanceId, &'a str), (TenantId, Met<'a>)> {
    let mut all: HashMap<(InstanceId, &str), (TenantId, Met<'_>)> = HashMap::new();
    for message in messages {
        for met in message.acquaintances() {
            let (_, known) = all.entry((message.instance, met.address)).or_insert((message.tenant, met));
            *known = Met { name: met.name.or(known.name), pn: met.pn.or(known.pn), ..met };
        }
    }
    all
}
