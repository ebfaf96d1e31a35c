//! The numbers of instances, and the events that take them.
//!
//! Persisted: the last `seq` given, how many messages are open, when there was traffic last. They move in the transaction
//! of whatever moves them, so they are never rebuilt; and at its end, because their rows are what one instance's writers wait
//! for each other on.

use crate::rows::{Id, id, json};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;
use warren_domain::event::{NewEvent, StatusChange};
use warren_domain::{FailureReason, InstanceId, MessageId, MessageStatus, TenantId, Timestamp};

/// Whose event it is, and what else it moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
}

/// An event to be appended, and what it moves besides the number.
pub(crate) struct Entry {
    tenant: Uuid,
    instance: Uuid,
    id: Uuid,
    kind: &'static str,
    occurred_at: i64,
    data: String,
    /// How many messages stop being open with it.
    closed: i64,
    /// Whether it says that there was traffic.
    active: bool,
}

impl Entry {
    /// An event that moves nothing else.
    pub(crate) fn new(subject: Subject, event: &NewEvent) -> Result<Self, Error> {
        Ok(Self {
            tenant: subject.tenant.uuid(),
            instance: subject.instance.uuid(),
            id: event.id.0.uuid(),
            kind: event.kind.as_str(),
            occurred_at: event.occurred_at.as_millis(),
            data: json(&event.data)?,
            closed: 0,
            active: false,
        })
    }

    /// The event of an outbound message's new status.
    pub(crate) fn status(subject: Subject, change: &StatusChange, was_open: bool) -> Result<Self, Error> {
        Ok(Self { closed: i64::from(was_open), ..Self::new(subject, &NewEvent::message_status(change))? })
    }

    /// The event of something that came in.
    pub(crate) fn traffic(subject: Subject, event: &NewEvent) -> Result<Self, Error> {
        Ok(Self { active: true, ..Self::new(subject, event)? })
    }
}

/// What the entries of one instance need of its counters.
#[derive(Default)]
struct Need {
    given: i64,
    closed: i64,
    active: bool,
}

/// Appends events, each with the next number of its instance, in the order given. One statement, however many.
///
/// The counter rows are locked in the order of their instances, then moved, and only then positions are given: of two
/// transactions that append to one instance, the second gets both its numbers and its positions after the first has ended.
pub(crate) async fn append_all(conn: &mut PgConnection, now: Timestamp, entries: &[Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut needs: BTreeMap<Uuid, Need> = BTreeMap::new();
    // The how manieth of its instance each entry is.
    let mut steps = Vec::with_capacity(entries.len());
    for entry in entries {
        let need = needs.entry(entry.instance).or_default();
        need.given += 1;
        need.closed += entry.closed;
        need.active |= entry.active;
        steps.push(need.given);
    }
    let places: HashMap<Uuid, i32> = needs.keys().copied().zip(1..).collect();
    let column = |of: fn(&Entry) -> Uuid| entries.iter().map(of).collect::<Vec<_>>();
    sqlx::query(
        "WITH locked AS MATERIALIZED (
             SELECT 1 FROM instance_counters WHERE instance_id = ANY($1) ORDER BY instance_id FOR NO KEY UPDATE),
         moved AS (
             UPDATE instance_counters c
             SET event_seq = c.event_seq + need.given, open_messages = c.open_messages - need.closed,
                 last_active_at = CASE WHEN need.active THEN greatest(c.last_active_at, $5) ELSE c.last_active_at END
             FROM unnest($1::UUID[], $2::BIGINT[], $3::BIGINT[], $4::BOOLEAN[]) WITH ORDINALITY
                  AS need (instance_id, given, closed, active, place)
             WHERE c.instance_id = ANY($1) AND c.instance_id = need.instance_id
                   AND (SELECT count(*) FROM locked) = cardinality($1)
             RETURNING need.place, c.event_seq - need.given AS before),
         given AS MATERIALIZED (SELECT array_agg(before ORDER BY place) AS before FROM moved)
         INSERT INTO events (position, seq, stored_at, id, tenant_id, instance_id, type, occurred_at, data)
         SELECT nextval('event_positions'), numbered.* FROM (
             SELECT given.before[item.need] + item.step, $5, item.id, item.tenant_id, item.instance_id, item.type,
                    item.occurred_at, item.data
             FROM given, unnest($6::INTEGER[], $7::BIGINT[], $8::UUID[], $9::UUID[], $10::UUID[], $11::TEXT[], $12::BIGINT[],
                                $13::TEXT[]) WITH ORDINALITY
                  AS item (need, step, id, tenant_id, instance_id, type, occurred_at, data, place)
             ORDER BY item.place) AS numbered",
    )
    .bind(needs.keys().copied().collect::<Vec<_>>())
    .bind(needs.values().map(|need| need.given).collect::<Vec<_>>())
    .bind(needs.values().map(|need| need.closed).collect::<Vec<_>>())
    .bind(needs.values().map(|need| need.active).collect::<Vec<_>>())
    .bind(now.as_millis())
    .bind(entries.iter().map(|entry| places.get(&entry.instance).copied()).collect::<Vec<_>>())
    .bind(steps)
    .bind(column(|entry| entry.id))
    .bind(column(|entry| entry.tenant))
    .bind(column(|entry| entry.instance))
    .bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.occurred_at).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.data.as_str()).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    // An instance that was purged meanwhile has no counters: nothing is moved then, and an event without a number is refused.
    Ok(())
}

/// Takes all open messages of an instance out of the queue and fails them; their events, to be appended.
pub(crate) async fn end_open(
    conn: &mut PgConnection,
    instance: InstanceId,
    reason: FailureReason,
    at: Timestamp,
) -> Result<Vec<Entry>, Error> {
    let orders: Vec<i64> = sqlx::query_scalar(
        "SELECT queue_order FROM queue WHERE instance_id = $1 AND NOT held
         UNION ALL SELECT queue_order FROM queue WHERE instance_id = $1 AND held",
    )
    .bind(instance.uuid())
    .fetch_all(&mut *conn)
    .await?;
    end(conn, &orders, false, reason, at).await
}

/// Fails every open message of an instance, with their events; how many.
pub(crate) async fn fail_open(
    conn: &mut PgConnection,
    now: Timestamp,
    subject: Subject,
    reason: FailureReason,
    at: Timestamp,
) -> Result<u64, Error> {
    let ended = end_open(&mut *conn, subject.instance, reason, at).await?;
    append_all(conn, now, &ended).await?;
    Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
}

/// Fails those of the messages with these places that are still queued, with their events; how many.
pub(crate) async fn fail_queued(
    conn: &mut PgConnection,
    now: Timestamp,
    orders: &[i64],
    reason: FailureReason,
    at: Timestamp,
) -> Result<u64, Error> {
    let ended = end(&mut *conn, orders, true, reason, at).await?;
    append_all(conn, now, &ended).await?;
    Ok(u64::try_from(ended.len()).unwrap_or(u64::MAX))
}

/// Ends messages by taking them out of the queue: whoever takes a row out is the one who ended its message.
async fn end(
    conn: &mut PgConnection,
    orders: &[i64],
    only_queued: bool,
    reason: FailureReason,
    at: Timestamp,
) -> Result<Vec<Entry>, Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(
        "WITH ended AS MATERIALIZED (
             SELECT queue_order FROM queue WHERE queue_order = ANY($1) AND NOT (handed AND $2)
             ORDER BY queue_order FOR UPDATE),
         gone AS (
             DELETE FROM queue q
             WHERE q.queue_order = ANY($1) AND NOT (q.handed AND $2) AND (SELECT count(*) FROM ended) > 0
             RETURNING q.queue_order, q.attempt, q.handed_epoch, q.handed_at),
         failed AS (
             UPDATE messages m SET status = $3, reason = $4, failed_at = $5, attempt = gone.attempt,
                    handed_epoch = gone.handed_epoch, handed_at = gone.handed_at
             FROM gone WHERE m.queue_order = ANY($1) AND m.queue_order = gone.queue_order
             RETURNING m.queue_order, m.tenant_id, m.instance_id, m.id, m.whatsapp_id, m.chat)
         SELECT tenant_id, instance_id, id, whatsapp_id, chat FROM failed ORDER BY queue_order",
    )
    .bind(orders)
    .bind(only_queued)
    .bind(crate::rows::small(MessageStatus::Failed.rank()))
    .bind(reason.as_str())
    .bind(at.as_millis())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| failed(row, reason, at)).collect()
}

fn failed(row: &PgRow, reason: FailureReason, at: Timestamp) -> Result<Entry, Error> {
    let change = StatusChange {
        message: id::<MessageId>(row, 2)?,
        whatsapp_id: row.try_get(3)?,
        chat: row.try_get(4)?,
        status: MessageStatus::Failed,
        reason: Some(reason),
        at,
    };
    Entry::status(Subject { tenant: id(row, 0)?, instance: id(row, 1)? }, &change, true)
}
