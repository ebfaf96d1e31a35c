//! A batch of hot writes, in one transaction of a lane: fences first, then what is written, set by set.
//!
//! The writes of a batch are of many instances, and only those of one instance have an order among each other. So each kind of
//! write is carried out for all instances at once, in a statement or two: a batch costs about ten round trips, whatever its
//! size. Where a kind depends on what is stored (a receipt on its message's status), that is read first, the writes are
//! applied to it here in their order, and what came out is written. What was read is compared again by the statement that
//! writes: the few who may change the same rows beside the owner (expiry, deletion) make the batch run again.
//!
//! Writes that are rare have a statement of their own, after those of their instance that come before and before those that
//! come after ([`rounds`]). Events are appended at the end, all in one statement, in the order of the writes.

mod fence;
mod inbound;
mod instance;
mod media;
mod members;
mod message;
mod number;
mod refusal;
mod session;

pub(crate) use fence::Mark;

use crate::Postgres;
use crate::counters::{self, Entry, Subject};
use async_trait::async_trait;
use fence::Standing;
use sqlx::PgConnection;
use std::collections::HashMap;
use warren_domain::{Error, InstanceId, ShardCount, Timestamp};
use warren_ports::ledger::{Committer, Op, Outcome, RecordKind, Write};

#[async_trait]
impl Committer for Postgres {
    async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome> {
        self.lanes().commit(writes).await
    }

    fn waiting_ms(&self) -> u64 {
        self.lanes().waiting_ms()
    }
}

/// Why a batch could not be carried out.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Postgres refused.
    Sql(sqlx::Error),
    /// Somebody else changed what was read: run it again.
    Overtaken,
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

type Result<T, E = Trouble> = std::result::Result<T, E>;

/// A write of the batch, and its place in it.
#[derive(Clone, Copy)]
struct Item<'a> {
    place: usize,
    write: &'a Write,
}

impl Item<'_> {
    const fn subject(&self) -> Subject {
        Subject { tenant: self.write.tenant, instance: self.write.instance }
    }
}

/// The open transaction of a batch.
struct Tx<'c> {
    conn: &'c mut PgConnection,
    /// When it began, by the store's clock.
    now: Timestamp,
    /// The events to be appended, with the places of their writes.
    entries: Vec<(usize, Entry)>,
    outcomes: Vec<Option<Outcome>>,
}

impl Tx<'_> {
    fn settle(&mut self, item: Item<'_>, outcome: Outcome) {
        if let Some(slot) = self.outcomes.get_mut(item.place) {
            *slot = Some(outcome);
        }
    }

    fn append(&mut self, item: Item<'_>, entry: Entry) {
        self.entries.push((item.place, entry));
    }
}

/// What a batch came to.
pub(crate) struct Carried {
    /// A verdict each.
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether anything was written at all.
    pub(crate) wrote: bool,
}

/// Carries out writes inside the open transaction of `conn`; the caller commits. `mark` is written with them.
pub(crate) async fn carry_out(
    conn: &mut PgConnection,
    writes: &[&Write],
    mark: Mark,
    now: Timestamp,
    shards: ShardCount,
) -> Result<Carried> {
    let standings = fence::compare(&mut *conn, writes, mark, now, shards).await?;
    let mut tx = Tx { conn, now, entries: Vec::new(), outcomes: writes.iter().map(|_| None).collect() };
    let mut items = Vec::with_capacity(writes.len());
    for ((place, &write), standing) in writes.iter().enumerate().zip(standings) {
        let item = Item { place, write };
        match standing {
            Standing::Lost => tx.settle(item, Outcome::OwnershipLost),
            Standing::Behind => tx.settle(item, Outcome::LedgerBehind),
            Standing::Elsewhere => tx.settle(item, Outcome::Refused(Error::not_found())),
            Standing::Holds => match refusal::of(write) {
                Some(error) => tx.settle(item, Outcome::Refused(error)),
                None => items.push(item),
            },
        }
    }
    for round in rounds(&items) {
        common(&mut tx, &round.common).await?;
        for item in round.rare {
            let outcome = rare(&mut tx, item).await?;
            tx.settle(item, outcome);
        }
    }
    // Stable: of one write's events, the first stays the first.
    tx.entries.sort_by_key(|(place, _)| *place);
    let entries: Vec<Entry> = tx.entries.into_iter().map(|(_, entry)| entry).collect();
    counters::append_all(&mut *tx.conn, now, &entries).await?;
    Ok(carried(writes, tx.outcomes))
}

fn carried(writes: &[&Write], outcomes: Vec<Option<Outcome>>) -> Carried {
    let wrote = |(write, outcome): (&&Write, &Option<Outcome>)| {
        matches!(outcome, Some(Outcome::Done)) && !matches!(write.op, Op::Barrier)
    };
    let wrote = writes.iter().zip(&outcomes).any(wrote);
    let forgotten = || Outcome::Refused(Error::internal("a write of a batch was not carried out"));
    Carried { outcomes: outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(forgotten)).collect(), wrote }
}

/// Writes that can be carried out together, then those that have a statement of their own.
#[derive(Default)]
struct Round<'a> {
    common: Vec<Item<'a>>,
    rare: Vec<Item<'a>>,
}

/// Sorts writes into rounds: those of one instance keep their order, those of different instances have none.
fn rounds<'a>(items: &[Item<'a>]) -> Vec<Round<'a>> {
    let mut rounds: Vec<Round<'a>> = Vec::new();
    // In which round an instance is, and whether something rare of it is there already.
    let mut reached: HashMap<InstanceId, (usize, bool)> = HashMap::new();
    for item in items {
        let (number, after_rare) = reached.entry(item.write.instance).or_default();
        let is_rare = is_rare(&item.write.op);
        if *after_rare && !is_rare {
            *number += 1;
        }
        *after_rare = is_rare;
        while rounds.len() <= *number {
            rounds.push(Round::default());
        }
        if let Some(round) = rounds.get_mut(*number) {
            if is_rare { round.rare.push(*item) } else { round.common.push(*item) }
        }
    }
    rounds
}

const fn is_rare(op: &Op) -> bool {
    match op {
        Op::Mark { .. }
        | Op::DeletePrefix { .. }
        | Op::DeleteMarkedBefore { .. }
        | Op::ForgetSession { .. }
        | Op::Audience { .. }
        | Op::MemberReceipt { .. }
        | Op::KeepNumbers { .. }
        | Op::SettleMedia { .. } => true,
        Op::Put(_)
        | Op::Delete { .. }
        | Op::SetState { .. }
        | Op::SetAccount { .. }
        | Op::SetHealth { .. }
        | Op::SetRestriction { .. }
        | Op::Claim { .. }
        | Op::Fail { .. }
        | Op::Cancel { .. }
        | Op::Receipt(_)
        | Op::Receive(_)
        | Op::SetUpload { .. }
        | Op::Append(_)
        | Op::Barrier => false,
    }
}

/// Each kind for all instances at once; no two kinds touch the same rows.
async fn common(tx: &mut Tx<'_>, items: &[Item<'_>]) -> Result<()> {
    session::replace(tx, items).await?;
    message::advance(tx, items).await?;
    inbound::receive(tx, items).await?;
    instance::set(tx, items).await?;
    for item in items {
        match &item.write.op {
            Op::Append(event) => {
                let entry = Entry::new(item.subject(), event)?;
                tx.append(*item, entry);
                tx.settle(*item, Outcome::Done);
            }
            Op::Barrier => tx.settle(*item, Outcome::Done),
            _ => {}
        }
    }
    Ok(())
}

async fn rare(tx: &mut Tx<'_>, item: Item<'_>) -> Result<Outcome> {
    match &item.write.op {
        Op::Mark { kind, keys, mark } => session::mark(tx, item, *kind, keys, *mark).await,
        Op::DeletePrefix { kind, prefix } => session::delete_prefix(tx, item, *kind, prefix).await,
        Op::DeleteMarkedBefore { kind, before } => session::delete_marked_before(tx, item, *kind, *before).await,
        Op::ForgetSession { fail_open } => session::forget(tx, item, *fail_open).await,
        Op::Audience { message, members } => members::audience(tx, item, *message, members).await,
        Op::MemberReceipt { target, member } => members::receipt(tx, item, target, member).await,
        Op::KeepNumbers { checks, at } => number::keep(tx, item, checks, *at).await,
        Op::SettleMedia { media, outcome, event } => media::settle(tx, item, *media, outcome, event.as_ref()).await,
        _ => Ok(Outcome::Refused(Error::internal("a common write was taken for a rare one"))),
    }
}

fn changed(rows: u64) -> Outcome {
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

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use warren_domain::{Epoch, Fence, Shard, TenantId};

    fn write(instance: InstanceId, op: Op) -> Write {
        Write { fence: Fence { shard: Shard(0), epoch: Epoch(1) }, tenant: TenantId::from_bytes([0; 16]), instance, op }
    }

    fn places(items: &[Item<'_>]) -> Vec<usize> {
        items.iter().map(|item| item.place).collect()
    }

    #[test]
    fn only_the_writes_of_one_instance_have_an_order() {
        let (one, other) = (InstanceId::generate(), InstanceId::generate());
        let rare = || Op::DeleteMarkedBefore { kind: RecordKind::TcToken, before: 1 };
        let writes = [
            write(one, Op::Barrier),
            write(one, rare()),
            write(one, rare()),
            write(other, Op::Barrier),
            write(one, Op::Barrier),
            write(other, rare()),
            write(one, Op::Barrier),
            write(one, rare()),
        ];
        let items: Vec<_> = writes.iter().enumerate().map(|(place, write)| Item { place, write }).collect();
        let rounds = rounds(&items);
        assert_eq!(rounds.len(), 2);
        assert_eq!((places(&rounds[0].common), places(&rounds[0].rare)), (vec![0, 3], vec![1, 2, 5]));
        assert_eq!((places(&rounds[1].common), places(&rounds[1].rare)), (vec![4, 6], vec![7]));
    }
}
