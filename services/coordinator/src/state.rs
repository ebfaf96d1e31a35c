//! What the group agrees on, and how an entry changes it. Pure: the same entries give the same state everywhere.
//!
//! Kept: what the cluster was made with, its members with their incarnations, and who has which shard under which epoch. Nothing
//! else: who is connected, who is to get what next and how a move goes is the leader's, and is forgotten with it.

use crate::command::{Command, Founding, Name};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use warren_domain::{Epoch, Shard};
use warren_ports::lease::Incarnation;

/// The most workers that there can be.
pub(crate) const MOST_MEMBERS: usize = 1_024;
/// How many starts that are gone are remembered.
const FORMER: usize = 1_024;

/// A worker that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) incarnation: Incarnation,
    /// How much it takes, compared to others; at least 1.
    pub(crate) weight: u32,
    /// It stops.
    pub(crate) draining: bool,
}

/// Who has a shard. The start of the worker is the one that is a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    pub(crate) worker: Name,
    pub(crate) epoch: Epoch,
}

/// The state of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The index of the last entry in it.
    index: u64,
    founding: Option<Founding>,
    members: BTreeMap<Name, Member>,
    holds: BTreeMap<Shard, Hold>,
    /// Starts that are gone, the latest last.
    former: VecDeque<(Name, Incarnation)>,
}

impl State {
    /// Takes over an entry.
    pub(crate) fn apply(&mut self, index: u64, commands: &[Command]) {
        self.index = index;
        for command in commands {
            self.change(command);
        }
    }

    /// Takes over one command of an entry that is being made. Says whether it changed anything.
    pub(crate) fn try_apply(&mut self, index: u64, command: &Command) -> bool {
        self.index = index;
        self.change(command)
    }

    /// Takes over an entry without commands.
    pub(crate) fn pass(&mut self, index: u64) {
        self.index = index;
    }

    pub(crate) fn founding(&self) -> Option<&Founding> {
        self.founding.as_ref()
    }

    /// Grows with every entry, over every leader and over a group that was made anew.
    pub(crate) fn version(&self) -> i64 {
        self.epoch().0
    }

    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    pub(crate) fn members(&self) -> &BTreeMap<Name, Member> {
        &self.members
    }

    pub(crate) fn holds(&self) -> &BTreeMap<Shard, Hold> {
        &self.holds
    }

    /// The member, if it is this start of it.
    pub(crate) fn member(&self, worker: &str, incarnation: Incarnation) -> Option<&Member> {
        self.members.get(worker).filter(|member| member.incarnation == incarnation)
    }

    /// Whether this start is gone and a later one is there.
    pub(crate) fn is_superseded(&self, worker: &str, incarnation: Incarnation) -> bool {
        let other = self.members.get(worker).is_some_and(|member| member.incarnation != incarnation);
        other && self.former.iter().any(|(name, gone)| **name == *worker && *gone == incarnation)
    }

    /// What a worker has.
    pub(crate) fn held_by(&self, worker: &str) -> impl Iterator<Item = (Shard, Epoch)> {
        self.holds.iter().filter(move |(_, hold)| *hold.worker == *worker).map(|(shard, hold)| (*shard, hold.epoch))
    }

    /// Shards that nobody has.
    pub(crate) fn unassigned(&self) -> impl Iterator<Item = Shard> {
        let count = self.founding.as_ref().map_or(0, |founding| founding.shard_count.0.get());
        // Nothing is looked for where nothing is missing, which is nearly always.
        let count = if self.holds.len() == usize::from(count) { 0 } else { count };
        (0..count).map(Shard).filter(|shard| !self.holds.contains_key(shard))
    }

    /// How many shards each member has.
    pub(crate) fn loads(&self) -> BTreeMap<Name, usize> {
        let mut loads: BTreeMap<_, _> = self.members.keys().map(|name| (name.clone(), 0)).collect();
        for hold in self.holds.values() {
            if let Some(load) = loads.get_mut(&hold.worker) {
                *load += 1;
            }
        }
        loads
    }

    fn epoch(&self) -> Epoch {
        let first = self.founding.as_ref().map_or(0, |founding| founding.first_epoch);
        Epoch(first.saturating_add(i64::try_from(self.index).unwrap_or(i64::MAX)))
    }

    fn change(&mut self, command: &Command) -> bool {
        match command {
            Command::Found(founding) => {
                let is_new = self.founding.is_none();
                self.founding.get_or_insert_with(|| founding.clone());
                is_new
            }
            Command::Join { worker, incarnation, weight } => self.join(worker, *incarnation, *weight),
            Command::Remove { worker, incarnation } => {
                let is_there = self.member(worker, *incarnation).is_some();
                if is_there {
                    self.remove(worker);
                }
                is_there
            }
            Command::Drain { worker, incarnation } => match self.members.get_mut(worker) {
                Some(member) if member.incarnation == *incarnation => !std::mem::replace(&mut member.draining, true),
                _ => false,
            },
            Command::Assign { worker, incarnation, shards } => self.assign(worker, *incarnation, shards),
            Command::Release { worker, incarnation, shards } => {
                self.with_held(worker, *incarnation, shards, |state, shard| drop(state.holds.remove(&shard)))
            }
            Command::Refresh { worker, incarnation, shards } => {
                self.with_held(worker, *incarnation, shards, |state, shard| {
                    let epoch = state.epoch();
                    state.holds.entry(shard).and_modify(|hold| hold.epoch = epoch);
                })
            }
        }
    }

    fn join(&mut self, worker: &Name, incarnation: Incarnation, weight: u32) -> bool {
        let weight = weight.max(1);
        if self.member(worker, incarnation).is_some() {
            let member = self.members.get_mut(worker);
            return member.is_some_and(|member| std::mem::replace(&mut member.weight, weight) != weight);
        }
        if self.is_superseded(worker, incarnation) {
            return false;
        }
        self.remove(worker);
        if self.members.len() >= MOST_MEMBERS {
            return false;
        }
        self.former.retain(|(name, former)| (name, former) != (worker, &incarnation));
        self.members.insert(worker.clone(), Member { incarnation, weight, draining: false });
        true
    }

    fn remove(&mut self, worker: &Name) {
        if let Some(member) = self.members.remove(worker) {
            self.holds.retain(|_, hold| hold.worker != *worker);
            self.former.push_back((worker.clone(), member.incarnation));
            if self.former.len() > FORMER {
                self.former.pop_front();
            }
        }
    }

    fn assign(&mut self, worker: &Name, incarnation: Incarnation, shards: &[Shard]) -> bool {
        if self.member(worker, incarnation).is_none_or(|member| member.draining) {
            return false;
        }
        let count = self.founding.as_ref().map_or(0, |founding| founding.shard_count.0.get());
        let epoch = self.epoch();
        let mut changed = false;
        for shard in shards.iter().filter(|shard| shard.0 < count) {
            self.holds.entry(*shard).or_insert_with(|| {
                changed = true;
                Hold { worker: worker.clone(), epoch }
            });
        }
        changed
    }

    /// Does something to those of `shards` that this start of the worker has under these epochs.
    fn with_held(
        &mut self,
        worker: &Name,
        incarnation: Incarnation,
        shards: &[(Shard, Epoch)],
        mut change: impl FnMut(&mut Self, Shard),
    ) -> bool {
        if self.member(worker, incarnation).is_none() {
            return false;
        }
        let mut changed = false;
        for (shard, epoch) in shards {
            if self.holds.get(shard).is_some_and(|hold| hold.worker == *worker && hold.epoch == *epoch) {
                change(self, *shard);
                changed = true;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;
