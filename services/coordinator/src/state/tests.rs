//! What entries do, by example and at random.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use std::num::NonZeroU16;
use warren_domain::ShardCount;

fn found(shards: u16) -> Command {
    Command::Found(Founding {
        cluster: "c".into(),
        shard_count: ShardCount(NonZeroU16::new(shards).unwrap()),
        hash: "h".into(),
        first_epoch: 100,
    })
}

fn join(worker: &str, incarnation: u64) -> Command {
    Command::Join { worker: worker.into(), incarnation: Incarnation(incarnation), weight: 1 }
}

fn remove(worker: &str, incarnation: u64) -> Command {
    Command::Remove { worker: worker.into(), incarnation: Incarnation(incarnation) }
}

fn drain(worker: &str, incarnation: u64) -> Command {
    Command::Drain { worker: worker.into(), incarnation: Incarnation(incarnation) }
}

fn assign(worker: &str, incarnation: u64, shards: &[u16]) -> Command {
    let shards = shards.iter().map(|shard| Shard(*shard)).collect();
    Command::Assign { worker: worker.into(), incarnation: Incarnation(incarnation), shards }
}

fn held(shards: &[(u16, i64)]) -> Vec<(Shard, Epoch)> {
    shards.iter().map(|(shard, epoch)| (Shard(*shard), Epoch(*epoch))).collect()
}

fn release(worker: &str, incarnation: u64, shards: &[(u16, i64)]) -> Command {
    Command::Release { worker: worker.into(), incarnation: Incarnation(incarnation), shards: held(shards) }
}

fn refresh(worker: &str, incarnation: u64, shards: &[(u16, i64)]) -> Command {
    Command::Refresh { worker: worker.into(), incarnation: Incarnation(incarnation), shards: held(shards) }
}

/// The state after these entries, the first at index 1.
fn after(entries: &[&[Command]]) -> State {
    let mut state = State::default();
    for (index, commands) in (1..).zip(entries) {
        state.apply(index, commands);
    }
    state
}

fn of(state: &State, worker: &str) -> Vec<(Shard, Epoch)> {
    state.held_by(worker).collect()
}

#[test]
fn an_entry_is_an_epoch() {
    let state = after(&[&[found(4)], &[join("a", 1), assign("a", 1, &[0, 1, 2, 3])], &[refresh("a", 1, &[(1, 102)])]]);
    assert_eq!(of(&state, "a"), held(&[(0, 102), (1, 103), (2, 102), (3, 102)]));
    assert_eq!((state.index(), state.version()), (3, 103));
    assert_eq!(state.unassigned().count(), 0);
}

#[test]
fn a_cluster_is_founded_once() {
    let mut state = after(&[&[found(4)], &[found(8)]]);
    assert_eq!(state.founding().unwrap().shard_count.0.get(), 4);
    assert!(!state.try_apply(3, &found(4)));
    assert_eq!(after(&[&[join("a", 1), assign("a", 1, &[0])]]).holds().len(), 0, "no shards before");
}

#[test]
fn only_what_nobody_has_is_assigned_and_only_to_who_is_there() {
    let state = after(&[
        &[found(4), join("a", 1), join("b", 1)],
        &[assign("a", 1, &[0, 1])],
        &[assign("b", 1, &[1, 2, 4]), assign("b", 2, &[3]), assign("c", 1, &[3])],
        &[drain("a", 1), assign("a", 1, &[3])],
    ]);
    assert_eq!(of(&state, "a"), held(&[(0, 102), (1, 102)]));
    assert_eq!(of(&state, "b"), held(&[(2, 103)]));
    assert_eq!(state.unassigned().collect::<Vec<_>>(), [Shard(3)]);
    assert!(state.members()["a"].draining);
}

#[test]
fn a_release_and_who_is_next_are_one_entry() {
    let state = after(&[
        &[found(2), join("a", 1), join("b", 1), assign("a", 1, &[0, 1])],
        &[release("a", 1, &[(0, 101), (1, 100)]), assign("b", 1, &[0, 1])],
    ]);
    assert_eq!(of(&state, "a"), held(&[(1, 101)]), "released under another epoch");
    assert_eq!(of(&state, "b"), held(&[(0, 102)]));
}

#[test]
fn a_late_report_changes_nothing() {
    let mut state = after(&[&[found(2), join("a", 1), assign("a", 1, &[0])], &[refresh("a", 1, &[(0, 101)])]]);
    for late in [release("a", 1, &[(0, 101)]), refresh("a", 1, &[(0, 101)]), release("a", 2, &[(0, 102)])] {
        assert!(!state.try_apply(3, &late), "{late:?}");
    }
    assert_eq!(of(&state, "a"), held(&[(0, 102)]));
}

#[test]
fn who_is_gone_has_nothing() {
    let state = after(&[&[found(2), join("a", 1), assign("a", 1, &[0, 1])], &[remove("a", 2)], &[remove("a", 1)]]);
    assert!(state.members().is_empty() && state.holds().is_empty());
}

#[test]
fn a_later_start_ends_the_one_before_which_does_not_come_back() {
    let mut state = after(&[&[found(2), join("a", 1), assign("a", 1, &[0, 1])], &[join("a", 2)]]);
    assert!(state.holds().is_empty(), "its memory is gone, and so is what it had");
    assert!(state.is_superseded("a", Incarnation(1)) && !state.is_superseded("a", Incarnation(2)));
    assert!(!state.try_apply(3, &join("a", 1)), "a process that was stopped wakes up");
    assert_eq!(state.members()["a"].incarnation, Incarnation(2));
    assert!(state.try_apply(4, &join("a", 3)));
    assert!(state.is_superseded("a", Incarnation(2)));
}

#[test]
fn who_was_declared_dead_by_mistake_comes_back() {
    let mut state = after(&[&[found(2), join("a", 1)], &[remove("a", 1)]]);
    assert!(!state.is_superseded("a", Incarnation(1)), "nobody took its name");
    assert!(state.try_apply(3, &join("a", 1)));
    let mut state = after(&[&[found(2), join("a", 1)], &[remove("a", 1)], &[join("a", 2)]]);
    assert!(!state.try_apply(4, &join("a", 1)), "somebody did");
    assert!(state.try_apply(5, &remove("a", 2)) && state.try_apply(6, &join("a", 1)));
}

#[test]
fn a_weight_can_change_and_is_never_nothing() {
    let mut state = after(&[&[found(2), join("a", 1)]]);
    let heavier = Command::Join { worker: "a".into(), incarnation: Incarnation(1), weight: 3 };
    assert!(state.try_apply(2, &heavier) && !state.try_apply(3, &heavier));
    assert_eq!(state.members()["a"].weight, 3);
    state.apply(4, &[Command::Join { worker: "b".into(), incarnation: Incarnation(1), weight: 0 }]);
    assert_eq!(state.members()["b"].weight, 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut state = State::default();
    state.apply(1, &[found(2)]);
    for index in 2..3 * FORMER as u64 {
        state.apply(index, &[join("a", index)]);
    }
    assert_eq!((state.members.len(), state.former.len()), (1, FORMER));
    for index in 0..2 * MOST_MEMBERS as u64 {
        state.apply(10_000 + index, &[join(&format!("w{index}"), 1)]);
    }
    assert_eq!(state.members.len(), MOST_MEMBERS);
}

/// Anything that a leader, or several, may have written.
fn anything(random: &mut StdRng, state: &State) -> Command {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let worker: Name = (*NAMES.choose(random).unwrap()).into();
    let incarnation = match state.members().get(&worker) {
        Some(member) if random.random_bool(0.8) => member.incarnation,
        _ => Incarnation(random.random_range(1..6)),
    };
    let kind = random.random_range(0..11);
    let shards: Vec<_> = (0..random.random_range(1..6))
        .map(|_| {
            let shard = Shard(random.random_range(0..17));
            (shard, state.holds().get(&shard).map_or(Epoch(1), |hold| hold.epoch))
        })
        .collect();
    match kind {
        0 => Command::Join { worker, incarnation, weight: 1 },
        1 => Command::Remove { worker, incarnation },
        2 => Command::Drain { worker, incarnation },
        3 | 4 => Command::Release { worker, incarnation, shards },
        5 | 6 => Command::Refresh { worker, incarnation, shards },
        _ => Command::Assign { worker, incarnation, shards: shards.into_iter().map(|(shard, _)| shard).collect() },
    }
}

#[test]
fn whatever_is_written_the_state_holds_together() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = after(&[&[found(16)]]);
        let mut entries = vec![vec![found(16)]];
        let mut highest: BTreeMap<Shard, Epoch> = BTreeMap::new();
        for index in 2..120 {
            let commands: Vec<_> = (0..random.random_range(1..4)).map(|_| anything(&mut random, &state)).collect();
            let before = state.clone();
            state.apply(index, &commands);
            for (shard, hold) in state.holds() {
                assert!(state.members().contains_key(&hold.worker), "seed {seed}: {shard} belongs to nobody who is there");
                assert!(shard.0 < 16 && hold.epoch <= Epoch(state.version()), "seed {seed}");
                if before.holds().get(shard) != Some(hold) {
                    let known = highest.insert(*shard, hold.epoch);
                    assert!(known < Some(hold.epoch), "seed {seed}: {shard} changed hands under an epoch that it had");
                    let changed_alone = before.holds().get(shard).is_none_or(|old| old.worker == hold.worker);
                    let was_freed = commands.iter().any(|command| {
                        matches!(command, Command::Release { .. } | Command::Remove { .. } | Command::Join { .. })
                    });
                    assert!(changed_alone || was_freed, "seed {seed}: {shard} was taken from somebody");
                }
            }
            assert_eq!(state.unassigned().count() + state.holds().len(), 16);
            assert_eq!(state.loads().values().sum::<usize>(), state.holds().len());
            entries.push(commands);
        }
        let entries: Vec<_> = entries.iter().map(Vec::as_slice).collect();
        assert_eq!(after(&entries), state, "seed {seed}: not the same again");
        let stored = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&stored).unwrap(), state, "seed {seed}: not the same from a snapshot");
    }
}
