//! A batch of hot writes, in one transaction of a lane: fences first, then what is written, set by set.
//!
//! The writes of a batch are of many instances, and only those of one instance have an order among each other. So each kind of
//! write is carried out for all instances at once, in a statement or two: a batch costs about ten round trips, whatever its
//! size. Where a kind depends on what is stored (a receipt on its message's status), that is read first, the writes are
//! applied to it here in their order, and what came out is written. What was read is compared again by the statement that
//! writes: the few who may change the same rows beside the owner (expiry, deletion) make the batch run again.
//!
//! Writes that are rare have statements of their own, after those of their instance that come before and before those that
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
use crate::fault::Mutation;
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
    mutation: Mutation,
) -> Result<Carried> {
    let standings = fence::compare(&mut *conn, writes, mark, now, shards, mutation).await?;
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
        members::receipts(&mut tx, &round.members).await?;
        for item in round.alone {
            let outcome = alone(&mut tx, item).await?;
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

/// When in its round a write is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Turn {
    /// With all others of its kind; the kinds touch different rows.
    #[default]
    Common,
    /// With all others of its kind, after the first: it may find its message moved by those.
    Members,
    /// In statements of its own.
    Alone,
}

impl Turn {
    const fn of(op: &Op) -> Self {
        match op {
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
            | Op::Barrier => Self::Common,
            Op::MemberReceipt { .. } => Self::Members,
            Op::Mark { .. }
            | Op::DeletePrefix { .. }
            | Op::DeleteMarkedBefore { .. }
            | Op::ForgetSession { .. }
            | Op::Audience { .. }
            | Op::KeepNumbers { .. }
            | Op::SettleMedia { .. } => Self::Alone,
        }
    }
}

/// Writes by their turns.
#[derive(Default)]
struct Round<'a> {
    common: Vec<Item<'a>>,
    members: Vec<Item<'a>>,
    alone: Vec<Item<'a>>,
}

/// Sorts writes into rounds: those of one instance keep their order, those of different instances have none.
fn rounds<'a>(items: &[Item<'a>]) -> Vec<Round<'a>> {
    let mut rounds: Vec<Round<'a>> = Vec::new();
    // In which round an instance is, and how far in it.
    let mut reached: HashMap<InstanceId, (usize, Turn)> = HashMap::new();
    for item in items {
        let (number, last) = reached.entry(item.write.instance).or_default();
        let turn = Turn::of(&item.write.op);
        if turn < *last {
            *number += 1;
        }
        *last = turn;
        while rounds.len() <= *number {
            rounds.push(Round::default());
        }
        if let Some(round) = rounds.get_mut(*number) {
            match turn {
                Turn::Common => round.common.push(*item),
                Turn::Members => round.members.push(*item),
                Turn::Alone => round.alone.push(*item),
            }
        }
    }
    rounds
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

async fn alone(tx: &mut Tx<'_>, item: Item<'_>) -> Result<Outcome> {
    match &item.write.op {
        Op::Mark { kind, keys, mark } => session::mark(tx, item, *kind, keys, *mark).await,
        Op::DeletePrefix { kind, prefix } => session::delete_prefix(tx, item, *kind, prefix).await,
        Op::DeleteMarkedBefore { kind, before } => session::delete_marked_before(tx, item, *kind, *before).await,
        Op::ForgetSession { fail_open } => session::forget(tx, item, *fail_open).await,
        Op::Audience { message, members } => members::audience(tx, item, *message, members).await,
        Op::KeepNumbers { checks, at } => number::keep(tx, item, checks, *at).await,
        Op::SettleMedia { media, outcome, event } => media::settle(tx, item, *media, outcome, event.as_ref()).await,
        _ => Ok(Outcome::Refused(Error::internal("a write was carried out in another's turn"))),
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
    use warren_domain::group::Member;
    use warren_domain::{Epoch, Fence, MessageStatus, Shard, TenantId};
    use warren_ports::ledger::ReceiptTarget;

    fn write(instance: InstanceId, op: Op) -> Write {
        Write { fence: Fence { shard: Shard(0), epoch: Epoch(1) }, tenant: TenantId::from_bytes([0; 16]), instance, op }
    }

    fn places(items: &[Item<'_>]) -> Vec<usize> {
        items.iter().map(|item| item.place).collect()
    }

    #[test]
    fn only_the_writes_of_one_instance_have_an_order() {
        let (one, other) = (InstanceId::generate(), InstanceId::generate());
        let alone = || Op::DeleteMarkedBefore { kind: RecordKind::TcToken, before: 1 };
        let receipt = || {
            let target = ReceiptTarget { whatsapp_ids: Vec::new(), status: MessageStatus::Read, at: Timestamp::default() };
            Op::MemberReceipt { target, member: Member::default() }
        };
        let writes = [
            write(one, Op::Barrier),
            write(one, receipt()),
            write(one, alone()),
            write(one, alone()),
            write(other, Op::Barrier),
            write(one, receipt()),
            write(other, alone()),
            write(one, alone()),
            write(one, Op::Barrier),
        ];
        let items: Vec<_> = writes.iter().enumerate().map(|(place, write)| Item { place, write }).collect();
        let rounds = rounds(&items);
        let turns: Vec<_> =
            rounds.iter().map(|round| [&round.common, &round.members, &round.alone].map(|items| places(items))).collect();
        assert_eq!(turns[0], [vec![0, 4], vec![1], vec![2, 3, 6]]);
        assert_eq!(turns[1], [vec![], vec![5], vec![7]]);
        assert_eq!(turns[2], [vec![8], vec![], vec![]]);
        assert_eq!(turns.len(), 3);
    }
}
