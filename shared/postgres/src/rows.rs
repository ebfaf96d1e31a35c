//! Rows to domain types and back. Whatever does not read back is corrupt data, and an error.
//!
//! A query names its columns by the macros here, in their order, and its tables `m` and `q` (messages and their place in the
//! queue) or none (instances).

use crate::failure::corrupt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::postgres::PgRow;
use sqlx::{Error, Row};
use uuid::Uuid;
use warren_domain::instance::Account;
use warren_domain::message::{Outbound, Times};
use warren_domain::proxy::Proxy;
use warren_domain::{
    Delivery, Direction, DispatcherId, Epoch, FailureReason, Health, HealthStatus, Instance, InstanceId, InstanceState,
    KeyId, MediaId, Message, MessageId, MessageStatus, Person, ReplayId, TenantId, Timestamp, WebhookId,
};

type Result<T> = std::result::Result<T, Error>;

/// The columns that [`instance`] reads.
macro_rules! instance_columns {
    () => {
        "id, tenant_id, name, metadata, state, reason, since, phone, jid, lid, push_name, health_status, health_reason,
         last_stanza_at, rtt_ms, created_at, restriction, device_name, proxy"
    };
}

/// How far a message is, by rank: what is open and in the queue is queued or handed.
macro_rules! message_status {
    () => {
        "(CASE WHEN q.handed THEN 1::SMALLINT ELSE m.status END)"
    };
}

/// The columns that [`message`] reads.
macro_rules! message_columns {
    () => {
        concat!(
            "m.id, m.tenant_id, m.instance_id, m.direction, m.whatsapp_id, m.chat, m.author_jid, m.author_pn, m.author_lid,
             m.author_name, m.content, m.quoted, ",
            crate::rows::message_status!(),
            ", m.reason, m.delivery, m.expires_at, m.metadata, m.backfilled, m.created_at,
             coalesce(m.handed_at, q.handed_at), m.sent_at, m.delivered_at, m.read_at, m.played_at, m.failed_at, m.send_at"
        )
    };
}

/// The columns that [`outbound`] reads.
macro_rules! outbound_columns {
    () => {
        concat!(
            crate::rows::message_columns!(),
            ", m.queue_order, m.secret, coalesce(q.attempt, m.attempt), coalesce(q.handed_epoch, m.handed_epoch), q.stanza,
             m.upload"
        )
    };
}

/// The tables of the message columns. What is open can be had from `queue q JOIN messages m` too.
macro_rules! message_source {
    () => {
        "messages m LEFT JOIN queue q ON q.queue_order = m.queue_order"
    };
}

pub(crate) use {instance_columns, message_columns, message_source, message_status, outbound_columns};

/// An id as a uuid and back.
pub(crate) trait Id: Sized {
    /// Its uuid.
    fn uuid(&self) -> Uuid;
    /// The id of a uuid.
    fn of(uuid: Uuid) -> Self;
}

macro_rules! ids {
    ($($name:ident),+) => {
        $(impl Id for $name {
            fn uuid(&self) -> Uuid {
                Uuid::from_bytes(*self.as_bytes())
            }

            fn of(uuid: Uuid) -> Self {
                Self::from_bytes(uuid.into_bytes())
            }
        })+
    };
}

ids!(TenantId, InstanceId, MessageId, MediaId, KeyId, WebhookId, ReplayId, DispatcherId);

/// The uuids of ids, for an array.
pub(crate) fn uuids<T: Id>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(Id::uuid).collect()
}

/// An id column.
pub(crate) fn id<T: Id>(row: &PgRow, column: usize) -> Result<T> {
    row.try_get(column).map(T::of)
}

/// An id column that may be empty.
pub(crate) fn maybe_id<T: Id>(row: &PgRow, column: usize) -> Result<Option<T>> {
    Ok(row.try_get::<Option<Uuid>, _>(column)?.map(T::of))
}

/// A value as JSON text.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Encode(Box::new(error)))
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
pub(crate) fn from_json<T: DeserializeOwned>(row: &PgRow, column: usize) -> Result<T> {
    from_maybe_json(row, column)?.ok_or_else(|| corrupt(column))
}

/// Reads what [`maybe_json`] wrote.
pub(crate) fn from_maybe_json<T: DeserializeOwned>(row: &PgRow, column: usize) -> Result<Option<T>> {
    let Some(text) = row.try_get::<Option<&str>, _>(column)? else { return Ok(None) };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|error| Error::ColumnDecode { index: column.to_string(), source: Box::new(error) })
}

fn from_object(row: &PgRow, column: usize) -> Result<Map<String, Value>> {
    Ok(from_maybe_json(row, column)?.unwrap_or_default())
}

/// A time column.
pub(crate) fn time(row: &PgRow, column: usize) -> Result<Timestamp> {
    row.try_get(column).map(Timestamp::from_millis)
}

/// A time column that may be empty.
pub(crate) fn maybe_time(row: &PgRow, column: usize) -> Result<Option<Timestamp>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_millis))
}

/// The milliseconds of a time that may be absent.
pub(crate) fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

/// A text that strangers wrote: Postgres has no place for a zero character in one, so it becomes the sign for what cannot be
/// shown. Ids and addresses are not changed: one with a zero is refused.
pub(crate) fn shown(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A small number as its column has it.
pub(crate) fn small(number: i64) -> i16 {
    // Ranks and kinds are below ten.
    i16::try_from(number).unwrap_or(i16::MAX)
}

/// How the store writes a direction.
pub(crate) const fn direction_number(direction: Direction) -> i16 {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

/// How the store writes a delivery policy.
pub(crate) const fn delivery_number(delivery: Delivery) -> i16 {
    match delivery {
        Delivery::AtLeastOnce => 0,
        Delivery::AtMostOnce => 1,
    }
}

/// How the store writes a health.
pub(crate) const fn health_number(status: HealthStatus) -> i16 {
    match status {
        HealthStatus::Ok => 0,
        HealthStatus::Degraded => 1,
    }
}

/// An instance from `instance_columns!`.
pub(crate) fn instance(row: &PgRow) -> Result<Instance> {
    let account = match row.try_get::<Option<String>, _>(7)? {
        Some(phone) => Some(Account { phone, jid: row.try_get(8)?, lid: row.try_get(9)?, push_name: row.try_get(10)? }),
        None => None,
    };
    Ok(Instance {
        id: id(row, 0)?,
        tenant: id(row, 1)?,
        name: row.try_get(2)?,
        metadata: from_object(row, 3)?,
        state: InstanceState::parse(row.try_get(4)?).ok_or_else(|| corrupt(4))?,
        reason: row.try_get(5)?,
        since: time(row, 6)?,
        account,
        health: health(row, 11)?,
        created_at: time(row, 15)?,
        restriction: from_maybe_json(row, 16)?,
        device_name: row.try_get(17)?,
        proxy: proxy(row, 18)?,
    })
}

/// A health from four columns: status, reason, last stanza, round trip.
pub(crate) fn health(row: &PgRow, first: usize) -> Result<Health> {
    let status = match row.try_get::<i16, _>(first)? {
        0 => HealthStatus::Ok,
        1 => HealthStatus::Degraded,
        _ => return Err(corrupt(first)),
    };
    let rtt_ms = row.try_get::<Option<i64>, _>(first + 3)?;
    Ok(Health {
        status,
        reason: row.try_get(first + 1)?,
        last_stanza_at: maybe_time(row, first + 2)?,
        rtt_ms: rtt_ms.map(u32::try_from).transpose().map_err(|_| corrupt(first + 3))?,
    })
}

fn proxy(row: &PgRow, column: usize) -> Result<Option<Proxy>> {
    let Some(url) = row.try_get::<Option<&str>, _>(column)? else { return Ok(None) };
    Proxy::parse(url).map(Some).map_err(|_| corrupt(column))
}

/// A status column.
pub(crate) fn status(row: &PgRow, column: usize) -> Result<MessageStatus> {
    MessageStatus::from_rank(row.try_get::<i16, _>(column)?.into()).ok_or_else(|| corrupt(column))
}

/// A failure reason column.
pub(crate) fn reason(row: &PgRow, column: usize) -> Result<Option<FailureReason>> {
    match row.try_get::<Option<&str>, _>(column)? {
        Some(name) => FailureReason::parse(name).map(Some).ok_or_else(|| corrupt(column)),
        None => Ok(None),
    }
}

/// A message from `message_columns!`.
pub(crate) fn message(row: &PgRow) -> Result<Message> {
    let direction = match row.try_get::<i16, _>(3)? {
        0 => Direction::Inbound,
        1 => Direction::Outbound,
        _ => return Err(corrupt(3)),
    };
    let delivery = match row.try_get::<i16, _>(14)? {
        0 => Delivery::AtLeastOnce,
        1 => Delivery::AtMostOnce,
        _ => return Err(corrupt(14)),
    };
    Ok(Message {
        id: id(row, 0)?,
        tenant: id(row, 1)?,
        instance: id(row, 2)?,
        direction,
        whatsapp_id: row.try_get(4)?,
        chat: row.try_get(5)?,
        author: author(row)?,
        content: from_json(row, 10)?,
        quoted: from_maybe_json(row, 11)?,
        status: status(row, 12)?,
        reason: reason(row, 13)?,
        delivery,
        expires_at: maybe_time(row, 15)?,
        send_at: maybe_time(row, 25)?,
        metadata: from_object(row, 16)?,
        backfilled: row.try_get(17)?,
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

fn author(row: &PgRow) -> Result<Option<Person>> {
    let jid: String = row.try_get(6)?;
    if jid.is_empty() {
        return Ok(None);
    }
    Ok(Some(Person { jid, pn: row.try_get(7)?, lid: row.try_get(8)?, push_name: row.try_get(9)? }))
}

/// An outbound message from `outbound_columns!`.
pub(crate) fn outbound(row: &PgRow) -> Result<Outbound> {
    let secret: Vec<u8> = row.try_get(27)?;
    Ok(Outbound {
        message: message(row)?,
        order: row.try_get(26)?,
        secret: secret.try_into().map_err(|_| corrupt(27))?,
        attempt: row.try_get::<i32, _>(28)?.try_into().map_err(|_| corrupt(28))?,
        handed_epoch: row.try_get::<Option<i64>, _>(29)?.map(Epoch),
        stanza: row.try_get(30)?,
        upload: row.try_get(31)?,
    })
}
