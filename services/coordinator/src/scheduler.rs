//! Who is to have which shard: by weight, and with as few moves as that allows. Pure.

use crate::{
    command::Name,
    state::{Member, State},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};
use warren_domain::Shard;

/// What the leader knows beyond the state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation<'a> {
    pub(crate) state: &'a State,
    /// Workers that hear and are heard: only they can take or give.
    pub(crate) reachable: &'a BTreeSet<Name>,
    /// Shards that are on their way from who has them, and to whom.
    pub(crate) promised: &'a BTreeMap<Shard, Option<Name>>,
    /// Who could not take a shard: somebody else is to try.
    pub(crate) unfit: &'a BTreeMap<Shard, Name>,
    /// Workers that could not take something lately: nothing is moved to them, and what is free goes elsewhere if it can.
    pub(crate) troubled: &'a BTreeSet<Name>,
}

/// A shard that is to change hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) shard: Shard,
    pub(crate) from: Name,
    pub(crate) to: Name,
}

/// How many shards each worker should have. Those that stop should have none; if all do, nobody has a target.
///
/// Whole numbers by largest remainder; where that leaves a choice, who already has more keeps it.
pub(crate) fn targets(state: &State) -> BTreeMap<Name, usize> {
    let loads = state.loads();
    let mut targets: BTreeMap<_, _> = state.members().keys().map(|name| (name.clone(), 0)).collect();
    let count = state.founding().map_or(0, |founding| u64::from(founding.shard_count.0.get()));
    let active: Vec<_> = state.members().iter().filter(|(_, member)| !member.draining).collect();
    let total: u64 = active.iter().map(|(_, member)| u64::from(member.weight)).sum();
    if total == 0 {
        return targets;
    }
    let share = |member: &Member| {
        let exact = u128::from(count) * u128::from(member.weight);
        let (whole, rest) = (exact / u128::from(total), exact % u128::from(total));
        (usize::try_from(whole).unwrap_or(usize::MAX), rest)
    };
    let mut left = usize::try_from(count).unwrap_or(usize::MAX);
    let mut by_claim = Vec::new();
    for (name, member) in active {
        let (whole, rest) = share(member);
        left = left.saturating_sub(whole);
        let keeps_one_more = loads.get(name).is_some_and(|load| *load > whole);
        by_claim.push((Reverse(keeps_one_more && rest > 0), Reverse(rest), name.clone()));
        targets.insert(name.clone(), whole);
    }
    by_claim.sort();
    for (_, _, name) in by_claim.into_iter().take(left) {
        targets.entry(name).and_modify(|target| *target += 1);
    }
    targets
}

impl Situation<'_> {
    /// Who is to have each of these shards, which nobody has: those that can be reached, by how much they lack. Empty if there is
    /// nobody.
    pub(crate) fn place(&self, shards: impl IntoIterator<Item = Shard>) -> BTreeMap<Name, Vec<Shard>> {
        let targets = targets(self.state);
        let mut loads = self.coming_loads();
        let mut placed: BTreeMap<Name, Vec<Shard>> = BTreeMap::new();
        for shard in shards {
            let Some(worker) = self.receiver(shard, &targets, &loads) else { continue };
            // Who was promised it counts as having it already.
            if self.promised.get(&shard).and_then(Option::as_ref) != Some(&worker) {
                *loads.entry(worker.clone()).or_default() += 1;
            }
            placed.entry(worker).or_default().push(shard);
        }
        placed
    }

    /// Who else could take a shard than who could not.
    pub(crate) fn has_other(&self, than: &Name) -> bool {
        self.eligible().any(|(name, _)| name != than)
    }

    /// The next moves that bring everybody closer to their targets, at most so many: from those that stop first, from each worker
    /// and to each worker in turn.
    pub(crate) fn moves(&self, at_most: usize) -> Vec<Move> {
        let targets = targets(self.state);
        let mut loads = self.coming_loads();
        let mut surplus = self.surplus(&targets, &loads);
        let mut moves = Vec::new();
        while moves.len() < at_most {
            let Some(to) = self.most_lacking(&targets, &loads) else { break };
            let Some(place) = surplus.iter().position(|(_, shards)| !shards.is_empty()) else { break };
            let mut source = surplus.remove(place);
            if let Some(shard) = source.1.pop() {
                *loads.entry(to.clone()).or_default() += 1;
                moves.push(Move { shard, from: source.0.clone(), to });
            }
            // Within its rank, it is the last one to be asked next.
            let is_draining = self.is_draining(&source.0);
            let end = surplus.iter().position(|(name, _)| is_draining && !self.is_draining(name)).unwrap_or(surplus.len());
            surplus.insert(end, source);
        }
        moves
    }

    /// How many moves are still to be begun.
    pub(crate) fn planned(&self) -> usize {
        let targets = targets(self.state);
        self.surplus(&targets, &self.coming_loads()).iter().map(|(_, shards)| shards.len()).sum()
    }

    /// What each can give, those that stop first.
    fn surplus(&self, targets: &BTreeMap<Name, usize>, loads: &BTreeMap<Name, usize>) -> Vec<(Name, Vec<Shard>)> {
        let mut held: BTreeMap<&Name, Vec<Shard>> = BTreeMap::new();
        for (shard, hold) in self.state.holds() {
            if self.reachable.contains(&hold.worker) && !self.promised.contains_key(shard) {
                held.entry(&hold.worker).or_default().push(*shard);
            }
        }
        let mut surplus = Vec::new();
        for (name, mut shards) in held {
            let load = loads.get(name).copied().unwrap_or_default();
            let too_many = load.saturating_sub(targets.get(name).copied().unwrap_or_default());
            shards.truncate(too_many);
            surplus.push((name.clone(), shards));
        }
        surplus.sort_by_key(|(name, _)| !self.is_draining(name));
        surplus
    }

    /// How many shards each will have once what is on its way has arrived.
    fn coming_loads(&self) -> BTreeMap<Name, usize> {
        let mut loads = self.state.loads();
        for (shard, to) in self.promised {
            if let Some(hold) = self.state.holds().get(shard)
                && let Some(load) = loads.get_mut(&hold.worker)
            {
                *load = load.saturating_sub(1);
            }
            if let Some(load) = to.as_ref().and_then(|to| loads.get_mut(to)) {
                *load += 1;
            }
        }
        loads
    }

    fn receiver(&self, shard: Shard, targets: &BTreeMap<Name, usize>, loads: &BTreeMap<Name, usize>) -> Option<Name> {
        let unfit = self.unfit.get(&shard);
        if let Some(promised) = self.promised.get(&shard).and_then(Option::as_ref)
            && self.eligible().any(|(name, _)| name == promised && Some(name) != unfit)
        {
            return Some(promised.clone());
        }
        let rank = |(name, member): &(&Name, &Member)| {
            let load = loads.get(*name).copied().unwrap_or_default();
            let lacks = targets.get(*name).copied().unwrap_or_default().saturating_sub(load);
            // Beyond the targets, because somebody cannot be reached: by how full they are.
            let fullness = (load as u64 + 1).saturating_mul(1 << 20) / u64::from(member.weight.max(1));
            (unfit == Some(name), self.troubled.contains(*name), Reverse(lacks), fullness)
        };
        self.eligible().min_by_key(rank).map(|(name, _)| name.clone())
    }

    fn most_lacking(&self, targets: &BTreeMap<Name, usize>, loads: &BTreeMap<Name, usize>) -> Option<Name> {
        let lack = |name: &Name| {
            let load = loads.get(name).copied().unwrap_or_default();
            targets.get(name).copied().unwrap_or_default().saturating_sub(load)
        };
        let sound = self.eligible().filter(|(name, _)| !self.troubled.contains(*name));
        let lacking = sound.map(|(name, _)| (lack(name), name)).filter(|(lack, _)| *lack > 0);
        lacking.min_by_key(|(lack, name)| (Reverse(*lack), *name)).map(|(_, name)| name.clone())
    }

    /// Those that can be given something.
    fn eligible(&self) -> impl Iterator<Item = (&Name, &Member)> {
        self.state.members().iter().filter(|(name, member)| !member.draining && self.reachable.contains(*name))
    }

    fn is_draining(&self, name: &Name) -> bool {
        self.state.members().get(name).is_some_and(|member| member.draining)
    }
}

#[cfg(test)]
mod tests;
