//! Queues as their owners see them: what is open, what is held until its time, whom an account knows.
//!
//! Persisted: when a message is to be sent and whether it is still held, and with whom an account has exchanged messages.
//! Held messages are in no index that owners look at, so that waiting costs nothing.

use crate::rows::{self, Id, maybe_time, outbound_columns, time, uuids};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Result, Row};
use warren_domain::message::Outbound;
use warren_domain::{InstanceId, Recipient, Timestamp};
use warren_ports::ledger::{Acquaintance, Released};

/// How many first messages are told.
const OPENED: i64 = 10_000;

/// Of each instance, what was handed, then up to `limit` that are queued.
pub(crate) async fn open(pool: &PgPool, instances: &[InstanceId], limit: u32) -> Result<Vec<Outbound>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        outbound_columns!(),
        " FROM unnest($1::UUID[]) WITH ORDINALITY AS asked (instance_id, place)
          CROSS JOIN LATERAL (
              SELECT * FROM queue WHERE instance_id = asked.instance_id AND handed AND NOT held
              UNION ALL
              (SELECT * FROM queue WHERE instance_id = asked.instance_id AND NOT handed AND NOT held
               ORDER BY queue_order LIMIT $2)
          ) q
          JOIN messages m ON m.queue_order = q.queue_order
          ORDER BY asked.place, q.handed DESC, q.queue_order"
    ))
    .bind(uuids(instances))
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(rows::outbound).collect()
}

/// [`open`] of one instance without what is queued for strangers.
pub(crate) async fn open_to_known(pool: &PgPool, instance: InstanceId, limit: u32) -> Result<Vec<Outbound>> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        outbound_columns!(),
        " FROM (
              SELECT queue_order FROM queue WHERE instance_id = $1 AND handed AND NOT held
              UNION ALL
              (SELECT q.queue_order FROM queue q JOIN messages m ON m.queue_order = q.queue_order
               WHERE q.instance_id = $1 AND NOT q.handed AND NOT q.held
                     AND (NOT (m.chat LIKE '%@s.whatsapp.net' OR m.chat LIKE '%@lid')
                          OR EXISTS (SELECT 1 FROM known_chats k WHERE k.instance_id = $1 AND k.chat = m.chat))
               ORDER BY q.queue_order LIMIT $2)
          ) shown
          JOIN queue q ON q.queue_order = shown.queue_order
          JOIN messages m ON m.queue_order = shown.queue_order
          ORDER BY q.handed DESC, q.queue_order"
    ))
    .bind(instance.uuid())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    rows.iter().map(rows::outbound).collect()
}

pub(crate) async fn acquaintance(
    pool: &PgPool,
    instance: InstanceId,
    chats: &[String],
    since: Timestamp,
) -> Result<Acquaintance> {
    let people: Vec<&str> = chats.iter().map(String::as_str).filter(|chat| Recipient::is_person(chat)).collect();
    // The strangers, then the times, told apart by which column is set.
    let rows = sqlx::query(
        "(SELECT asked.chat, NULL::BIGINT FROM unnest($2::TEXT[]) WITH ORDINALITY AS asked (chat, place)
          WHERE NOT EXISTS (SELECT 1 FROM known_chats k WHERE k.instance_id = $1 AND k.chat = asked.chat)
          ORDER BY asked.place)
         UNION ALL
         (SELECT NULL, first_sent_at FROM known_chats
          WHERE instance_id = $1 AND first_sent_at IS NOT NULL AND first_sent_at >= $3
          ORDER BY first_sent_at LIMIT $4)",
    )
    .bind(instance.uuid())
    .bind(people)
    .bind(since.as_millis())
    .bind(OPENED)
    .fetch_all(pool)
    .await?;
    let mut found = Acquaintance::default();
    for row in &rows {
        match row.try_get(0)? {
            Some(chat) => found.strangers.push(chat),
            None => found.opened.push(time(row, 1)?),
        }
    }
    Ok(found)
}

/// Lets held messages go whose time has come; when the next one is due, of those that are left.
pub(crate) async fn release(pool: &PgPool, now: Timestamp, limit: u32) -> Result<Released> {
    let rows = sqlx::query(
        "WITH due AS MATERIALIZED (
             SELECT ctid AS place, queue_order FROM queue WHERE held AND send_at <= $1 ORDER BY send_at LIMIT $2
             FOR UPDATE SKIP LOCKED
         ), released AS (
             UPDATE queue SET held = FALSE WHERE ctid = ANY (ARRAY (SELECT place FROM due)) RETURNING instance_id
         )
         SELECT DISTINCT instance_id, NULL::BIGINT FROM released
         UNION ALL
         (SELECT NULL, send_at FROM (SELECT queue_order, send_at FROM queue WHERE held ORDER BY send_at LIMIT $2 + 1) next
          WHERE queue_order NOT IN (SELECT queue_order FROM due) ORDER BY send_at LIMIT 1)",
    )
    .bind(now.as_millis())
    .bind(i64::from(limit))
    .fetch_all(pool)
    .await?;
    let mut released = Released::default();
    for row in &rows {
        match rows::maybe_id(row, 0)? {
            Some(instance) => released.instances.push(instance),
            None => released.next = maybe_time(row, 1)?,
        }
    }
    Ok(released)
}

/// Which instances have something that is open and not held: one step of the index an instance, however much each has.
pub(crate) async fn with_open(pool: &PgPool) -> Result<Vec<InstanceId>> {
    let rows = sqlx::query(
        "WITH RECURSIVE open (instance_id) AS (
             (SELECT instance_id FROM queue WHERE NOT held ORDER BY instance_id LIMIT 1)
             UNION ALL
             SELECT (SELECT q.instance_id FROM queue q WHERE NOT q.held AND q.instance_id > open.instance_id
                     ORDER BY q.instance_id LIMIT 1)
             FROM open WHERE open.instance_id IS NOT NULL)
         SELECT instance_id FROM open WHERE instance_id IS NOT NULL",
    )
    .fetch_all(pool)
    .await?;
    rows.iter().map(|row: &PgRow| rows::id(row, 0)).collect()
}
