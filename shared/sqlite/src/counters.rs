//! The numbers of an instance, and the events that take one.
//!
//! Persisted: the last `seq` given, how many messages are open, when there was traffic last. They move in the transaction
//! of whatever moves them, so they are never rebuilt.

use crate::rows::json;
use crate::transaction::Tx;
use rusqlite::{Connection, Result, params};
use warren_domain::event::{NewEvent, StatusChange};
use warren_domain::{FailureReason, InstanceId, MessageId, MessageStatus, TenantId, Timestamp};

/// Whose event it is, and what else it moves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
}

/// Appends an event with the instance's next number. `closed` messages stop being open with it; `active` says that there
/// was traffic.
pub(crate) fn append(tx: &Tx<'_>, subject: Subject, event: &NewEvent, closed: u32, active: bool) -> Result<()> {
    let active_at = if active { tx.now.as_millis() } else { 0 };
    let seq: i64 = tx
        .conn
        .prepare_cached(
            "UPDATE instance_counters SET event_seq = event_seq + 1, open_messages = open_messages - ?2,
                    last_active_at = max(last_active_at, ?3)
             WHERE instance_id = ?1 RETURNING event_seq",
        )?
        .query_row(params![subject.instance.as_bytes(), closed, active_at], |row| row.get(0))?;
    tx.conn
        .prepare_cached(
            "INSERT INTO events (id, tenant_id, instance_id, seq, type, occurred_at, stored_at, data)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            event.id.0.as_bytes(),
            subject.tenant.as_bytes(),
            subject.instance.as_bytes(),
            seq,
            event.kind.as_str(),
            event.occurred_at.as_millis(),
            tx.now.as_millis(),
            json(&event.data)?,
        ])?;
    Ok(())
}

/// An outbound message as far as its status event needs it.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) order: i64,
    pub(crate) id: MessageId,
    pub(crate) whatsapp_id: String,
    pub(crate) chat: String,
}

/// Fails one message that is open, with its event.
pub(crate) fn fail(tx: &Tx<'_>, subject: Subject, message: &Tracked, reason: FailureReason, at: Timestamp) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE messages SET status = ?2, reason = ?3, failed_at = ?4, stanza = NULL, held = 0 WHERE queue_order = ?1",
        )?
        .execute(params![message.order, MessageStatus::Failed.rank(), reason.as_str(), at.as_millis()])?;
    let event = NewEvent::message_status(&StatusChange {
        message: message.id,
        whatsapp_id: message.whatsapp_id.clone(),
        chat: message.chat.clone(),
        status: MessageStatus::Failed,
        reason: Some(reason),
        at,
    });
    append(tx, subject, &event, 1, false)
}

/// Fails every open message of an instance; how many.
pub(crate) fn fail_open(tx: &Tx<'_>, subject: Subject, reason: FailureReason, at: Timestamp) -> Result<usize> {
    let open = open_of(tx.conn, subject.instance)?;
    for message in &open {
        fail(tx, subject, message, reason, at)?;
    }
    Ok(open.len())
}

fn open_of(conn: &Connection, instance: InstanceId) -> Result<Vec<Tracked>> {
    conn.prepare_cached(
        "SELECT queue_order, id, whatsapp_id, chat FROM messages WHERE queue_order IN (
             SELECT queue_order FROM messages INDEXED BY messages_open
             WHERE instance_id = ?1 AND status < 2 AND held = 0
             UNION ALL
             SELECT queue_order FROM messages INDEXED BY messages_held_by_instance WHERE instance_id = ?1 AND held = 1)
         ORDER BY queue_order",
    )?
    .query_map(params![instance.as_bytes()], |row| {
        Ok(Tracked {
            order: row.get(0)?,
            id: MessageId::from_bytes(row.get(1)?),
            whatsapp_id: row.get(2)?,
            chat: row.get(3)?,
        })
    })?
    .collect()
}
