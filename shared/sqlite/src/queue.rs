//! Queues as their owners see them: what is open, what is held until its time, whom an account knows.
//!
//! Persisted: when a message is to be sent and whether it is still held, and with whom an account has exchanged messages.
//! Held messages are in no index that owners look at, so that waiting costs nothing.

use crate::rows::{self, outbound_columns};
use rusqlite::{Connection, OptionalExtension, Result, params};
use std::collections::BTreeSet;
use warren_domain::message::Outbound;
use warren_domain::{InstanceId, Recipient, TenantId, Timestamp};
use warren_ports::ledger::{Acquaintance, Released};

/// How many first messages are told.
const OPENED: u32 = 10_000;

/// What was handed, then up to `limit` that are queued.
pub(crate) fn open(conn: &Connection, instance: InstanceId, limit: u32, found: &mut Vec<Outbound>) -> Result<()> {
    handed(conn, instance, found)?;
    let mut queued = conn.prepare_cached(concat!(
        "SELECT ",
        outbound_columns!(),
        " FROM messages INDEXED BY messages_open
          WHERE instance_id = ?1 AND status = 0 AND status < 2 AND held = 0 ORDER BY queue_order LIMIT ?2"
    ))?;
    for row in queued.query_map(params![instance.as_bytes(), limit], rows::outbound)? {
        found.push(row?);
    }
    Ok(())
}

fn handed(conn: &Connection, instance: InstanceId, found: &mut Vec<Outbound>) -> Result<()> {
    let mut handed = conn.prepare_cached(concat!(
        "SELECT ",
        outbound_columns!(),
        " FROM messages INDEXED BY messages_open
          WHERE instance_id = ?1 AND status = 1 AND status < 2 AND held = 0 ORDER BY queue_order"
    ))?;
    for row in handed.query_map(params![instance.as_bytes()], rows::outbound)? {
        found.push(row?);
    }
    Ok(())
}

/// [`open`] without what is queued for strangers.
pub(crate) fn open_to_known(conn: &Connection, instance: InstanceId, limit: u32) -> Result<Vec<Outbound>> {
    let mut found = Vec::new();
    handed(conn, instance, &mut found)?;
    let mut queued = conn.prepare_cached(concat!(
        "SELECT ",
        outbound_columns!(),
        " FROM messages INDEXED BY messages_open
          WHERE instance_id = ?1 AND status = 0 AND status < 2 AND held = 0
                AND (NOT (chat LIKE '%@s.whatsapp.net' OR chat LIKE '%@lid')
                     OR EXISTS (SELECT 1 FROM known_chats k WHERE k.instance_id = ?1 AND k.chat = messages.chat))
          ORDER BY queue_order LIMIT ?2"
    ))?;
    for row in queued.query_map(params![instance.as_bytes(), limit], rows::outbound)? {
        found.push(row?);
    }
    Ok(found)
}

pub(crate) fn acquaintance(
    conn: &Connection,
    instance: InstanceId,
    chats: &[String],
    since: Timestamp,
) -> Result<Acquaintance> {
    let mut known = conn.prepare_cached("SELECT 1 FROM known_chats WHERE instance_id = ?1 AND chat = ?2")?;
    let mut strangers = Vec::new();
    for chat in chats.iter().filter(|chat| Recipient::is_person(chat)) {
        if !known.exists(params![instance.as_bytes(), chat])? {
            strangers.push(chat.clone());
        }
    }
    let mut opened = conn.prepare_cached(
        "SELECT first_sent_at FROM known_chats INDEXED BY known_chats_opened
         WHERE instance_id = ?1 AND first_sent_at IS NOT NULL AND first_sent_at >= ?2 ORDER BY first_sent_at LIMIT ?3",
    )?;
    let opened = opened.query_map(params![instance.as_bytes(), since.as_millis(), OPENED], |row| rows::time(row, 0))?;
    Ok(Acquaintance { strangers, opened: opened.collect::<Result<_>>()? })
}

/// Notes that the account wrote to a chat. Who is known stays as he is.
pub(crate) fn acquaint(
    conn: &Connection,
    (tenant, instance): (TenantId, InstanceId),
    chat: &str,
    first_sent_at: Timestamp,
) -> Result<()> {
    if Recipient::is_person(chat) {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO known_chats (instance_id, chat, tenant_id, first_sent_at) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![instance.as_bytes(), chat, tenant.as_bytes(), first_sent_at.as_millis()])?;
    }
    Ok(())
}

/// When the next held message is due.
pub(crate) fn next_due(conn: &Connection) -> Result<Option<Timestamp>> {
    conn.prepare_cached("SELECT send_at FROM messages INDEXED BY messages_held WHERE held = 1 ORDER BY send_at LIMIT 1")?
        .query_row([], |row| rows::time(row, 0))
        .optional()
}

/// Lets held messages go whose time has come.
pub(crate) fn release(conn: &Connection, now: Timestamp, limit: u32) -> Result<Released> {
    let mut due = conn.prepare_cached(
        "SELECT queue_order FROM messages INDEXED BY messages_held WHERE held = 1 AND send_at <= ?1 ORDER BY send_at LIMIT ?2",
    )?;
    let due: Vec<i64> = due.query_map(params![now.as_millis(), limit], |row| row.get(0))?.collect::<Result<_>>()?;
    let mut statement = conn.prepare_cached("UPDATE messages SET held = 0 WHERE queue_order = ?1 RETURNING instance_id")?;
    let mut instances = BTreeSet::new();
    for order in due {
        instances.insert(statement.query_row([order], |row| row.get(0).map(InstanceId::from_bytes))?);
    }
    Ok(Released { instances: instances.into_iter().collect(), next: next_due(conn)? })
}
