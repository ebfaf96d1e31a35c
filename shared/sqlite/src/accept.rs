//! Accepting outbound messages: each on its own verdict, all in one commit.
//!
//! Persisted: the message as it was asked for, with everything that is the same for all attempts (WhatsApp id, secret), and
//! the caller's key. The number of open messages is moved with it, so that the limit needs no counting.

use crate::messages::find;
use crate::rows::{delivery_number, direction_number, json, maybe_json, millis, object};
use crate::transaction::Tx;
use crate::{Sqlite, media};
use rusqlite::{OptionalExtension, Result, params};
use warren_domain::message::Times;
use warren_domain::{Direction, InstanceState, Message, MessageId, MessageStatus};
use warren_ports::ledger::{Accepted, IdempotencyKey, NewMessage};

/// In `idempotency.purpose`: the key of a sent message.
const SENT_MESSAGE: i64 = 1;
/// What a message takes besides its text, about.
const ROW_BYTES: usize = 512;

pub(crate) async fn accept(store: &Sqlite, messages: Vec<NewMessage>) -> warren_domain::Result<Vec<Accepted>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let items = messages.len();
    store
        .writer()
        .sized_edge(items, items * ROW_BYTES, move |tx| {
            messages.iter().map(|message| accept_one(tx, message)).collect::<Result<_>>().map_err(Into::into)
        })
        .await
}

fn accept_one(tx: &Tx<'_>, message: &NewMessage) -> Result<Accepted> {
    if let Some(key) = &message.idempotency
        && let Some(seen) = seen_before(tx, message, key)?
    {
        return Ok(seen);
    }
    if let Some(refused) = refusal(tx, message)? {
        return Ok(refused);
    }
    let room = tx
        .conn
        .prepare_cached(
            "UPDATE instance_counters SET open_messages = open_messages + 1, last_active_at = max(last_active_at, ?3)
             WHERE instance_id = ?1 AND open_messages < ?2",
        )?
        .execute(params![message.instance.as_bytes(), message.queue_limit, tx.now.as_millis()])?;
    if room == 0 {
        return Ok(Accepted::QueueFull);
    }
    insert(tx, message)?;
    if let Some(file) = &message.media {
        media::insert(tx.conn, file)?;
    }
    if let Some(key) = &message.idempotency {
        keep_key(tx, message, key)?;
    }
    Ok(Accepted::New(as_queued(message)))
}

/// Keeps the key, and for a part of a request the name of the part beside it. A caller's key has no space in it.
fn keep_key(tx: &Tx<'_>, message: &NewMessage, key: &IdempotencyKey) -> Result<()> {
    let mut statement = tx.conn.prepare_cached(
        "INSERT INTO idempotency (tenant_id, key, purpose, fingerprint, resource, stored_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant_id, key) DO NOTHING",
    )?;
    for name in [Some(key.key.clone()), message.part.map(|part| part_key(key, part))].into_iter().flatten() {
        statement.execute(params![
            message.tenant.as_bytes(),
            name,
            SENT_MESSAGE,
            key.fingerprint,
            message.id.as_bytes(),
            tx.now.as_millis()
        ])?;
    }
    Ok(())
}

fn part_key(key: &IdempotencyKey, part: u32) -> String {
    format!("{} {part}", key.key)
}

/// The verdict on a key that was used before.
fn seen_before(tx: &Tx<'_>, message: &NewMessage, key: &IdempotencyKey) -> Result<Option<Accepted>> {
    let Some((purpose, fingerprint, mut first)) = kept(tx, message, &key.key)? else { return Ok(None) };
    if purpose != SENT_MESSAGE || fingerprint != key.fingerprint {
        return Ok(Some(Accepted::Mismatch));
    }
    if let Some(part) = message.part {
        let Some((_, _, made)) = kept(tx, message, &part_key(key, part))? else { return Ok(None) };
        first = made;
    }
    // The key outlives its message only where the instance was deleted: retention keeps messages longer than keys.
    Ok(Some(find(tx.conn, message.tenant, first)?.map_or(Accepted::NoInstance, Accepted::Replay)))
}

/// What is kept under a name: purpose, fingerprint, resource.
fn kept(tx: &Tx<'_>, message: &NewMessage, name: &str) -> Result<Option<(i64, [u8; 32], MessageId)>> {
    tx.conn
        .prepare_cached("SELECT purpose, fingerprint, resource FROM idempotency WHERE tenant_id = ?1 AND key = ?2")?
        .query_row(params![message.tenant.as_bytes(), name], |row| {
            Ok((row.get(0)?, row.get(1)?, MessageId::from_bytes(row.get(2)?)))
        })
        .optional()
}

fn refusal(tx: &Tx<'_>, message: &NewMessage) -> Result<Option<Accepted>> {
    let instance = tx
        .conn
        .prepare_cached(
            "SELECT state, phone IS NOT NULL FROM instances WHERE id = ?1 AND tenant_id = ?2 AND deleted_at IS NULL",
        )?
        .query_row(params![message.instance.as_bytes(), message.tenant.as_bytes()], |row| {
            let state = InstanceState::parse(row.get_ref(0)?.as_str()?);
            Ok((state.ok_or_else(|| crate::rows::corrupt(0, rusqlite::types::Type::Text))?, row.get::<_, bool>(1)?))
        })
        .optional()?;
    Ok(match instance {
        None => Some(Accepted::NoInstance),
        Some((_, false)) => Some(Accepted::NotPaired),
        // Pairing with an account: it was logged out and pairs anew.
        Some((InstanceState::Created | InstanceState::Pairing | InstanceState::LoggedOut, _)) => Some(Accepted::NotPaired),
        Some(_) => None,
    })
}

fn insert(tx: &Tx<'_>, message: &NewMessage) -> Result<()> {
    tx.conn
        .prepare_cached(
            "INSERT INTO messages (id, tenant_id, instance_id, direction, whatsapp_id, chat, author_jid, content, quoted, status,
                 delivery, expires_at, metadata, backfilled, stored_at, created_at, secret, attempt, send_at, held)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14, ?15, 0, ?16, ?17)",
        )?
        .execute(params![
            message.id.as_bytes(),
            message.tenant.as_bytes(),
            message.instance.as_bytes(),
            direction_number(Direction::Outbound),
            message.whatsapp_id,
            message.chat,
            json(&message.content)?,
            maybe_json(message.quoted.as_ref())?,
            MessageStatus::Queued.rank(),
            delivery_number(message.delivery),
            millis(message.expires_at),
            object(&message.metadata)?,
            tx.now.as_millis(),
            message.created_at.as_millis(),
            message.secret,
            millis(message.send_at),
            message.send_at.is_some_and(|at| at > tx.now),
        ])?;
    Ok(())
}

fn as_queued(message: &NewMessage) -> Message {
    Message {
        id: message.id,
        tenant: message.tenant,
        instance: message.instance,
        direction: Direction::Outbound,
        whatsapp_id: message.whatsapp_id.clone(),
        chat: message.chat.clone(),
        author: None,
        content: message.content.clone(),
        quoted: message.quoted.clone(),
        status: MessageStatus::Queued,
        reason: None,
        delivery: message.delivery,
        expires_at: message.expires_at,
        send_at: message.send_at,
        metadata: message.metadata.clone(),
        backfilled: false,
        times: Times { created: message.created_at, ..Times::default() },
    }
}
