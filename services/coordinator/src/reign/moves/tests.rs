//! Batches, one after another, and what becomes of those that do not go as they should.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::command::Founding;
use std::num::NonZeroU16;
use warren_domain::ShardCount;

const PAUSE: Duration = Duration::from_millis(50);

/// A cluster, its leader, and a clock.
struct Scene {
    state: State,
    index: u64,
    moves: Moves,
    now: Instant,
    away: BTreeSet<Name>,
}

impl Scene {
    /// Workers with so many shards each, of 24.
    fn new(workers: &[(&str, usize)]) -> Self {
        let founding = Founding {
            cluster: "c".into(),
            shard_count: ShardCount(NonZeroU16::new(24).unwrap()),
            hash: "h".into(),
            first_epoch: 0,
        };
        let mut state = State::default();
        state.apply(1, &[Command::Found(founding)]);
        let incarnation = Incarnation(1);
        for (name, load) in workers {
            let worker = Name::from(*name);
            let shards = state.unassigned().take(*load).collect();
            let join = Command::Join { worker: worker.clone(), incarnation, weight: 1 };
            state.apply(2, &[join, Command::Assign { worker, incarnation, shards }]);
        }
        Self { state, index: 3, moves: Moves::new(4, PAUSE), now: Instant::now(), away: BTreeSet::new() }
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        self.state.apply(self.index, &[command]);
        self.moves.follow(&self.state, self.now);
    }

    /// How many are under way after another look.
    fn look(&mut self, is_calm: bool) -> usize {
        let reachable = self.state.members().keys().filter(|name| !self.away.contains(*name)).cloned().collect();
        let (promised, unfit, troubled) = (self.moves.promised(), BTreeMap::new(), BTreeSet::new());
        let situation =
            Situation { state: &self.state, reachable: &reachable, promised: &promised, unfit: &unfit, troubled: &troubled };
        self.moves.begin(&situation, is_calm, self.now);
        self.moves.len()
    }

    /// What is under way is released, and given to whom it was promised.
    fn hand_over(&mut self) {
        for (shard, to) in self.moves.promised() {
            let hold = self.state.holds()[&shard].clone();
            let incarnation = Incarnation(1);
            self.apply(Command::Release { worker: hold.worker, incarnation, shards: vec![(shard, hold.epoch)] });
            if let Some(worker) = to {
                self.apply(Command::Assign { worker, incarnation, shards: vec![shard] });
            }
        }
    }

    fn drain(&mut self, worker: &str) {
        self.apply(Command::Drain { worker: worker.into(), incarnation: Incarnation(1) });
    }
}

#[test]
fn a_batch_begins_when_the_one_before_is_served_and_a_pause_is_over() {
    let mut scene = Scene::new(&[("a", 24), ("b", 0)]);
    assert_eq!(scene.look(false), 0, "something else is under way");
    assert_eq!(scene.look(true), 4);
    assert_eq!(scene.look(true), 4, "not another one");
    scene.hand_over();
    assert_eq!(scene.look(true), 0, "a pause");
    scene.now += PAUSE;
    assert_eq!(scene.look(false), 0, "not served yet");
    assert_eq!(scene.look(true), 4);
    for _ in 0..2 {
        scene.hand_over();
        scene.now += PAUSE;
        scene.look(true);
    }
    assert_eq!((scene.moves.len(), scene.state.loads()["a"]), (0, 12), "it is balanced");
}

#[test]
fn a_stop_takes_larger_batches_if_it_would_take_too_many() {
    let mut scene = Scene::new(&[("a", 24), ("b", 0)]);
    scene.moves = Moves::new(1, PAUSE);
    assert_eq!(scene.look(true), 1);
    scene.hand_over();
    scene.drain("a");
    scene.now += PAUSE;
    assert_eq!(scene.look(true), 23_usize.div_ceil(STOP_BATCHES));
}

#[test]
fn what_is_not_released_is_forced_in_the_end() {
    let mut scene = Scene::new(&[("a", 24), ("b", 0)]);
    scene.look(true);
    scene.now += FORCED - PAUSE;
    assert!(scene.moves.overdue(scene.now).is_empty());
    let overdue = scene.moves.overdue(scene.now + PAUSE);
    assert_eq!(overdue.len(), 4);
    overdue.into_iter().for_each(|release| scene.apply(release));
    assert_eq!((scene.moves.len(), scene.state.unassigned().count()), (0, 4));
}

#[test]
fn who_is_cut_off_or_gone_gives_nothing_up() {
    let mut scene = Scene::new(&[("a", 24), ("b", 0)]);
    assert_eq!(scene.look(true), 4);
    assert!(scene.moves.cancel("a") && !scene.moves.cancel("a"));
    scene.away.insert("a".into());
    assert_eq!(scene.look(true), 0);
    scene.away.clear();
    scene.apply(Command::Join { worker: "c".into(), incarnation: Incarnation(1), weight: 1 });
    assert_eq!(scene.look(true), 4);
    scene.apply(Command::Remove { worker: "a".into(), incarnation: Incarnation(1) });
    assert_eq!(scene.moves.len(), 0);
}

#[test]
fn when_all_stop_everything_is_withdrawn_after_a_while() {
    let mut scene = Scene::new(&[("a", 12), ("b", 12)]);
    scene.drain("a");
    scene.drain("b");
    scene.away.insert("b".into());
    assert_eq!(scene.look(true), 0, "somebody may come");
    scene.now += LONELY;
    assert_eq!(scene.look(true), 12, "of those that hear it");
    scene.hand_over();
    scene.away.clear();
    // What was released meanwhile is no reason to wait.
    assert_eq!(scene.look(false), 12);
    let mut scene = Scene::new(&[("a", 24)]);
    scene.drain("a");
    scene.look(true);
    scene.apply(Command::Join { worker: "c".into(), incarnation: Incarnation(1), weight: 1 });
    scene.now += LONELY;
    assert_eq!(scene.look(true), 4, "somebody came");
    assert!(scene.moves.promised().values().all(|to| to.as_deref() == Some("c")));
}
