//! Outbound messages as their owner moves them on: claimed, acknowledged, failed. A status never falls.
//!
//! What the writes name is read, the writes are applied to it here in their order, and what came out is written: claims into
//! the queue, everything else into the message, whose row in the queue goes with it when it is open no more.

mod stored;

use super::{Item, Result, Tx, changed};
use crate::counters::Entry;
use std::collections::HashSet;
pub(super) use stored::{Messages, Tracked};
use warren_domain::event::StatusChange;
use warren_domain::{Epoch, FailureReason, InstanceId, MessageId, MessageStatus, Timestamp};
use warren_ports::ledger::{Op, Outcome, ReceiptTarget};

/// What a message passes, in this order.
const CLIMB: [MessageStatus; 4] =
    [MessageStatus::Sent, MessageStatus::Delivered, MessageStatus::Read, MessageStatus::Played];

/// What a claim asks for.
struct Claim<'a> {
    stanza: &'a [u8],
    replace: bool,
    at: Timestamp,
    epoch: Epoch,
}

/// Carries out everything that concerns outbound messages of persons and groups, but for what single members of groups did.
pub(super) async fn advance<'a>(tx: &mut Tx<'_>, items: &[Item<'a>]) -> Result<()> {
    let mut ids: HashSet<(InstanceId, MessageId)> = HashSet::new();
    let mut names: HashSet<(InstanceId, &'a str)> = HashSet::new();
    for item in items {
        let instance = item.write.instance;
        match &item.write.op {
            Op::Claim { message, .. }
            | Op::Fail { message, .. }
            | Op::Cancel { message, .. }
            | Op::SetUpload { message, .. } => {
                ids.insert((instance, *message));
            }
            Op::Receipt(target) => names.extend(target.whatsapp_ids.iter().map(|name| (instance, name.as_str()))),
            _ => {}
        }
    }
    if ids.is_empty() && names.is_empty() {
        return Ok(());
    }
    let mut messages = Messages::load(&mut *tx.conn, ids, names).await?;
    for item in items {
        if let Some(outcome) = apply(tx, &mut messages, *item)? {
            tx.settle(*item, outcome);
        }
    }
    messages.store(&mut *tx.conn).await
}

/// Applies one write to what was read.
fn apply(tx: &mut Tx<'_>, messages: &mut Messages, item: Item<'_>) -> Result<Option<Outcome>> {
    let instance = item.write.instance;
    let done = match &item.write.op {
        Op::Claim { message, stanza, replace_stanza, at } => {
            let claim = Claim { stanza, replace: *replace_stanza, at: *at, epoch: item.write.fence.epoch };
            messages.by_id(instance, *message).is_some_and(|message| hand(message, &claim))
        }
        Op::SetUpload { message, upload } => {
            let open = messages.by_id(instance, *message).filter(|message| message.status.is_open());
            open.is_some_and(|message| message.keep_upload(upload))
        }
        Op::Fail { message, reason, at } => {
            let open = messages.by_id(instance, *message).filter(|message| message.status.is_open());
            end(tx, item, open, *reason, *at)?
        }
        Op::Cancel { message, at } => {
            let queued = messages.by_id(instance, *message).filter(|message| message.status == MessageStatus::Queued);
            end(tx, item, queued, FailureReason::Cancelled, *at)?
        }
        Op::Receipt(target) => receipt(tx, messages, item, target)?,
        _ => return Ok(None),
    };
    Ok(Some(changed(u64::from(done))))
}

/// Hands a message to the wire under an epoch; `false`: it must not be sent.
fn hand(message: &mut Tracked, claim: &Claim<'_>) -> bool {
    let Some(place) = &mut message.place else { return false };
    let stale = place.epoch.is_some_and(|epoch| epoch > claim.epoch);
    let other = place.stanza.as_deref().is_some_and(|stanza| stanza != claim.stanza);
    if !message.status.is_open() || stale || (other && !claim.replace) {
        return false;
    }
    place.claimed = true;
    place.attempt += 1;
    place.epoch = Some(claim.epoch);
    place.handed_at = place.handed_at.or(Some(claim.at));
    place.stanza = Some(claim.stanza.to_vec());
    message.status = MessageStatus::Handed;
    true
}

/// Fails a message, if there is one that may be; whether there was.
fn end(
    tx: &mut Tx<'_>,
    item: Item<'_>,
    message: Option<&mut Tracked>,
    reason: FailureReason,
    at: Timestamp,
) -> Result<bool> {
    let Some(message) = message else { return Ok(false) };
    let was_open = message.status.is_open();
    message.fail(reason, at);
    tell(tx, item, message, was_open, at)?;
    Ok(true)
}

fn receipt(tx: &mut Tx<'_>, messages: &mut Messages, item: Item<'_>, target: &ReceiptTarget) -> Result<bool> {
    let mut any = false;
    for name in &target.whatsapp_ids {
        for place in messages.named(item.write.instance, name) {
            if let Some(message) = messages.at(place) {
                any |= climb(tx, item, message, target.status, target.at)?;
            }
        }
    }
    Ok(any)
}

/// Raises a message step by step up to a status, an event each; whether it rose. A receipt that overtook another, or the
/// server's ack, proves that the message got that far too.
pub(super) fn climb(
    tx: &mut Tx<'_>,
    item: Item<'_>,
    message: &mut Tracked,
    status: MessageStatus,
    at: Timestamp,
) -> Result<bool> {
    if !message.rises_to(status) {
        return Ok(false);
    }
    for step in CLIMB.into_iter().filter(|step| step.rank() <= status.rank()) {
        if message.rises_to(step) {
            let was_open = message.status.is_open();
            message.raise(step, at);
            tell(tx, item, message, was_open, at)?;
        }
    }
    Ok(true)
}

/// The event of the status that a message has now.
fn tell(tx: &mut Tx<'_>, item: Item<'_>, message: &Tracked, was_open: bool, at: Timestamp) -> Result<()> {
    let change = StatusChange {
        message: message.id,
        whatsapp_id: message.whatsapp_id.clone(),
        chat: message.chat.clone(),
        status: message.status,
        reason: message.reason,
        at,
    };
    let entry = Entry::status(item.subject(), &change, was_open)?;
    tx.append(item, entry);
    Ok(())
}
