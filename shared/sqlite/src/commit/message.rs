//! Messages as their owner moves them on: claimed, acknowledged, failed, received. A status never falls.

use super::{changed, refused};
use crate::counters::{self, Subject, Tracked};
use crate::rows::{delivery_number, json, maybe_json, millis, object};
use crate::transaction::Tx;
use crate::{contacts, media, queue};
use rusqlite::{OptionalExtension, Result, params};
use warren_domain::event::{NewEvent, StatusChange};
use warren_domain::media::Media;
use warren_domain::{Direction, Epoch, FailureReason, MessageId, MessageStatus, Timestamp};
use warren_ports::ledger::{Inbound, Outcome, ReceiptTarget};

/// How many ids one receipt may name.
const RECEIPT_IDS: usize = 1_000;

/// What a message passes, in this order.
const CLIMB: [MessageStatus; 4] =
    [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played];

/// What a claim asks for.
pub(super) struct Claim<'a> {
    pub(super) message: MessageId,
    pub(super) stanza: &'a [u8],
    pub(super) replace: bool,
    pub(super) at: Timestamp,
}

pub(super) fn claim(tx: &Tx<'_>, subject: Subject, epoch: Epoch, claim: Claim<'_>) -> Result<Outcome> {
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE messages SET status = 1, handed_epoch = ?3, attempt = attempt + 1, stanza = ?4,
                    handed_at = coalesce(handed_at, ?6)
             WHERE id = ?1 AND instance_id = ?2 AND direction = 1 AND status < 2
                   AND (handed_epoch IS NULL OR handed_epoch <= ?3)
                   AND (stanza IS NULL OR stanza = ?4 OR ?5)",
        )?
        .execute(params![
            claim.message.as_bytes(),
            subject.instance.as_bytes(),
            epoch.0,
            claim.stanza,
            claim.replace,
            claim.at.as_millis(),
        ])?;
    Ok(changed(rows))
}

pub(super) fn set_upload(tx: &Tx<'_>, subject: Subject, message: MessageId, upload: &[u8]) -> Result<Outcome> {
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE messages SET upload = ?3 WHERE id = ?1 AND instance_id = ?2 AND direction = 1 AND status < 2",
        )?
        .execute(params![message.as_bytes(), subject.instance.as_bytes(), upload])?;
    Ok(changed(rows))
}

fn is_of(file: &Media, subject: Subject) -> bool {
    file.tenant == subject.tenant && file.instance == Some(subject.instance)
}

pub(super) fn fail(
    tx: &Tx<'_>,
    subject: Subject,
    message: MessageId,
    reason: FailureReason,
    at: Timestamp,
) -> Result<Outcome> {
    end(tx, subject, message, MessageStatus::Handed, (reason, at))
}

/// Ends a message that is still queued.
pub(super) fn cancel(tx: &Tx<'_>, subject: Subject, message: MessageId, at: Timestamp) -> Result<Outcome> {
    end(tx, subject, message, MessageStatus::Queued, (FailureReason::Cancelled, at))
}

/// Fails a message that has not passed a status.
fn end(
    tx: &Tx<'_>,
    subject: Subject,
    message: MessageId,
    not_beyond: MessageStatus,
    (reason, at): (FailureReason, Timestamp),
) -> Result<Outcome> {
    let open = tx
        .conn
        .prepare_cached(
            "SELECT queue_order, id, whatsapp_id, chat FROM messages
             WHERE id = ?1 AND instance_id = ?2 AND direction = 1 AND status <= ?3",
        )?
        .query_row(params![message.as_bytes(), subject.instance.as_bytes(), not_beyond.rank()], |row| {
            Ok(Tracked { order: row.get(0)?, id: message, whatsapp_id: row.get(2)?, chat: row.get(3)? })
        })
        .optional()?;
    let Some(open) = open else { return Ok(Outcome::NoChange) };
    counters::fail(tx, subject, &open, reason, at)?;
    Ok(Outcome::Done)
}

/// An outbound message that a receipt may raise.
pub(super) struct Raisable {
    pub(super) tracked: Tracked,
    status: MessageStatus,
    reason: Option<String>,
}

impl Raisable {
    fn rises_to(&self, status: MessageStatus) -> bool {
        match self.status {
            // It was failed because nobody knew; now somebody does.
            MessageStatus::Failed => self.reason.as_deref() == Some(FailureReason::OutcomeUnknown.as_str()),
            current => current.rank() < status.rank(),
        }
    }
}

pub(super) fn receipt(tx: &Tx<'_>, subject: Subject, target: &ReceiptTarget) -> Result<Outcome> {
    if let Some(refused) = refused_receipt(target) {
        return Ok(refused);
    }
    let mut rows = 0;
    for whatsapp_id in &target.whatsapp_ids {
        for message in raisable(tx, subject, whatsapp_id)? {
            rows += usize::from(climb(tx, subject, message, target.status, target.at)?);
        }
    }
    Ok(changed(rows))
}

/// The refusal of a receipt that is none.
pub(super) fn refused_receipt(target: &ReceiptTarget) -> Option<Outcome> {
    if target.whatsapp_ids.len() > RECEIPT_IDS {
        return Some(refused("receipt_too_large", "A receipt names at most 1,000 messages."));
    }
    if raise_statement(target.status).is_none() {
        return Some(refused("receipt_status", "A receipt says sent, delivered, read or played."));
    }
    None
}

/// Raises a message step by step up to a status; whether it rose. A receipt that overtook another, or the server's ack,
/// proves that the message got that far too.
pub(super) fn climb(
    tx: &Tx<'_>,
    subject: Subject,
    mut message: Raisable,
    status: MessageStatus,
    at: Timestamp,
) -> Result<bool> {
    if !message.rises_to(status) {
        return Ok(false);
    }
    for step in CLIMB.into_iter().filter(|step| step.rank() <= status.rank()) {
        if message.rises_to(step) {
            raise(tx, subject, &message, step, at)?;
            message.status = step;
        }
    }
    Ok(true)
}

/// Raises one message to a status, with its event.
fn raise(tx: &Tx<'_>, subject: Subject, message: &Raisable, status: MessageStatus, at: Timestamp) -> Result<()> {
    let Some(statement) = raise_statement(status) else { return Ok(()) };
    tx.conn.prepare_cached(statement)?.execute(params![message.tracked.order, status.rank(), at.as_millis()])?;
    if status == MessageStatus::Sent {
        queue::acquaint(tx.conn, (subject.tenant, subject.instance), &message.tracked.chat, at)?;
    }
    let event = NewEvent::message_status(&StatusChange {
        message: message.tracked.id,
        whatsapp_id: message.tracked.whatsapp_id.clone(),
        chat: message.tracked.chat.clone(),
        status,
        reason: None,
        at,
    });
    counters::append(tx, subject, &event, u32::from(message.status.is_open()), false)
}

/// One text a status, as the time goes into another column. The server's ack and everything after it end the stanza's use.
const fn raise_statement(status: MessageStatus) -> Option<&'static str> {
    macro_rules! raise {
        ($column:literal) => {
            Some(concat!(
                "UPDATE messages SET status = ?2, ",
                $column,
                " = ?3, reason = NULL, failed_at = NULL, stanza = NULL WHERE queue_order = ?1"
            ))
        };
    }
    match status {
        MessageStatus::Sent => raise!("sent_at"),
        MessageStatus::Delivered => raise!("delivered_at"),
        MessageStatus::Read => raise!("read_at"),
        MessageStatus::Played => raise!("played_at"),
        MessageStatus::Queued | MessageStatus::Handed | MessageStatus::Failed => None,
    }
}

pub(super) fn raisable(tx: &Tx<'_>, subject: Subject, whatsapp_id: &str) -> Result<Vec<Raisable>> {
    tx.conn
        .prepare_cached(
            "SELECT queue_order, id, chat, status, reason FROM messages INDEXED BY messages_outbound
             WHERE instance_id = ?1 AND whatsapp_id = ?2 AND direction = 1",
        )?
        .query_map(params![subject.instance.as_bytes(), whatsapp_id], |row| {
            let status = MessageStatus::from_rank(row.get(3)?);
            Ok(Raisable {
                tracked: Tracked {
                    order: row.get(0)?,
                    id: MessageId::from_bytes(row.get(1)?),
                    whatsapp_id: whatsapp_id.to_owned(),
                    chat: row.get(2)?,
                },
                status: status.ok_or_else(|| crate::rows::corrupt(3, rusqlite::types::Type::Integer))?,
                reason: row.get(4)?,
            })
        })?
        .collect()
}

pub(super) fn receive(tx: &Tx<'_>, subject: Subject, inbound: &Inbound) -> Result<Outcome> {
    let message = &inbound.message;
    if message.direction != Direction::Inbound || message.instance != subject.instance || message.tenant != subject.tenant {
        return Ok(refused("not_inbound", "A received message is inbound and of the instance that received it."));
    }
    if inbound.media.as_ref().is_some_and(|file| !is_of(file, subject)) {
        return Ok(refused("foreign_media", "The file of a received message is of the instance that received it."));
    }
    if inbound.event.kind.is_ephemeral() {
        return Ok(refused("ephemeral_event", "An ephemeral event is not stored."));
    }
    let author = message.author.as_ref();
    let rows = tx
        .conn
        .prepare_cached(
            "INSERT INTO messages (id, tenant_id, instance_id, direction, whatsapp_id, chat, author_jid, author_pn, author_lid,
                 author_name, content, quoted, status, delivery, metadata, backfilled, stored_at, created_at, delivered_at,
                 attempt)
             VALUES (?1, ?2, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 0)
             ON CONFLICT (instance_id, whatsapp_id, chat, author_jid) WHERE direction = 0 DO NOTHING",
        )?
        .execute(params![
            message.id.as_bytes(),
            subject.tenant.as_bytes(),
            subject.instance.as_bytes(),
            message.whatsapp_id,
            message.chat,
            author.map_or("", |person| person.jid.as_str()),
            author.and_then(|person| person.pn.as_deref()),
            author.and_then(|person| person.lid.as_deref()),
            author.and_then(|person| person.push_name.as_deref()),
            json(&message.content)?,
            maybe_json(message.quoted.as_ref())?,
            MessageStatus::Delivered.rank(),
            delivery_number(message.delivery),
            object(&message.metadata)?,
            message.backfilled,
            tx.now.as_millis(),
            message.times.created.as_millis(),
            millis(message.times.delivered),
        ])?;
    if rows == 0 {
        return Ok(Outcome::NoChange);
    }
    contacts::meet(tx.conn, message)?;
    if let Some(file) = &inbound.media {
        media::insert(tx.conn, file)?;
    }
    counters::append(tx, subject, &inbound.event, 0, true)?;
    Ok(Outcome::Done)
}
