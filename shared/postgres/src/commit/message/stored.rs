//! Outbound messages as they are stored: read in sets, written in sets.

use crate::commit::{Result, Trouble};
use crate::rows::{Id, id, maybe_time, millis, reason, small, status};
use sqlx::postgres::{PgQueryResult, PgRow};
use sqlx::{PgConnection, Row};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use warren_domain::{Epoch, FailureReason, InstanceId, MessageId, MessageStatus, Recipient, TenantId, Timestamp};

/// The row of a message in the queue, by its key, however large the queue is.
macro_rules! place {
    () => {
        " LEFT JOIN LATERAL (SELECT * FROM queue WHERE queue.queue_order = m.queue_order OFFSET 0) AS q ON TRUE"
    };
}

/// What both queries read; `$stanza` is the queue's, or none where it is not looked at.
macro_rules! columns {
    ($stanza:literal) => {
        concat!(
            "SELECT m.queue_order, m.id, m.instance_id, m.tenant_id, m.whatsapp_id, m.chat, m.status, m.reason,
                    q.queue_order IS NOT NULL, q.handed, q.attempt, q.handed_epoch, q.handed_at, ",
            $stanza,
            " FROM "
        )
    };
}

/// A message's row in the queue.
pub(in crate::commit) struct Place {
    /// How often it was handed when it was read.
    read_attempt: i32,
    pub(super) attempt: i32,
    pub(super) epoch: Option<Epoch>,
    pub(super) handed_at: Option<Timestamp>,
    pub(super) stanza: Option<Vec<u8>>,
    /// Whether some write claimed it.
    pub(super) claimed: bool,
}

/// An outbound message as far as it moves.
pub(in crate::commit) struct Tracked {
    pub(in crate::commit) order: i64,
    pub(super) id: MessageId,
    instance: InstanceId,
    tenant: TenantId,
    pub(super) whatsapp_id: String,
    pub(in crate::commit) chat: String,
    /// The column's value as it was read: open messages have the same.
    read_status: i16,
    pub(super) status: MessageStatus,
    pub(super) reason: Option<FailureReason>,
    /// While it was open when it was read.
    pub(super) place: Option<Place>,
    reached: HashMap<MessageStatus, Timestamp>,
    upload: Option<Vec<u8>>,
}

impl Tracked {
    fn read(row: &PgRow) -> sqlx::Result<Self> {
        let open: bool = row.try_get(8)?;
        let place = if open {
            Some(Place {
                read_attempt: row.try_get(10)?,
                attempt: row.try_get(10)?,
                epoch: row.try_get::<Option<i64>, _>(11)?.map(Epoch),
                handed_at: maybe_time(row, 12)?,
                stanza: row.try_get(13)?,
                claimed: false,
            })
        } else {
            None
        };
        let handed = row.try_get::<Option<bool>, _>(9)?.unwrap_or(false);
        Ok(Self {
            order: row.try_get(0)?,
            id: id(row, 1)?,
            instance: id(row, 2)?,
            tenant: id(row, 3)?,
            whatsapp_id: row.try_get(4)?,
            chat: row.try_get(5)?,
            read_status: row.try_get(6)?,
            status: if handed { MessageStatus::Handed } else { status(row, 6)? },
            reason: reason(row, 7)?,
            place,
            reached: HashMap::new(),
            upload: None,
        })
    }

    /// Whether a receipt may raise it to a status.
    pub(super) fn rises_to(&self, status: MessageStatus) -> bool {
        match self.status {
            // It was failed because nobody knew; now somebody does.
            MessageStatus::Failed => self.reason == Some(FailureReason::OutcomeUnknown),
            current => current.rank() < status.rank(),
        }
    }

    pub(super) fn raise(&mut self, status: MessageStatus, at: Timestamp) {
        (self.status, self.reason) = (status, None);
        self.reached.insert(status, at);
    }

    pub(super) fn fail(&mut self, reason: FailureReason, at: Timestamp) {
        (self.status, self.reason) = (MessageStatus::Failed, Some(reason));
        self.reached.insert(MessageStatus::Failed, at);
    }

    pub(super) fn keep_upload(&mut self, upload: &[u8]) -> bool {
        self.upload = Some(upload.to_vec());
        true
    }

    /// When it reached a status, if that was now.
    fn reached(&self, status: MessageStatus) -> Option<i64> {
        millis(self.reached.get(&status).copied())
    }

    /// Whether it leaves the queue.
    fn closes(&self) -> bool {
        self.place.is_some() && !self.status.is_open()
    }

    /// Whether it got to `sent` or beyond, or failed, just now.
    fn moved(&self) -> bool {
        !self.reached.is_empty()
    }
}

/// The messages that a set of writes names.
pub(in crate::commit) struct Messages {
    all: Vec<Tracked>,
    by_id: HashMap<(InstanceId, MessageId), usize>,
    by_name: HashMap<InstanceId, HashMap<String, Vec<usize>>>,
}

impl Messages {
    /// Reads messages by id, and by instance and WhatsApp id, of which there may be several.
    pub(in crate::commit) async fn load(
        conn: &mut PgConnection,
        ids: HashSet<(InstanceId, MessageId)>,
        names: HashSet<(InstanceId, &str)>,
    ) -> Result<Self> {
        let mut rows = load_named(&mut *conn, names).await?;
        // Behind the others: these have their stanzas.
        rows.extend(load_ids(conn, ids).await?);
        let mut messages = Self { all: Vec::with_capacity(rows.len()), by_id: HashMap::new(), by_name: HashMap::new() };
        for row in &rows {
            messages.keep(Tracked::read(row)?);
        }
        for places in messages.by_name.values_mut().flat_map(HashMap::values_mut) {
            let all = &messages.all;
            places.sort_by_key(|place| all.get(*place).map(|message| message.order));
        }
        Ok(messages)
    }

    fn keep(&mut self, message: Tracked) {
        let name = (message.instance, message.id);
        if let Some(known) = self.by_id.get(&name).and_then(|place| self.all.get_mut(*place)) {
            *known = message;
            return;
        }
        let place = self.all.len();
        self.by_id.insert(name, place);
        let named = self.by_name.entry(message.instance).or_default();
        named.entry(message.whatsapp_id.clone()).or_default().push(place);
        self.all.push(message);
    }

    /// The instance's message with this id.
    pub(super) fn by_id(&mut self, instance: InstanceId, message: MessageId) -> Option<&mut Tracked> {
        let place = *self.by_id.get(&(instance, message))?;
        self.all.get_mut(place)
    }

    /// Where the instance's messages with a WhatsApp id are, in their order.
    pub(in crate::commit) fn named(&self, instance: InstanceId, whatsapp_id: &str) -> Vec<usize> {
        self.by_name.get(&instance).and_then(|named| named.get(whatsapp_id)).cloned().unwrap_or_default()
    }

    /// The message at a place of [`Messages::named`].
    pub(in crate::commit) fn at(&mut self, place: usize) -> Option<&mut Tracked> {
        self.all.get_mut(place)
    }

    /// Writes what has moved.
    pub(in crate::commit) async fn store(mut self, conn: &mut PgConnection) -> Result<()> {
        // Everybody who writes several goes by their order, so that no two wait for each other.
        self.all.sort_by_key(|message| message.order);
        self.store_claims(&mut *conn).await?;
        self.store_uploads(&mut *conn).await?;
        self.store_moves(conn).await
    }

    async fn store_claims(&self, conn: &mut PgConnection) -> Result<()> {
        let claimed = |message: &&Tracked| message.place.as_ref().is_some_and(|place| place.claimed);
        let claimed: Vec<(i64, &Place)> = self
            .all
            .iter()
            .filter(claimed)
            .filter_map(|message| message.place.as_ref().map(|place| (message.order, place)))
            .collect();
        if claimed.is_empty() {
            return Ok(());
        }
        let done = sqlx::query(
            "UPDATE queue q SET handed = TRUE, held = FALSE, attempt = claim.attempt, handed_epoch = claim.epoch,
                    handed_at = claim.handed_at, stanza = claim.stanza
             FROM unnest($1::BIGINT[], $2::INTEGER[], $3::INTEGER[], $4::BIGINT[], $5::BIGINT[], $6::BYTEA[])
                  AS claim (queue_order, read_attempt, attempt, epoch, handed_at, stanza)
             WHERE q.queue_order = ANY($1) AND q.queue_order = claim.queue_order AND q.attempt = claim.read_attempt",
        )
        .bind(claimed.iter().map(|(order, _)| *order).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, place)| place.read_attempt).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, place)| place.attempt).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, place)| place.epoch.map(|epoch| epoch.0)).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, place)| millis(place.handed_at)).collect::<Vec<_>>())
        .bind(claimed.iter().map(|(_, place)| place.stanza.as_deref()).collect::<Vec<_>>())
        .execute(conn)
        .await?;
        all_written(rows_of(&done), claimed.len())
    }

    async fn store_uploads(&self, conn: &mut PgConnection) -> Result<()> {
        let kept: Vec<(i64, &[u8])> =
            self.all.iter().filter_map(|message| Some((message.order, message.upload.as_deref()?))).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let done = sqlx::query(
            "UPDATE messages m SET upload = kept.upload FROM unnest($1::BIGINT[], $2::BYTEA[]) AS kept (queue_order, upload)
             WHERE m.queue_order = ANY($1) AND m.queue_order = kept.queue_order AND m.status = 0",
        )
        .bind(kept.iter().map(|(order, _)| *order).collect::<Vec<_>>())
        .bind(kept.iter().map(|(_, upload)| *upload).collect::<Vec<_>>())
        .execute(conn)
        .await?;
        all_written(rows_of(&done), kept.len())
    }

    /// Messages that climbed or failed: their rows in the queue go, and who was written to is known from now on.
    async fn store_moves(&self, conn: &mut PgConnection) -> Result<()> {
        let moved: Vec<&Tracked> = self.all.iter().filter(|message| message.moved()).collect();
        if moved.is_empty() {
            return Ok(());
        }
        let met =
            |message: &&&Tracked| message.reached.contains_key(&MessageStatus::Sent) && Recipient::is_person(&message.chat);
        let met: Vec<&Tracked> = moved.iter().filter(met).copied().collect();
        let time = |status: MessageStatus| moved.iter().map(|message| message.reached(status)).collect::<Vec<_>>();
        let closing: Vec<i64> = moved.iter().filter(|message| message.closes()).map(|message| message.order).collect();
        let place = |of: fn(&Place) -> Option<i64>| {
            moved.iter().map(|message| message.place.as_ref().and_then(of)).collect::<Vec<_>>()
        };
        let written: (i64, i64) = sqlx::query_as(
            "WITH met AS (
                 INSERT INTO known_chats (instance_id, chat, tenant_id, first_sent_at)
                 SELECT * FROM unnest($13::UUID[], $14::TEXT[], $15::UUID[], $16::BIGINT[])
                 ON CONFLICT (instance_id, chat) DO NOTHING),
             closed AS (DELETE FROM queue WHERE queue_order = ANY($12) RETURNING 1),
             moved AS (
                 UPDATE messages m
                 SET status = moved.status, reason = moved.reason, sent_at = coalesce(moved.sent_at, m.sent_at),
                     delivered_at = coalesce(moved.delivered_at, m.delivered_at),
                     read_at = coalesce(moved.read_at, m.read_at), played_at = coalesce(moved.played_at, m.played_at),
                     failed_at = moved.failed_at, attempt = coalesce(moved.attempt, m.attempt),
                     handed_epoch = coalesce(moved.handed_epoch, m.handed_epoch),
                     handed_at = coalesce(moved.handed_at, m.handed_at)
                 FROM unnest($1::BIGINT[], $2::SMALLINT[], $3::SMALLINT[], $4::TEXT[], $5::BIGINT[], $6::BIGINT[],
                             $7::BIGINT[], $8::BIGINT[], $9::BIGINT[], $10::BIGINT[], $11::BIGINT[], $17::BIGINT[])
                      AS moved (queue_order, read_status, status, reason, sent_at, delivered_at, read_at, played_at,
                                failed_at, attempt, handed_epoch, handed_at)
                 WHERE m.queue_order = ANY($1) AND m.queue_order = moved.queue_order AND m.status = moved.read_status
                 RETURNING 1)
             SELECT (SELECT count(*) FROM closed), (SELECT count(*) FROM moved)",
        )
        .bind(moved.iter().map(|message| message.order).collect::<Vec<_>>())
        .bind(moved.iter().map(|message| message.read_status).collect::<Vec<_>>())
        .bind(moved.iter().map(|message| small(message.status.rank())).collect::<Vec<_>>())
        .bind(moved.iter().map(|message| message.reason.map(FailureReason::as_str)).collect::<Vec<_>>())
        .bind(time(MessageStatus::Sent))
        .bind(time(MessageStatus::Delivered))
        .bind(time(MessageStatus::Read))
        .bind(time(MessageStatus::Played))
        .bind(moved.iter().map(|message| message.failed_at()).collect::<Vec<_>>())
        .bind(place(|place| Some(place.attempt.into())))
        .bind(place(|place| place.epoch.map(|epoch| epoch.0)))
        .bind(&closing)
        .bind(met.iter().map(|message| message.instance.uuid()).collect::<Vec<_>>())
        .bind(met.iter().map(|message| message.chat.as_str()).collect::<Vec<_>>())
        .bind(met.iter().map(|message| message.tenant.uuid()).collect::<Vec<_>>())
        .bind(met.iter().map(|message| message.reached(MessageStatus::Sent)).collect::<Vec<_>>())
        .bind(place(|place| millis(place.handed_at)))
        .fetch_one(conn)
        .await?;
        all_written(written.0, closing.len())?;
        all_written(written.1, moved.len())
    }
}

impl Tracked {
    /// When it failed, as long as it is failed.
    fn failed_at(&self) -> Option<i64> {
        if self.status == MessageStatus::Failed { self.reached(MessageStatus::Failed) } else { None }
    }
}

/// Whether all rows were still as they were read.
fn all_written(rows: i64, expected: usize) -> Result<()> {
    if usize::try_from(rows) == Ok(expected) { Ok(()) } else { Err(Trouble::Overtaken) }
}

fn rows_of(done: &PgQueryResult) -> i64 {
    i64::try_from(done.rows_affected()).unwrap_or(i64::MAX)
}

async fn load_ids(conn: &mut PgConnection, ids: HashSet<(InstanceId, MessageId)>) -> Result<Vec<PgRow>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Whose they are is seen when they are asked for. One that came in is never open, and what goes by id asks for that.
    let rows = sqlx::query(concat!(
        columns!("q.stanza"),
        "unnest($1::UUID[]) AS asked (id)
         CROSS JOIN LATERAL (SELECT * FROM messages WHERE messages.id = asked.id OFFSET 0) AS m",
        place!()
    ))
    .bind(ids.iter().map(|(_, message)| message.uuid()).collect::<Vec<_>>())
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

async fn load_named(conn: &mut PgConnection, names: HashSet<(InstanceId, &str)>) -> Result<Vec<PgRow>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let (instances, whatsapp_ids): (Vec<Uuid>, Vec<&str>) =
        names.iter().map(|(instance, name)| (instance.uuid(), *name)).unzip();
    let rows = sqlx::query(concat!(
        columns!("NULL::BYTEA"),
        "unnest($1::UUID[], $2::TEXT[]) AS asked (instance_id, whatsapp_id)
         CROSS JOIN LATERAL (
             SELECT * FROM messages
             WHERE messages.instance_id = asked.instance_id AND messages.whatsapp_id = asked.whatsapp_id
                   AND messages.direction = 1
             OFFSET 0) AS m",
        place!()
    ))
    .bind(instances)
    .bind(whatsapp_ids)
    .fetch_all(conn)
    .await?;
    Ok(rows)
}
