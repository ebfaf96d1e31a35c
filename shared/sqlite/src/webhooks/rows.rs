//! Rows to webhooks and back.

use crate::rows::{corrupt, from_json, maybe_time, time};
use rusqlite::types::Type;
use rusqlite::{Result, Row};
use warren_domain::webhook::{
    Attempt, DeadLetter, DeliveryFailure, Disabled, Format, Former, Replay, Secret, Secrets, Standing, Webhook,
};
use warren_domain::{Event, EventId, EventType, InstanceId, MessageId, ReplayId, TenantId, WebhookId};
use warren_ports::ledger::Lane;

/// How the live flow is written where a replay's id stands.
pub(super) const LIVE: [u8; 16] = [0; 16];

/// A webhook of a tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home {
    pub(super) tenant: TenantId,
    pub(super) webhook: WebhookId,
}

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
pub(super) fn webhook(row: &Row<'_>) -> Result<Webhook> {
    let format = Format::of(row.get::<_, Option<[u8; 16]>>(18)?.map(InstanceId::from_bytes));
    let former = match row.get::<_, Option<String>>(8)? {
        Some(text) => Some(Former { secret: secret(format, &text, 8)?, until: time(row, 9)? }),
        None => None,
    };
    let disabled = match row.get_ref(10)?.as_str_or_null()? {
        Some(name) => Some(Disabled::parse(name).ok_or_else(|| corrupt(10, Type::Text))?),
        None => None,
    };
    Ok(Webhook {
        id: WebhookId::from_bytes(row.get(0)?),
        tenant: TenantId::from_bytes(row.get(1)?),
        url: row.get(2)?,
        description: row.get(3)?,
        events: from_json(row, 4)?,
        instances: from_json(row, 5)?,
        headers: from_json(row, 6)?,
        secrets: Secrets { current: secret(format, row.get_ref(7)?.as_str()?, 7)?, former },
        disabled,
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        position: row.get(13)?,
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
        Format::Standard => Secret::parse(text).map_err(|_| corrupt(column, Type::Text)),
        Format::Seed(_) => Ok(Secret::of_text(text)),
    }
}

/// A failure's column that may be empty.
pub(super) fn failure(row: &Row<'_>, column: usize) -> Result<Option<DeliveryFailure>> {
    match row.get_ref(column)?.as_str_or_null()? {
        Some(name) => DeliveryFailure::parse(name).map(Some).ok_or_else(|| corrupt(column, Type::Text)),
        None => Ok(None),
    }
}

fn kind(row: &Row<'_>, column: usize) -> Result<EventType> {
    EventType::parse(row.get_ref(column)?.as_str()?).ok_or_else(|| corrupt(column, Type::Text))
}

/// An attempt from `number, event_id, type, instance_id, tries, status, failure, took_ms, at, replay`.
pub(super) fn attempt(row: &Row<'_>) -> Result<Attempt> {
    Ok(Attempt {
        number: row.get(0)?,
        event: EventId(MessageId::from_bytes(row.get(1)?)),
        kind: kind(row, 2)?,
        instance: InstanceId::from_bytes(row.get(3)?),
        tries: row.get(4)?,
        status: row.get(5)?,
        failure: failure(row, 6)?,
        took_ms: row.get(7)?,
        at: time(row, 8)?,
        replay: row.get(9)?,
    })
}

/// A dead letter from `dead_letter_columns!`.
pub(super) fn dead_letter(row: &Row<'_>) -> Result<DeadLetter> {
    Ok(DeadLetter {
        event: Event {
            tenant: TenantId::from_bytes(row.get(0)?),
            id: EventId(MessageId::from_bytes(row.get(1)?)),
            instance: InstanceId::from_bytes(row.get(2)?),
            seq: row.get(3)?,
            position: row.get(4)?,
            kind: kind(row, 5)?,
            occurred_at: time(row, 6)?,
            data: from_json(row, 7)?,
        },
        tries: row.get(8)?,
        status: row.get(9)?,
        failure: failure(row, 10)?.ok_or_else(|| corrupt(10, Type::Null))?,
        at: time(row, 11)?,
    })
}

/// A replay from `id, source, position, created_at`.
pub(super) fn replay(row: &Row<'_>) -> Result<Replay> {
    Ok(Replay {
        id: ReplayId::from_bytes(row.get(0)?),
        what: from_json(row, 1)?,
        position: row.get(2)?,
        created_at: time(row, 3)?,
    })
}

/// A lane with its flow, from `replay_id, instance_id, position, tries, next_at, failure`.
pub(super) fn lane(row: &Row<'_>) -> Result<(Option<ReplayId>, Lane)> {
    let flow: [u8; 16] = row.get(0)?;
    let lane = Lane {
        instance: InstanceId::from_bytes(row.get(1)?),
        position: row.get(2)?,
        tries: row.get(3)?,
        next_at: time(row, 4)?,
        failure: failure(row, 5)?,
    };
    Ok(((flow != LIVE).then(|| ReplayId::from_bytes(flow)), lane))
}
