//! Who gets what, by example and at random.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::command::{Command, Founding};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::num::NonZeroU16;
use warren_domain::ShardCount;
use warren_ports::lease::Incarnation;

/// Who gets how many.
type Share = (&'static str, usize);

/// Name, weight, shards.
type Of = (&'static str, u32, usize);

/// A cluster as it is to be: workers with weight and shards; those with a `-` before their name stop.
fn cluster(shards: u16, workers: &[Of]) -> State {
    let mut state = State::default();
    let founding = Founding {
        cluster: "c".into(),
        shard_count: ShardCount(NonZeroU16::new(shards).unwrap()),
        hash: "h".into(),
        first_epoch: 0,
    };
    state.apply(1, &[Command::Found(founding)]);
    let incarnation = Incarnation(1);
    for (name, weight, load) in workers {
        let worker: Name = name.trim_start_matches('-').into();
        let shards = state.unassigned().take(*load).collect();
        state.apply(
            2,
            &[
                Command::Join { worker: worker.clone(), incarnation, weight: *weight },
                Command::Assign { worker: worker.clone(), incarnation, shards },
            ],
        );
        if name.starts_with('-') {
            state.apply(3, &[Command::Drain { worker, incarnation }]);
        }
    }
    state
}

/// What the tests vary.
#[derive(Default)]
struct Around {
    away: BTreeSet<Name>,
    promised: BTreeMap<Shard, Option<Name>>,
    unfit: BTreeMap<Shard, Name>,
    troubled: BTreeSet<Name>,
}

impl Around {
    fn with<T>(&self, state: &State, look: impl FnOnce(Situation<'_>) -> T) -> T {
        let reachable = state.members().keys().filter(|name| !self.away.contains(*name)).cloned().collect();
        let (promised, unfit, troubled) = (&self.promised, &self.unfit, &self.troubled);
        look(Situation { state, reachable: &reachable, promised, unfit, troubled })
    }

    /// How many of the free shards each gets.
    fn placed(&self, state: &State) -> BTreeMap<String, usize> {
        let placed = self.with(state, |situation| situation.place(state.unassigned()));
        placed.into_iter().map(|(name, shards)| (name.to_string(), shards.len())).collect()
    }
}

fn counts(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn free_shards_go_by_weight_and_by_what_is_lacking() {
    type Case = (u16, &'static [Of], &'static [Share]);
    let table: &[Case] = &[
        (12, &[("a", 1, 0)], &[("a", 12)]),
        (12, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)], &[("a", 4), ("b", 4), ("c", 4)]),
        (12, &[("a", 1, 0), ("b", 2, 0), ("c", 3, 0)], &[("a", 2), ("b", 4), ("c", 6)]),
        (10, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)], &[("a", 4), ("b", 3), ("c", 3)]),
        (12, &[("a", 1, 4), ("b", 1, 4)], &[("a", 2), ("b", 2)]),
        (12, &[("a", 1, 6), ("b", 1, 0)], &[("b", 6)]),
        // More than its share stays where it is; the rest goes to the others.
        (12, &[("a", 1, 8), ("b", 1, 0), ("c", 1, 0)], &[("b", 2), ("c", 2)]),
        (12, &[("-a", 1, 4), ("b", 1, 2)], &[("b", 6)]),
        (12, &[("-a", 1, 4)], &[]),
        (12, &[], &[]),
        (2, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 0)], &[("a", 1), ("b", 1)]),
    ];
    for (shards, workers, expected) in table {
        let state = cluster(*shards, workers);
        assert_eq!(Around::default().placed(&state), counts(expected), "{workers:?}");
    }
}

#[test]
fn who_cannot_be_reached_gets_nothing_and_gives_nothing() {
    let state = cluster(12, &[("a", 1, 0), ("b", 1, 0), ("c", 1, 12)]);
    let around = Around { away: ["c".into()].into(), ..Around::default() };
    assert!(around.with(&state, |situation| situation.moves(100)).is_empty());
    let state = cluster(12, &[("a", 1, 0), ("b", 2, 0), ("c", 1, 0)]);
    assert_eq!(around.placed(&state), counts(&[("a", 4), ("b", 8)]), "all of them, by weight");
    let around = Around { away: ["a".into(), "b".into(), "c".into()].into(), ..Around::default() };
    assert!(around.placed(&state).is_empty());
}

#[test]
fn who_could_not_take_a_shard_gets_another() {
    let state = cluster(2, &[("a", 1, 0), ("b", 1, 0)]);
    let unfit = BTreeMap::from([(Shard(0), "a".into()), (Shard(1), "a".into())]);
    let around = Around { unfit, ..Around::default() };
    assert_eq!(around.placed(&state), counts(&[("b", 2)]));
    let alone = cluster(2, &[("a", 1, 0)]);
    assert_eq!(around.placed(&alone), counts(&[("a", 2)]), "there is nobody else");
}

#[test]
fn nothing_is_moved_to_who_is_troubled() {
    let state = cluster(12, &[("a", 1, 6), ("b", 1, 6), ("c", 1, 0)]);
    let around = Around { troubled: ["c".into()].into(), ..Around::default() };
    assert!(around.with(&state, |situation| situation.moves(100)).is_empty());
    let state = cluster(12, &[("a", 1, 6), ("b", 1, 0), ("c", 1, 0)]);
    assert_eq!(around.placed(&state), counts(&[("b", 6)]));
    let state = cluster(12, &[("c", 1, 0)]);
    assert_eq!(around.placed(&state), counts(&[("c", 12)]), "there is nobody else");
}

#[test]
fn a_promise_is_kept_if_it_can_be() {
    let state = cluster(4, &[("a", 1, 0), ("b", 1, 0)]);
    let promised = BTreeMap::from([(Shard(0), Some("b".into())), (Shard(1), Some("b".into()))]);
    let around = Around { promised: promised.clone(), ..Around::default() };
    let placed = around.with(&state, |situation| situation.place(state.unassigned()));
    assert_eq!(placed["b"], [Shard(0), Shard(1)]);
    assert_eq!(placed["a"], [Shard(2), Shard(3)]);
    let around = Around { promised, away: ["b".into()].into(), ..Around::default() };
    assert_eq!(around.placed(&state), counts(&[("a", 4)]));
}

#[test]
fn moves_are_as_few_as_balance_allows() {
    let table: &[(u16, &[Of], usize)] = &[
        (12, &[("a", 1, 6), ("b", 1, 6), ("c", 1, 0)], 4),
        (12, &[("a", 1, 4), ("b", 1, 4), ("c", 1, 4)], 0),
        (10, &[("a", 1, 4), ("b", 1, 3), ("c", 1, 3)], 0),
        (10, &[("a", 1, 3), ("b", 1, 3), ("c", 1, 4)], 0),
        (10, &[("a", 1, 5), ("b", 1, 3), ("c", 1, 2)], 1),
        (12, &[("-a", 1, 6), ("b", 1, 6)], 6),
        (12, &[("-a", 1, 12)], 0),
        (12, &[("a", 1, 6), ("b", 2, 6)], 2),
    ];
    for (shards, workers, expected) in table {
        let state = cluster(*shards, workers);
        Around::default().with(&state, |situation| {
            assert_eq!(situation.moves(100).len(), *expected, "{workers:?}");
        });
    }
}

#[test]
fn a_batch_takes_from_all_and_gives_to_all_those_that_stop_first() {
    let state = cluster(24, &[("a", 1, 12), ("-b", 1, 12), ("c", 1, 0), ("d", 1, 0)]);
    let moves = Around::default().with(&state, |situation| situation.moves(4));
    assert!(moves.iter().all(|one| &*one.from == "b"), "{moves:?}");
    assert_eq!(moves.iter().filter(|one| &*one.to == "c").count(), 2, "{moves:?}");
    let state = cluster(24, &[("a", 1, 12), ("b", 1, 12), ("c", 1, 0)]);
    let moves = Around::default().with(&state, |situation| situation.moves(4));
    assert_eq!(moves.iter().filter(|one| &*one.from == "a").count(), 2, "{moves:?}");
}

#[test]
fn what_is_on_its_way_counts_for_where_it_goes() {
    let state = cluster(12, &[("a", 1, 12), ("b", 1, 0)]);
    let promised = (0..6).map(|shard| (Shard(shard), Some("b".into()))).collect();
    let around = Around { promised, ..Around::default() };
    around.with(&state, |situation| assert!(situation.moves(100).is_empty() && situation.planned() == 0));
}

#[test]
fn whoever_comes_and_goes_it_ends_balanced_and_then_nothing_moves() {
    for seed in 0..100 {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(1..200);
        let mut state = cluster(count, &[]);
        let mut index = 10;
        for _ in 0..12 {
            let worker: Name = format!("w{}", random.random_range(0..6)).into();
            let incarnation = state.members().get(&worker).map_or(Incarnation(1), |member| member.incarnation);
            index += 1;
            let change = match random.random_range(0..4) {
                0 => Command::Remove { worker, incarnation },
                1 => Command::Drain { worker, incarnation },
                _ => Command::Join { worker, incarnation, weight: random.random_range(1..5) },
            };
            state.apply(index, &[change]);
            settle(&mut state, &mut index, &mut random, seed);
        }
    }
}

/// Places and moves, in batches, until nothing is left to be done.
fn settle(state: &mut State, index: &mut u64, random: &mut StdRng, seed: u64) {
    let around = Around::default();
    let placed = around.with(state, |situation| situation.place(state.unassigned()));
    apply_placed(state, index, placed);
    let is_served = state.members().values().any(|member| !member.draining);
    if is_served {
        assert_eq!(state.unassigned().count(), 0, "seed {seed}");
    }
    let planned = around.with(state, |situation| situation.planned());
    let mut moved = 0;
    loop {
        let moves = around.with(state, |situation| situation.moves(random.random_range(1..9)));
        if moves.is_empty() {
            break;
        }
        moved += moves.len();
        for one in moves {
            *index += 1;
            let member = &state.members()[&one.from];
            let held = vec![(one.shard, state.holds()[&one.shard].epoch)];
            let release = Command::Release { worker: one.from, incarnation: member.incarnation, shards: held };
            let incarnation = state.members()[&one.to].incarnation;
            let assign = Command::Assign { worker: one.to, incarnation, shards: vec![one.shard] };
            state.apply(*index, &[release, assign]);
        }
    }
    if !is_served {
        assert_eq!(moved, 0);
        return;
    }
    assert_eq!(moved, planned, "seed {seed}: no shard moves twice");
    let targets = targets(state);
    assert_eq!(state.loads(), targets, "seed {seed}");
    let total: u32 = state.members().values().filter(|member| !member.draining).map(|member| member.weight).sum();
    let count = f64::from(state.founding().unwrap().shard_count.0.get());
    for (name, member) in state.members().iter().filter(|(_, member)| !member.draining) {
        let exact = count * f64::from(member.weight) / f64::from(total);
        assert!((targets[name] as f64 - exact).abs() < 1.0, "seed {seed}: {name} has {} of {exact}", targets[name]);
    }
}

fn apply_placed(state: &mut State, index: &mut u64, placed: BTreeMap<Name, Vec<Shard>>) {
    *index += 1;
    let assign = |(worker, shards): (Name, Vec<Shard>)| {
        let incarnation = state.members()[&worker].incarnation;
        Command::Assign { worker, incarnation, shards }
    };
    let commands: Vec<_> = placed.into_iter().map(assign).collect();
    state.apply(*index, &commands);
}
