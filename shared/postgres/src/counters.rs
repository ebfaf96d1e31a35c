//! The numbers of instances, and the events that take them.
//!
//! Persisted: the last `seq` given, how many messages are open, when there was traffic last. They move in the transaction
//! of whatever moves them, so they are never rebuilt; and at its end, because their rows are what one instance's writers wait
//! for each other on.

use crate::failure::corrupt;
use crate::rows::{Id, id, json};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, Row};
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
    instance: Uuid,
    id: Uuid,
    kind: &'static str,
    occurred_at: i64,
    data: String,
    /// How many messages stop being open with it.
    closed: i32,
    /// Whether it says that there was traffic.
    active: bool,
}

impl Entry {
    /// An event that moves nothing else.
    pub(crate) fn new(instance: InstanceId, event: &NewEvent) -> Result<Self, Error> {
        Ok(Self {
            instance: instance.uuid(),
            id: event.id.0.uuid(),
            kind: event.kind.as_str(),
            occurred_at: event.occurred_at.as_millis(),
            data: json(&event.data)?,
            closed: 0,
            active: false,
        })
    }

    /// The event of an outbound message's new status.
    pub(crate) fn status(instance: InstanceId, change: &StatusChange, was_open: bool) -> Result<Self, Error> {
        Ok(Self { closed: i32::from(was_open), ..Self::new(instance, &NewEvent::message_status(change))? })
    }

    /// The event of something that came in.
    pub(crate) fn traffic(instance: InstanceId, event: &NewEvent) -> Result<Self, Error> {
        Ok(Self { active: true, ..Self::new(instance, event)? })
    }
}

/// Appends events, each with the next number of its instance, in the order given. One statement, however many.
///
/// The counter rows are locked in the order of their instances, then moved, and only then positions are given: of two
/// transactions that append to one instance, the second gets both its numbers and its positions after the first has ended.
pub(crate) async fn append_all(conn: &mut PgConnection, now: Timestamp, entries: &[Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&Entry) -> Uuid| entries.iter().map(of).collect::<Vec<_>>();
    let appended = sqlx::query(
        "WITH item AS MATERIALIZED (
             SELECT * FROM unnest($1::UUID[], $2::UUID[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::INTEGER[], $7::BOOLEAN[])
                 WITH ORDINALITY AS item (instance_id, id, type, occurred_at, data, closed, active, place)),
         need AS MATERIALIZED (
             SELECT instance_id, count(*) AS given, sum(closed) AS closed, bool_or(active) AS active
             FROM item GROUP BY instance_id),
         locked AS MATERIALIZED (
             SELECT c.instance_id FROM instance_counters c JOIN need ON need.instance_id = c.instance_id
             ORDER BY c.instance_id FOR NO KEY UPDATE OF c),
         moved AS (
             UPDATE instance_counters c
             SET event_seq = c.event_seq + need.given, open_messages = c.open_messages - need.closed,
                 last_active_at = CASE WHEN need.active THEN greatest(c.last_active_at, $8) ELSE c.last_active_at END
             FROM need JOIN locked ON locked.instance_id = need.instance_id
             WHERE c.instance_id = need.instance_id
             RETURNING c.instance_id, c.tenant_id, c.event_seq - need.given AS before)
         INSERT INTO events (position, seq, occurred_at, stored_at, id, tenant_id, instance_id, type, data)
         SELECT nextval('event_positions'), numbered.* FROM (
             SELECT moved.before + row_number() OVER (PARTITION BY item.instance_id ORDER BY item.place), item.occurred_at,
                    $8, item.id, moved.tenant_id, item.instance_id, item.type, item.data
             FROM item JOIN moved ON moved.instance_id = item.instance_id ORDER BY item.place) AS numbered",
    )
    .bind(column(|entry| entry.instance))
    .bind(column(|entry| entry.id))
    .bind(entries.iter().map(|entry| entry.kind).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.occurred_at).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.data.as_str()).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.closed).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.active).collect::<Vec<_>>())
    .bind(now.as_millis())
    .execute(conn)
    .await?
    .rows_affected();
    // An instance without counters is one that was purged meanwhile.
    if usize::try_from(appended) == Ok(entries.len()) { Ok(()) } else { Err(corrupt(0)) }
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
             DELETE FROM queue q USING ended WHERE q.queue_order = ended.queue_order
             RETURNING q.queue_order, q.attempt, q.handed_epoch, q.handed_at),
         failed AS (
             UPDATE messages m SET status = $3, reason = $4, failed_at = $5, attempt = gone.attempt,
                    handed_epoch = gone.handed_epoch, handed_at = gone.handed_at
             FROM gone WHERE m.queue_order = gone.queue_order
             RETURNING m.queue_order, m.instance_id, m.id, m.whatsapp_id, m.chat)
         SELECT instance_id, id, whatsapp_id, chat FROM failed ORDER BY queue_order",
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
        message: id::<MessageId>(row, 1)?,
        whatsapp_id: row.try_get(2)?,
        chat: row.try_get(3)?,
        status: MessageStatus::Failed,
        reason: Some(reason),
        at,
    };
    Entry::status(id(row, 0)?, &change, true)
}
