//! The hot writes: the fence, whose instance it is, then the operation.

mod instance;
mod members;
mod message;
mod session;

use crate::counters::{self, Subject};
use crate::media;
use crate::transaction::{Standing, Tx};
use async_trait::async_trait;
use rusqlite::Result;
use warren_domain::event::NewEvent;
use warren_domain::media::MediaOutcome;
use warren_domain::{Error, MediaId, Shard};
use warren_ports::ledger::{Committer, Op, Outcome, RecordKind, Write};

use crate::Sqlite;

#[async_trait]
impl Committer for Sqlite {
    async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome> {
        self.writer().commit(writes).await
    }

    fn waiting_ms(&self) -> u64 {
        self.writer().waiting_ms()
    }
}

/// Applies one write inside the transaction. The fence is compared here, in the transaction that writes and that holds the
/// write lock: nobody can raise the epoch before it ends.
pub(crate) fn apply(tx: &mut Tx<'_>, write: &Write) -> Result<Outcome> {
    match tx.standing(write.fence)? {
        Standing::Holds => {}
        Standing::Lost => return Ok(Outcome::OwnershipLost),
        Standing::Behind => return Ok(Outcome::LedgerBehind),
    }
    if !tx.is_home(write.tenant, write.instance, write.fence.shard)? {
        return Ok(Outcome::Refused(Error::not_found()));
    }
    let subject = Subject { tenant: write.tenant, instance: write.instance };
    match &write.op {
        Op::Put(records) => session::put(tx, subject, records),
        Op::Mark { kind, keys, mark } => session::mark(tx, subject, *kind, keys, *mark),
        Op::Delete { kind, keys } => session::delete(tx, subject, *kind, keys),
        Op::DeletePrefix { kind, prefix } => session::delete_prefix(tx, subject, *kind, prefix),
        Op::DeleteMarkedBefore { kind, before } => session::delete_marked_before(tx, subject, *kind, *before),
        Op::ForgetSession { fail_open } => session::forget(tx, subject, *fail_open),
        Op::SetState { state, reason, at } => instance::set_state(tx, subject, *state, reason.as_deref(), *at),
        Op::SetAccount { account, event } => instance::set_account(tx, subject, account, event.as_ref()),
        Op::SetHealth { health, at } => instance::set_health(tx, subject, health, *at),
        Op::Claim { message, stanza, replace_stanza, at } => message::claim(
            tx,
            subject,
            write.fence.epoch,
            message::Claim { message: *message, stanza, replace: *replace_stanza, at: *at },
        ),
        Op::Fail { message, reason, at } => message::fail(tx, subject, *message, *reason, *at),
        Op::Cancel { message, at } => message::cancel(tx, subject, *message, *at),
        Op::SetRestriction { restriction, at } => instance::set_restriction(tx, subject, restriction.as_ref(), *at),
        Op::Receipt(target) => message::receipt(tx, subject, target),
        Op::Audience { message, members } => members::audience(tx, subject, *message, members),
        Op::MemberReceipt { target, member } => members::receipt(tx, subject, target, member),
        Op::Receive(inbound) => message::receive(tx, subject, inbound),
        Op::KeepNumbers { checks, at } => crate::numbers::keep(tx, subject, checks, *at),
        Op::SetUpload { message, upload } => message::set_upload(tx, subject, *message, upload),
        Op::SettleMedia { media, outcome, event } => settle_media(tx, subject, *media, outcome, event.as_ref()),
        Op::Append(event) => append(tx, subject, event),
        Op::Barrier => Ok(Outcome::Done),
    }
}

fn settle_media(
    tx: &Tx<'_>,
    subject: Subject,
    id: MediaId,
    outcome: &MediaOutcome,
    event: Option<&NewEvent>,
) -> Result<Outcome> {
    if event.is_some_and(|event| event.kind.is_ephemeral()) {
        return Ok(refused("ephemeral_event", "An ephemeral event is not stored."));
    }
    if !media::settle(tx.conn, subject.tenant, Some(subject.instance), id, outcome)? {
        return Ok(Outcome::NoChange);
    }
    if let Some(event) = event {
        counters::append(tx, subject, event, 0, false)?;
    }
    Ok(Outcome::Done)
}

fn append(tx: &Tx<'_>, subject: Subject, event: &NewEvent) -> Result<Outcome> {
    if event.kind.is_ephemeral() {
        return Ok(refused("ephemeral_event", "An ephemeral event is not stored."));
    }
    counters::append(tx, subject, event, 0, false)?;
    Ok(Outcome::Done)
}

/// The outcome of a write whose data is wrong by itself.
fn refused(code: &'static str, detail: &str) -> Outcome {
    Outcome::Refused(Error::invalid(code, detail))
}

fn changed(rows: usize) -> Outcome {
    if rows == 0 { Outcome::NoChange } else { Outcome::Done }
}

/// Whether a write consists of nothing but `PendingInbound` records: nobody waits for its sync. It is answered when it is
/// queued, which loses nothing: whatever is written after it is committed after it.
pub(crate) fn is_relaxed(op: &Op) -> bool {
    match op {
        Op::Put(records) => !records.is_empty() && records.iter().all(|record| record.kind == RecordKind::PendingInbound),
        Op::Delete { kind, .. } => *kind == RecordKind::PendingInbound,
        _ => false,
    }
}

/// About how many bytes a write puts into the log.
pub(crate) fn bytes(op: &Op) -> usize {
    /// An ordinary row with its index entries.
    const ROW: usize = 512;
    match op {
        Op::Put(records) => records.iter().map(|record| record.key.len() + record.value.len() + 64).sum(),
        Op::Mark { keys, .. } | Op::Delete { keys, .. } => keys.len() * 64,
        Op::Claim { stanza, .. } => stanza.len() + ROW,
        Op::SetUpload { upload, .. } => upload.len() + ROW,
        Op::Receipt(target) => target.whatsapp_ids.len() * ROW,
        Op::MemberReceipt { target, .. } => target.whatsapp_ids.len() * ROW,
        Op::Audience { members, .. } => members.len() * 128,
        Op::Receive(_) => 4 * ROW,
        Op::KeepNumbers { checks, .. } => checks.len() * ROW,
        _ => ROW,
    }
}

/// The shards as a set, for reads by their owner.
pub(crate) fn shard_set(shards: &[Shard]) -> std::collections::HashSet<Shard> {
    shards.iter().copied().collect()
}
