//! Rows to domain types and back. Whatever does not read back is corrupt data, and an error.

use rusqlite::types::{FromSqlError, Type};
use rusqlite::{Result, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use warren_domain::instance::Account;
use warren_domain::message::{Outbound, Times};
use warren_domain::proxy::Proxy;
use warren_domain::{
    Delivery, Direction, Epoch, FailureReason, Health, HealthStatus, Instance, InstanceId, InstanceState, Message,
    MessageId, MessageStatus, Person, TenantId, Timestamp,
};

/// The columns that [`instance`] reads.
macro_rules! instance_columns {
    () => {
        "id, tenant_id, name, metadata, state, reason, since, phone, jid, lid, push_name, health_status, health_reason,
         last_stanza_at, rtt_ms, created_at, restriction, device_name, proxy"
    };
}

/// The columns that [`message`] reads.
macro_rules! message_columns {
    () => {
        "id, tenant_id, instance_id, direction, whatsapp_id, chat, author_jid, author_pn, author_lid, author_name, content,
         quoted, status, reason, delivery, expires_at, metadata, backfilled, created_at, handed_at, sent_at, delivered_at,
         read_at, played_at, failed_at, send_at"
    };
}

/// The columns that [`outbound`] reads.
macro_rules! outbound_columns {
    () => {
        concat!(crate::rows::message_columns!(), ", queue_order, secret, attempt, handed_epoch, stanza, upload")
    };
}

pub(crate) use {instance_columns, message_columns, outbound_columns};

/// An error for a value that no version of this crate wrote.
pub(crate) fn corrupt(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(FromSqlError::InvalidType))
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// A value as JSON text, nothing for nothing.
pub(crate) fn maybe_json<T: Serialize>(value: Option<&T>) -> Result<Option<String>> {
    value.map(json).transpose()
}

/// An object as JSON text; an empty one takes no space.
pub(crate) fn object(map: &Map<String, Value>) -> Result<Option<String>> {
    if map.is_empty() { Ok(None) } else { json(map).map(Some) }
}

/// Reads what [`json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// Reads what [`maybe_json`] wrote.
pub(crate) fn from_maybe_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> Result<Option<T>> {
    if row.get_ref(column)? == rusqlite::types::ValueRef::Null { Ok(None) } else { from_json(row, column).map(Some) }
}

fn from_object(row: &Row<'_>, column: usize) -> Result<Map<String, Value>> {
    Ok(from_maybe_json(row, column)?.unwrap_or_default())
}

/// A time column.
pub(crate) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// A time column that may be empty.
pub(crate) fn maybe_time(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// The milliseconds of a time that may be absent.
pub(crate) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

/// How the store writes a direction.
pub(crate) const fn direction_number(direction: Direction) -> i64 {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

/// How the store writes a delivery policy.
pub(crate) const fn delivery_number(delivery: Delivery) -> i64 {
    match delivery {
        Delivery::AtLeastOnce => 0,
        Delivery::AtMostOnce => 1,
    }
}

/// How the store writes a health.
pub(crate) const fn health_number(status: HealthStatus) -> i64 {
    match status {
        HealthStatus::Ok => 0,
        HealthStatus::Degraded => 1,
    }
}

/// An instance from `instance_columns!`.
pub(crate) fn instance(row: &Row<'_>) -> Result<Instance> {
    let state = InstanceState::parse(row.get_ref(4)?.as_str()?).ok_or_else(|| corrupt(4, Type::Text))?;
    let account = match row.get::<_, Option<String>>(7)? {
        Some(phone) => Some(Account { phone, jid: row.get(8)?, lid: row.get(9)?, push_name: row.get(10)? }),
        None => None,
    };
    let status = match row.get::<_, i64>(11)? {
        0 => HealthStatus::Ok,
        1 => HealthStatus::Degraded,
        _ => return Err(corrupt(11, Type::Integer)),
    };
    Ok(Instance {
        id: InstanceId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        name: row.get(2)?,
        metadata: from_object(row, 3)?,
        state,
        reason: row.get(5)?,
        since: time(row, 6)?,
        account,
        health: Health { status, reason: row.get(12)?, last_stanza_at: maybe_time(row, 13)?, rtt_ms: row.get(14)? },
        created_at: time(row, 15)?,
        restriction: from_maybe_json(row, 16)?,
        device_name: row.get(17)?,
        proxy: proxy(row, 18)?,
    })
}

fn proxy(row: &Row<'_>, column: usize) -> Result<Option<Proxy>> {
    let Some(url) = row.get_ref(column)?.as_str_or_null()? else { return Ok(None) };
    Proxy::parse(url).map(Some).map_err(|_| corrupt(column, Type::Text))
}

/// A message from `message_columns!`.
pub(crate) fn message(row: &Row<'_>) -> Result<Message> {
    let direction = match row.get::<_, i64>(3)? {
        0 => Direction::Inbound,
        1 => Direction::Outbound,
        _ => return Err(corrupt(3, Type::Integer)),
    };
    let delivery = match row.get::<_, i64>(14)? {
        0 => Delivery::AtLeastOnce,
        1 => Delivery::AtMostOnce,
        _ => return Err(corrupt(14, Type::Integer)),
    };
    let reason = match row.get_ref(13)?.as_str_or_null()? {
        Some(name) => Some(FailureReason::parse(name).ok_or_else(|| corrupt(13, Type::Text))?),
        None => None,
    };
    Ok(Message {
        id: MessageId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        instance: InstanceId::from_bytes(row.get(2)?),
        direction,
        whatsapp_id: row.get(4)?,
        chat: row.get(5)?,
        author: author(row)?,
        content: from_json(row, 10)?,
        quoted: from_maybe_json(row, 11)?,
        status: MessageStatus::from_rank(row.get(12)?).ok_or_else(|| corrupt(12, Type::Integer))?,
        reason,
        delivery,
        expires_at: maybe_time(row, 15)?,
        send_at: maybe_time(row, 25)?,
        metadata: from_object(row, 16)?,
        backfilled: row.get(17)?,
        times: Times {
            created: time(row, 18)?,
            handed: maybe_time(row, 19)?,
            sent: maybe_time(row, 20)?,
            delivered: maybe_time(row, 21)?,
            read: maybe_time(row, 22)?,
            played: maybe_time(row, 23)?,
            failed: maybe_time(row, 24)?,
        },
    })
}

fn author(row: &Row<'_>) -> Result<Option<Person>> {
    let jid: String = row.get(6)?;
    if jid.is_empty() {
        return Ok(None);
    }
    Ok(Some(Person { jid, pn: row.get(7)?, lid: row.get(8)?, push_name: row.get(9)? }))
}

/// An outbound message from `outbound_columns!`.
pub(crate) fn outbound(row: &Row<'_>) -> Result<Outbound> {
    Ok(Outbound {
        message: message(row)?,
        order: row.get(26)?,
        secret: row.get(27)?,
        attempt: row.get(28)?,
        handed_epoch: row.get::<_, Option<i64>>(29)?.map(Epoch),
        stanza: row.get(30)?,
        upload: row.get(31)?,
    })
}
