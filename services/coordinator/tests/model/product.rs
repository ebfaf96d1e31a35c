//! That the coordinators of the model are those of the product: its judge, its state and its scheduler are asked the same, in
//! every situation that the model comes into.

use super::{
    Faults, Mutation, NONE, Scope, VERDICTS,
    authority::{Authority, Member, Standing, Stream, TTL},
    command::{Command, Founding, Name},
    coordinator::{
        evidence::{self, Evidence, Timing},
        scheduler::{Move, Situation},
    },
    site::{Process, Report, Site},
    state::State as Agreed,
    world::{Action, SITES, State, World},
};
use stateright::Model as _;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    num::NonZeroU16,
    time::Duration,
};
use tokio::time::Instant;
use warren_domain::{Epoch, Shard, ShardCount};
use warren_ports::lease::{Incarnation, Standing as Leases};

// ---- verdicts

const SLACK: Duration = Duration::from_millis(100);
/// A period of the model: whoever lives has renewed in it, however late.
const PERIOD: Duration = Duration::from_millis(500);

/// The product's verdict on what the model knows.
fn judged(authority: &Authority, (leading, remembered): (u8, u8), member: &Member, heard_ever: bool) -> bool {
    let now = Instant::now() + Duration::from_secs(60);
    let ago = |periods: u8| now - PERIOD * u32::from(periods);
    let ttl = PERIOD * u32::from(TTL);
    let start = ("a".into(), Incarnation(1));
    let mut evidence = Evidence::new(Timing { ttl, period: PERIOD - SLACK, slack: SLACK }, ago(leading));
    let trusted = ago(remembered);
    evidence.hear(&[], &Leases { remaining: Vec::new(), memory: 0 }, trusted, trusted);
    let remaining = vec![member.lease.map(|age| ttl - PERIOD * u32::from(age))];
    evidence.hear(std::slice::from_ref(&start), &Leases { remaining, memory: 0 }, now, now);
    if authority.store_away {
        evidence.lose_touch();
    }
    let stream = match member.stream {
        Stream::Never => evidence::Stream::Never,
        Stream::Open => evidence::Stream::Open,
        Stream::Ended(periods) => evidence::Stream::Ended(ago(periods)),
    };
    let heard = (heard_ever || member.silent < TTL).then(|| ago(member.silent));
    evidence.judge(&start, stream, heard).is_some()
}

/// Everything that the model can know of a member.
fn members() -> impl Iterator<Item = Member> {
    let streams = [Stream::Never, Stream::Open].into_iter().chain((0..=TTL).map(Stream::Ended));
    streams.flat_map(|stream| {
        let leases = std::iter::once(None).chain((0..TTL).map(Some));
        leases.flat_map(move |lease| (0..=TTL).map(move |silent| Member { stream, lease, silent, ..Member::JOINED }))
    })
}

#[test]
fn verdicts_are_those_of_the_product() {
    let mut dead = 0;
    for member in members() {
        for (leading, remembered) in (0..=TTL).flat_map(|leading| (0..=leading).map(move |remembered| (leading, remembered)))
        {
            for store_away in [false, true] {
                let mut authority = Authority::after(leading, remembered);
                authority.store_away = store_away;
                let expected = authority.is_dead(&VERDICTS, &member);
                for heard_ever in [false, true] {
                    let product = judged(&authority, (leading, remembered), &member, heard_ever);
                    assert_eq!(product, expected, "{member:?}, {authority:?}");
                }
                dead += usize::from(expected);
            }
        }
    }
    assert!(dead > 0);
}

// ---- state and scheduler

const SHARD: Shard = Shard(0);

/// The model, and beside it what the product's coordinators have agreed on.
#[derive(Clone)]
struct Pair {
    model: State,
    agreed: Agreed,
    /// How often each process was started.
    starts: [u64; SITES],
}

fn name(at: u8) -> Name {
    ["a", "b", "c"][usize::from(at)].into()
}

impl Pair {
    fn new(model: State) -> Self {
        let founding =
            Founding { cluster: "c".into(), shard_count: ShardCount(NonZeroU16::MIN), hash: "h".into(), first_epoch: 0 };
        let mut pair = Self { model, agreed: Agreed::default(), starts: [1; SITES] };
        pair.agree(Command::Found(founding));
        for (at, _) in model.numbered() {
            pair.agree(Command::Join { worker: name(at), incarnation: pair.start(at), weight: 1 });
        }
        pair
    }

    fn start(&self, at: u8) -> Incarnation {
        Incarnation(self.starts[usize::from(at)])
    }

    /// The model counts the entries that issue an epoch, and no others.
    fn agree(&mut self, command: Command) {
        self.agreed.apply(self.model.authority.issued.into(), &[command]);
    }

    /// The same step in the model and in the product.
    fn step(&self, world: &World, action: Action) -> Option<Self> {
        let before = &self.model;
        let mut next = Self { model: world.next_state(before, action)?, ..self.clone() };
        match action {
            Action::Restart(at) => next.starts[usize::from(at)] += 1,
            Action::Assign(at) => {
                next.agree(Command::Assign { worker: name(at), incarnation: next.start(at), shards: vec![SHARD] });
            }
            Action::Judge(at) => {
                let incarnation = before.sites[usize::from(at)].member_start(next.start(at), &self.agreed, at);
                next.agree(Command::Remove { worker: name(at), incarnation });
            }
            Action::OpenStream(at) => {
                next.agree(Command::Join { worker: name(at), incarnation: next.start(at), weight: 1 });
            }
            Action::Exit(at) => next.agree(Command::Remove { worker: name(at), incarnation: next.start(at) }),
            Action::Deliver(at) | Action::DeliverUnheard(at) => {
                let (worker, incarnation) = (name(at), next.start(at));
                match before.sites[usize::from(at)].report? {
                    Report::Draining => next.agree(Command::Drain { worker, incarnation }),
                    Report::NotTaken(epoch) | Report::Released(epoch) => {
                        let shards = vec![(SHARD, Epoch(epoch.into()))];
                        next.agree(Command::Release { worker, incarnation, shards });
                    }
                }
            }
            _ => {}
        }
        Some(next)
    }

    fn hash(&self) -> u64 {
        let members = self.agreed.members().iter().map(|(name, member)| (name, member.incarnation, member.draining));
        let holds = self.agreed.holds().iter().map(|(shard, hold)| (shard, &hold.worker, hold.epoch));
        let gone = self.model.numbered().map(|(at, _)| {
            (1..=self.starts[usize::from(at)]).map(move |start| self.agreed.is_superseded(&name(at), Incarnation(start)))
        });
        let agreed = (members.collect::<Vec<_>>(), holds.collect::<Vec<_>>(), gone.flatten().collect::<Vec<_>>());
        BuildHasherDefault::<DefaultHasher>::new().hash_one((self.model, self.starts, agreed))
    }

    /// Whether both are in the same state.
    fn agrees(&self) {
        for (at, site) in self.model.numbered() {
            let known = self.agreed.members().get(&name(at));
            assert_eq!(known.is_some(), site.member.standing != Standing::Out, "{:?}", self.model);
            if let Some(known) = known {
                let is_current = known.incarnation == self.start(at) && site.process != Process::Down;
                assert_eq!(is_current, site.member.standing == Standing::Current, "{:?}", self.model);
                assert_eq!(known.draining, site.member.draining, "{:?}", self.model);
            }
        }
        let assigned = self
            .model
            .numbered()
            .find_map(|(at, site)| site.member.assignment.map(|assignment| (name(at), Epoch(assignment.epoch.into()))));
        let held = self.agreed.holds().get(&SHARD).map(|hold| (hold.worker.clone(), hold.epoch));
        assert_eq!(held, assigned, "{:?}", self.model);
    }

    /// Whether the scheduler does one of the things that the model may do, and something if the model must.
    fn schedules(&self, world: &World) {
        let attached = self.model.numbered().filter(|(_, site)| site.member.is_attached()).map(|(at, _)| name(at));
        let reachable: BTreeSet<Name> = attached.collect();
        let (promised, unfit, troubled) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let agreed = &self.agreed;
        let situation =
            Situation { state: agreed, reachable: &reachable, promised: &promised, unfit: &unfit, troubled: &troubled };
        let mut owed = Vec::new();
        world.owed(&self.model, &mut owed);
        let assigned = owed.iter().filter_map(|action| match action {
            Action::Assign(at) => Some(name(*at)),
            _ => None,
        });
        let assigns: BTreeSet<_> = assigned.collect();
        let placed = situation.place(self.agreed.unassigned());
        assert_eq!(placed.len(), usize::from(!assigns.is_empty()), "{:?}", self.model);
        assert!(placed.keys().all(|worker| assigns.contains(worker)), "{:?}", self.model);
        // Nobody but who stops has to give the only shard away.
        let leaving = self.model.numbered().find(|(_, site)| site.member.assignment.is_some_and(|held| held.leaving));
        let moves = situation.moves(8);
        let must_move = owed.iter().find_map(|action| match action {
            Action::Move(at) => Some(name(*at)),
            _ => None,
        });
        if let Some(from) = &must_move {
            assert!(matches!(&moves[..], [one] if one.from == *from), "{moves:?} {:?}", self.model);
        }
        let goes_on = |one: &Move| self.agreed.members().get(&one.from).is_some_and(|member| member.draining);
        assert!(moves.iter().all(goes_on) || leaving.is_some(), "{moves:?} {:?}", self.model);
    }
}

impl Site {
    /// The start of the worker that is a member.
    fn member_start(&self, running: Incarnation, agreed: &Agreed, at: u8) -> Incarnation {
        match self.member.standing {
            Standing::Current => running,
            Standing::Former | Standing::Out => agreed.members().get(&name(at)).map_or(running, |member| member.incarnation),
        }
    }
}

/// The control of ownership alone: nothing is sent.
fn agree_everywhere(workers: u8, faults: Faults, mutation: Option<Mutation>) {
    let world = World::new(Scope { workers, messages: 0, symmetric: false, faults, mutation, ..VERDICTS });
    let mut queue: VecDeque<_> = world.init_states().into_iter().map(Pair::new).collect();
    let mut known = HashSet::new();
    let mut actions = Vec::new();
    while let Some(pair) = queue.pop_front() {
        if !known.insert(pair.hash()) {
            continue;
        }
        pair.agrees();
        pair.schedules(&world);
        actions.clear();
        world.actions(&pair.model, &mut actions);
        queue.extend(actions.iter().filter_map(|action| pair.step(&world, *action)));
    }
    println!("{} states", known.len());
}

/// 8,237, 1,533, 845, 2,685 and 949 states: 2 workers with 1 crash and 1 election, with 1 drain and 1 move, with 1 move and 1
/// report heard twice, with 1 pause; 3 workers with 1 drain.
#[test]
fn state_and_scheduler_are_those_of_the_product() {
    agree_everywhere(2, Faults { crashes: 1, elections: 1, ..NONE }, None);
    agree_everywhere(2, Faults { drains: 1, moves: 1, ..NONE }, None);
    agree_everywhere(2, Faults { moves: 1, doubts: 1, ..NONE }, None);
    agree_everywhere(2, Faults { pauses: 1, ..NONE }, None);
    agree_everywhere(3, Faults { drains: 1, ..NONE }, None);
}

#[test]
#[should_panic(expected = "left == right")]
fn an_incarnation_that_inherits_is_not_of_the_product() {
    agree_everywhere(2, Faults { crashes: 1, ..NONE }, Some(Mutation::IncarnationIgnored));
}

#[test]
#[should_panic(expected = "left == right")]
fn reports_without_an_epoch_are_not_of_the_product() {
    agree_everywhere(2, Faults { moves: 1, doubts: 1, ..NONE }, Some(Mutation::ReportsWithoutEpoch));
}
