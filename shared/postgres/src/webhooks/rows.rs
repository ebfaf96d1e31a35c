//! Rows to webhooks and back.

use crate::failure::corrupt;
use crate::rows::{from_json, id, maybe_id, maybe_time, time};
use sqlx::postgres::PgRow;
use sqlx::{Result, Row};
use uuid::Uuid;
use warren_domain::webhook::{
    Attempt, DeadLetter, DeliveryFailure, Disabled, Format, Former, Replay, Secret, Secrets, Standing, Webhook,
};
use warren_domain::{Event, EventId, EventType, ReplayId};
use warren_ports::ledger::Lane;

/// How the live flow is written where a replay's id stands.
pub(super) const LIVE: Uuid = Uuid::nil();

/// The columns that [`webhook`] reads.
macro_rules! webhook_columns {
    () => {
        "id, tenant_id, url, description, events, instances, headers, secret, former_secret, former_until, disabled,
         created_at, updated_at, position, failing_since, delivered_at, paused_until, missed_at, seed_instance_id"
    };
}

/// The columns that [`dead_letter`] reads.
macro_rules! dead_letter_columns {
    () => {
        "tenant_id, event_id, instance_id, seq, position, type, occurred_at, data, tries, status, failure, died_at"
    };
}

pub(super) use {dead_letter_columns, webhook_columns};

/// A webhook from `webhook_columns!`.
pub(super) fn webhook(row: &PgRow) -> Result<Webhook> {
    let format = Format::of(maybe_id(row, 18)?);
    let former = match row.try_get::<Option<&str>, _>(8)? {
        Some(text) => Some(Former { secret: secret(format, text, 8)?, until: time(row, 9)? }),
        None => None,
    };
    let disabled = match row.try_get::<Option<&str>, _>(10)? {
        Some(name) => Some(Disabled::parse(name).ok_or_else(|| corrupt(10))?),
        None => None,
    };
    Ok(Webhook {
        id: id(row, 0)?,
        tenant: id(row, 1)?,
        url: row.try_get(2)?,
        description: row.try_get(3)?,
        events: from_json(row, 4)?,
        instances: from_json(row, 5)?,
        headers: from_json(row, 6)?,
        secrets: Secrets { current: secret(format, row.try_get(7)?, 7)?, former },
        disabled,
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        position: row.try_get(13)?,
        standing: Standing {
            failing_since: maybe_time(row, 14)?,
            delivered_at: maybe_time(row, 15)?,
            paused_until: maybe_time(row, 16)?,
            missed_at: maybe_time(row, 17)?,
        },
        format,
    })
}

fn secret(format: Format, text: &str, column: usize) -> Result<Secret> {
    match format {
        Format::Standard => Secret::parse(text).map_err(|_| corrupt(column)),
        Format::Seed(_) => Ok(Secret::of_text(text)),
    }
}

/// A failure's column that may be empty.
fn failure(row: &PgRow, column: usize) -> Result<Option<DeliveryFailure>> {
    match row.try_get::<Option<&str>, _>(column)? {
        Some(name) => DeliveryFailure::parse(name).map(Some).ok_or_else(|| corrupt(column)),
        None => Ok(None),
    }
}

fn kind(row: &PgRow, column: usize) -> Result<EventType> {
    EventType::parse(row.try_get(column)?).ok_or_else(|| corrupt(column))
}

/// A count that is never negative.
pub(super) fn count(row: &PgRow, column: usize) -> Result<u32> {
    u32::try_from(row.try_get::<i32, _>(column)?).map_err(|_| corrupt(column))
}

fn status(row: &PgRow, column: usize) -> Result<Option<u16>> {
    let status = row.try_get::<Option<i32>, _>(column)?;
    status.map(|status| u16::try_from(status).map_err(|_| corrupt(column))).transpose()
}

/// An attempt from `number, event_id, type, instance_id, tries, status, failure, took_ms, at, replay`.
pub(super) fn attempt(row: &PgRow) -> Result<Attempt> {
    Ok(Attempt {
        number: row.try_get(0)?,
        event: EventId(id(row, 1)?),
        kind: kind(row, 2)?,
        instance: id(row, 3)?,
        tries: count(row, 4)?,
        status: status(row, 5)?,
        failure: failure(row, 6)?,
        took_ms: u32::try_from(row.try_get::<i64, _>(7)?).map_err(|_| corrupt(7))?,
        at: time(row, 8)?,
        replay: row.try_get(9)?,
    })
}

/// A dead letter from `dead_letter_columns!`.
pub(super) fn dead_letter(row: &PgRow) -> Result<DeadLetter> {
    Ok(DeadLetter {
        event: Event {
            tenant: id(row, 0)?,
            id: EventId(id(row, 1)?),
            instance: id(row, 2)?,
            seq: row.try_get(3)?,
            position: row.try_get(4)?,
            kind: kind(row, 5)?,
            occurred_at: time(row, 6)?,
            data: from_json(row, 7)?,
        },
        tries: count(row, 8)?,
        status: status(row, 9)?,
        failure: failure(row, 10)?.ok_or_else(|| corrupt(10))?,
        at: time(row, 11)?,
    })
}

/// A replay from `id, source, position, created_at`.
pub(super) fn replay(row: &PgRow) -> Result<Replay> {
    Ok(Replay { id: id(row, 0)?, what: from_json(row, 1)?, position: row.try_get(2)?, created_at: time(row, 3)? })
}

/// A lane with its flow, from `replay_id, instance_id, position, tries, next_at, failure`.
pub(super) fn lane(row: &PgRow) -> Result<(Option<ReplayId>, Lane)> {
    let flow: Uuid = row.try_get(0)?;
    let lane = Lane {
        instance: id(row, 1)?,
        position: row.try_get(2)?,
        tries: count(row, 3)?,
        next_at: time(row, 4)?,
        failure: failure(row, 5)?,
    };
    Ok(((flow != LIVE).then(|| ReplayId::from_bytes(flow.into_bytes())), lane))
}
