//! Messages to groups: who they go to, and how far the weakest of those is.

use super::message::{climb, raisable, refused_receipt};
use super::{changed, refused};
use crate::counters::Subject;
use crate::transaction::Tx;
use rusqlite::{OptionalExtension, Result, params};
use warren_domain::group::Member;
use warren_domain::{MessageId, MessageStatus, Recipient, Timestamp};
use warren_ports::ledger::{Outcome, ReceiptTarget};

/// How many members an audience may have.
const AUDIENCE: usize = 2_048;

pub(super) fn audience(tx: &Tx<'_>, subject: Subject, message: MessageId, members: &[Member]) -> Result<Outcome> {
    if members.len() > AUDIENCE {
        return Ok(refused("audience_too_large", "An audience has at most 2,048 members."));
    }
    let open: Option<(i64, String)> = tx
        .conn
        .prepare_cached(
            "SELECT queue_order, chat FROM messages WHERE id = ?1 AND instance_id = ?2 AND direction = 1 AND status < 2",
        )?
        .query_row(params![message.as_bytes(), subject.instance.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((order, _)) = open.filter(|(_, chat)| Recipient::is_group(chat)) else { return Ok(Outcome::NoChange) };
    // Whoever answered has it, in the group or not.
    tx.conn
        .prepare_cached(
            "DELETE FROM message_members
             WHERE queue_order = ?1 AND delivered_at IS NULL AND read_at IS NULL AND played_at IS NULL",
        )?
        .execute([order])?;
    let mut insert = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO message_members (queue_order, jid, pn, lid) VALUES (?1, ?2, ?3, ?4)")?;
    for member in members {
        insert.execute(params![order, member.jid, member.pn, member.lid])?;
    }
    Ok(Outcome::Done)
}

pub(super) fn receipt(tx: &Tx<'_>, subject: Subject, target: &ReceiptTarget, member: &Member) -> Result<Outcome> {
    if let Some(refused) = refused_receipt(target) {
        return Ok(refused);
    }
    let mut rows = 0;
    for whatsapp_id in &target.whatsapp_ids {
        for message in raisable(tx, subject, whatsapp_id)? {
            if !Recipient::is_group(&message.tracked.chat) {
                continue;
            }
            let order = message.tracked.order;
            let is_news = note(tx, order, member, target.status, target.at)?;
            let status = if is_news { weakest(tx, order)? } else { MessageStatus::Sent };
            let rose = climb(tx, subject, message, status, target.at)?;
            rows += usize::from(is_news || rose);
        }
    }
    Ok(changed(rows))
}

/// Notes what a member did with a message; whether that is news. What came later passed what comes before it.
fn note(tx: &Tx<'_>, order: i64, member: &Member, status: MessageStatus, at: Timestamp) -> Result<bool> {
    if status.rank() < MessageStatus::Delivered.rank() {
        return Ok(false);
    }
    let Some(jid) = named(tx, order, member)? else { return Ok(false) };
    let reached = |step: MessageStatus| (step.rank() <= status.rank()).then_some(at.as_millis());
    let rows = tx
        .conn
        .prepare_cached(
            "UPDATE message_members SET delivered_at = coalesce(delivered_at, ?3), read_at = coalesce(read_at, ?4),
                    played_at = coalesce(played_at, ?5)
             WHERE queue_order = ?1 AND jid = ?2
                   AND (delivered_at IS NULL OR (read_at IS NULL AND ?4 IS NOT NULL)
                        OR (played_at IS NULL AND ?5 IS NOT NULL))",
        )?
        .execute(params![
            order,
            jid,
            reached(MessageStatus::Delivered),
            reached(MessageStatus::Read),
            reached(MessageStatus::Played),
        ])?;
    Ok(rows > 0)
}

/// By which name a member stands in the audience. A group may have changed from numbers to hidden addresses meanwhile.
fn named(tx: &Tx<'_>, order: i64, member: &Member) -> Result<Option<String>> {
    let exact = tx
        .conn
        .prepare_cached("SELECT jid FROM message_members WHERE queue_order = ?1 AND jid = ?2")?
        .query_row(params![order, member.jid], |row| row.get(0))
        .optional()?;
    if exact.is_some() {
        return Ok(exact);
    }
    tx.conn
        .prepare_cached(
            "SELECT jid FROM message_members
             WHERE queue_order = ?1 AND (jid IN (?3, ?4) OR pn IN (?2, ?3) OR lid IN (?2, ?4)) LIMIT 1",
        )?
        .query_row(params![order, member.jid, member.pn, member.lid], |row| row.get(0))
        .optional()
}

/// How far the weakest of a message's audience is.
fn weakest(tx: &Tx<'_>, order: i64) -> Result<MessageStatus> {
    // Each looks no further than to the first who is behind.
    let lacking: (bool, bool, bool) = tx
        .conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM message_members WHERE queue_order = ?1 AND delivered_at IS NULL),
                    EXISTS (SELECT 1 FROM message_members WHERE queue_order = ?1 AND read_at IS NULL),
                    EXISTS (SELECT 1 FROM message_members WHERE queue_order = ?1 AND played_at IS NULL)",
        )?
        .query_row([order], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(match lacking {
        (true, _, _) => MessageStatus::Sent,
        (false, true, _) => MessageStatus::Delivered,
        (false, false, true) => MessageStatus::Read,
        (false, false, false) => MessageStatus::Played,
    })
}
