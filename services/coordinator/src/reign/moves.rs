//! Shards that change hands while they are served: withdrawn from who has them, released by it, and only then assigned.
//!
//! One batch after another. A move is the leader's alone: the next leader begins anew, and hears what was released meanwhile.

use crate::{
    command::{Command, Name},
    scheduler::Situation,
    state::State,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;

/// A worker that does not release what was withdrawn has this long; then it is moved on. It was told, and the ledger refuses it
/// once the next one has raised the epoch.
const FORCED: Duration = Duration::from_secs(20);
/// Workers that stop, and nobody who could take over: so long somebody may still come.
const LONELY: Duration = Duration::from_secs(1);
/// A stop is done in about so many batches, so that it fits into the grace of a worker.
const STOP_BATCHES: usize = 30;

#[derive(Debug)]
struct Move {
    worker: Name,
    incarnation: Incarnation,
    epoch: Epoch,
    to: Option<Name>,
    since: Instant,
}

/// The batch that is under way.
#[derive(Debug)]
pub(crate) struct Moves {
    batch: usize,
    pause: Duration,
    under_way: BTreeMap<Shard, Move>,
    /// Not before this does the next batch begin.
    next: Option<Instant>,
    lonely_since: Option<Instant>,
    /// For what nothing was to be moved: until that changes nothing is.
    balanced: Option<(i64, BTreeSet<Name>, BTreeSet<Name>)>,
}

impl Moves {
    pub(crate) fn new(batch: usize, pause: Duration) -> Self {
        Self { batch, pause, under_way: BTreeMap::new(), next: None, lonely_since: None, balanced: None }
    }

    /// To whom what is under way is to go.
    pub(crate) fn promised(&self) -> BTreeMap<Shard, Option<Name>> {
        self.under_way.iter().map(|(shard, one)| (*shard, one.to.clone())).collect()
    }

    /// Whether the worker is not shown this shard any more.
    pub(crate) fn has_withdrawn(&self, shard: Shard) -> bool {
        self.under_way.contains_key(&shard)
    }

    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Forgets what was released, or lost its worker. Returns how many moves ended.
    pub(crate) fn follow(&mut self, state: &State, now: Instant) -> usize {
        let before = self.under_way.len();
        self.under_way.retain(|shard, one| {
            let hold = state.holds().get(shard);
            state.member(&one.worker, one.incarnation).is_some()
                && hold.is_some_and(|hold| hold.worker == one.worker && hold.epoch == one.epoch)
        });
        let ended = before - self.under_way.len();
        if ended > 0 && self.under_way.is_empty() {
            self.next = Some(now + self.pause);
        }
        ended
    }

    /// The worker is cut off: perhaps it never heard what was withdrawn, and serves it. If it did hear, it will say that it
    /// released it.
    pub(crate) fn cancel(&mut self, worker: &str) -> bool {
        let before = self.under_way.len();
        self.under_way.retain(|_, one| *one.worker != *worker);
        self.under_way.len() < before
    }

    /// What was withdrawn too long ago, as the releases that never came.
    pub(crate) fn overdue(&self, now: Instant) -> Vec<Command> {
        let overdue = self.under_way.iter().filter(|(_, one)| now.saturating_duration_since(one.since) >= FORCED);
        let release = |(shard, one): (&Shard, &Move)| Command::Release {
            worker: one.worker.clone(),
            incarnation: one.incarnation,
            shards: vec![(*shard, one.epoch)],
        };
        overdue.map(release).collect()
    }

    /// Begins the next batch, if the one before is through and there is something to be moved. `is_calm`: everything that was
    /// assigned is served.
    pub(crate) fn begin(&mut self, situation: &Situation<'_>, is_calm: bool, now: Instant) {
        let state = situation.state;
        self.note_loneliness(state, now);
        if self.lonely_since.is_some_and(|since| now.saturating_duration_since(since) >= LONELY) {
            return self.withdraw_everything(situation, now);
        }
        if !self.under_way.is_empty() || !is_calm || self.next.is_some_and(|next| now < next) {
            return;
        }
        let seen = (state.version(), situation.reachable.clone(), situation.troubled.clone());
        if self.balanced.as_ref() == Some(&seen) {
            return;
        }
        let stopping = state.holds().values().filter(|hold| is_draining(state, &hold.worker)).count();
        let moves = situation.moves(self.batch.max(stopping.div_ceil(STOP_BATCHES)));
        if moves.is_empty() {
            self.balanced = Some(seen);
        }
        for one in moves {
            self.withdraw(state, one.shard, Some(one.to), now);
        }
    }

    fn withdraw(&mut self, state: &State, shard: Shard, to: Option<Name>, now: Instant) {
        let Some(hold) = state.holds().get(&shard) else { return };
        let Some(member) = state.members().get(&hold.worker) else { return };
        let worker = hold.worker.clone();
        let one = Move { worker, incarnation: member.incarnation, epoch: hold.epoch, to, since: now };
        self.under_way.insert(shard, one);
    }

    /// Everybody stops, and nobody came: they need not wait.
    fn withdraw_everything(&mut self, situation: &Situation<'_>, now: Instant) {
        let state = situation.state;
        let held = state.holds().iter().filter(|(_, hold)| situation.reachable.contains(&hold.worker));
        let shards: Vec<_> = held.map(|(shard, _)| *shard).filter(|shard| !self.has_withdrawn(*shard)).collect();
        for shard in shards {
            self.withdraw(state, shard, None, now);
        }
    }

    fn note_loneliness(&mut self, state: &State, now: Instant) {
        let all_stop = !state.members().is_empty() && state.members().values().all(|member| member.draining);
        match (all_stop, self.lonely_since) {
            (true, None) => self.lonely_since = Some(now),
            (false, _) => self.lonely_since = None,
            (true, Some(_)) => {}
        }
    }
}

fn is_draining(state: &State, worker: &Name) -> bool {
    state.members().get(worker).is_some_and(|member| member.draining)
}

#[cfg(test)]
mod tests;
