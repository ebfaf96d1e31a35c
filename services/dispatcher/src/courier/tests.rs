//! The flow, alone: a log that grows, a receiver that fails as chance says, crashes between any two steps.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::flow::{BOUNDS, Bounds, Flow, Settled};
use super::item::Item;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::Map;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use warren_domain::webhook::DeliveryFailure;
use warren_domain::{Event, EventId, EventType, InstanceId, TenantId, Timestamp};
use warren_ports::ledger::Lane;

const FAILED: DeliveryFailure = DeliveryFailure::ServerError;
const FAR: Duration = Duration::from_secs(1_000_000);

fn item(instance: InstanceId, position: i64) -> Item {
    let event = Event {
        id: EventId::generate(),
        seq: position,
        position,
        kind: EventType::PairingFailed,
        tenant: TenantId::from_bytes([1; 16]),
        instance,
        occurred_at: Timestamp::from_millis(position),
        data: Map::new(),
    };
    Item { event, body: vec![b'x'; 10].into() }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// What the ledger would hold.
#[derive(Clone, Default)]
struct Stored {
    bounds: Option<Bounds>,
    position: i64,
    lanes: HashMap<InstanceId, Lane>,
}

impl Stored {
    fn flow(&self, end: Option<i64>) -> Flow {
        let lanes: Vec<Lane> = self.lanes.values().cloned().collect();
        Flow::new(self.bounds.unwrap_or(BOUNDS), None, self.position, end, &lanes)
    }

    fn record(&mut self, flow: &mut Flow) {
        let Some(progress) = flow.progress(true) else { return };
        assert!(progress.position >= self.position, "a position never falls");
        self.position = progress.position;
        for lane in progress.lanes {
            self.lanes.insert(lane.instance, lane);
        }
        for instance in progress.caught_up {
            self.lanes.remove(&instance);
        }
    }
}

/// A run of everything that can happen, in an order that a seed decides.
struct Run {
    random: StdRng,
    instances: Vec<InstanceId>,
    log: Vec<(InstanceId, i64)>,
    now: i64,
    stored: Stored,
    flow: Flow,
    in_flight: Vec<(InstanceId, i64)>,
    /// Of each instance, the positions that were delivered (or given up), in order; cleared to what is recorded at a crash.
    delivered: HashMap<InstanceId, VecDeque<i64>>,
    /// How far each instance ever got.
    furthest: HashMap<InstanceId, i64>,
    sick: Option<InstanceId>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let count = random.random_range(1..8_u8);
        let instances: Vec<_> = (0..count).map(|number| InstanceId::from_bytes([number; 16])).collect();
        // Now and then so small that every bound is met.
        let bounds = random.random_bool(0.7).then(|| Bounds {
            of_one: random.random_range(1..6),
            events: random.random_range(6..20),
            bytes: random.random_range(300..5_000),
            lanes: random.random_range(1..4),
        });
        let stored = Stored { bounds, ..Stored::default() };
        let sick = random.random_bool(0.5).then(|| instances.first().copied()).flatten();
        Self {
            random,
            instances,
            log: Vec::new(),
            now: 0,
            flow: stored.flow(None),
            stored,
            in_flight: Vec::new(),
            delivered: HashMap::new(),
            furthest: HashMap::new(),
            sick,
        }
    }

    fn write(&mut self) {
        let last = self.log.last().map_or(0, |(_, position)| *position);
        for step in 1..=self.random.random_range(1..30_i64) {
            let chosen = self.random.random_range(0..self.instances.len());
            self.log.push((*self.instances.get(chosen).unwrap(), last + step * 2));
        }
    }

    /// Up to `limit` events after a position, and how far was looked.
    fn stretch(&self, only: Option<&[InstanceId]>, after: i64, limit: usize) -> (Vec<Item>, i64) {
        let mut items = Vec::new();
        for (instance, position) in self.log.iter().filter(|(_, position)| *position > after) {
            if items.len() == limit {
                let last: &Item = items.last().unwrap();
                return (items.clone(), last.event.position);
            }
            if only.is_none_or(|only| only.contains(instance)) {
                items.push(item(*instance, *position));
            }
        }
        (items, after.max(self.log.last().map_or(0, |(_, position)| *position)))
    }

    fn read(&mut self) {
        let limit = self.random.random_range(1..20);
        if let Some(hunger) = self.flow.hunger()
            && self.random.random_bool(0.6)
        {
            let (items, next) = self.stretch(Some(&hunger.instances), hunger.after, limit);
            self.flow.feed(&hunger, items, next);
        } else if self.flow.has_room(limit) {
            let (items, next) = self.stretch(None, self.flow.read(), limit);
            self.flow.offer(items, next);
        }
    }

    fn post(&mut self) {
        while self.in_flight.len() < 3
            && let Some(taken) = self.flow.take()
        {
            let event = &taken.item.event;
            assert!(self.in_flight.iter().all(|(instance, _)| *instance != event.instance), "one at a time");
            self.in_flight.push((event.instance, event.position));
        }
    }

    fn answer(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..self.in_flight.len());
        let (instance, position) = self.in_flight.swap_remove(chosen);
        let settled = match self.random.random_range(0..10) {
            0 => Settled::Failed(at(self.now + self.random.random_range(1..50)), FAILED),
            1 => Settled::Unsent,
            2 => Settled::GivenUp(at(self.now + 5)),
            _ if self.sick == Some(instance) && self.random.random_bool(0.9) => {
                Settled::Failed(at(self.now + self.random.random_range(1..400)), FAILED)
            }
            _ => Settled::Done,
        };
        if matches!(settled, Settled::Done | Settled::GivenUp(_)) {
            self.note(instance, position);
        }
        self.flow.settle(instance, settled);
    }

    /// Each event comes after the one before it of its instance; after a crash, it may begin again further back, not further on.
    fn note(&mut self, instance: InstanceId, position: i64) {
        let own: Vec<i64> = self.log.iter().filter(|(other, _)| *other == instance).map(|(_, at)| *at).collect();
        let index = own.iter().position(|at| *at == position).unwrap();
        let before = index.checked_sub(1).map(|index| *own.get(index).unwrap());
        let delivered = self.delivered.entry(instance).or_default();
        if let Some(last) = delivered.back() {
            assert_eq!(before, Some(*last), "{instance}: in order, without a gap");
        }
        let furthest = self.furthest.entry(instance).or_insert(0);
        assert!(before.is_none_or(|before| before <= *furthest), "{instance}: {position} skips what was never delivered");
        delivered.push_back(position);
        *furthest = (*furthest).max(position);
    }

    fn crash(&mut self) {
        self.in_flight.clear();
        self.delivered.clear();
        self.flow = self.stored.flow(None);
    }

    /// Nothing is under way any more, and everything is recorded: whoever goes on repeats nothing.
    fn hand_over(&mut self) {
        while !self.in_flight.is_empty() {
            self.answer();
        }
        self.flow.part();
        self.stored.record(&mut self.flow);
        self.flow = self.stored.flow(None);
    }

    fn step(&mut self) {
        self.now += 1;
        match self.random.random_range(0..100) {
            0..3 => self.write(),
            3..30 => self.read(),
            30..60 => self.post(),
            60..90 => self.answer(),
            90..95 => self.stored.record(&mut self.flow),
            95..97 => self.flow.wake(at(self.now), FAR),
            97 => self.flow.probe(),
            98 if self.random.random_bool(0.2) => self.crash(),
            98 if self.random.random_bool(0.2) => self.hand_over(),
            _ if self.random.random_bool(0.1) => self.flow.wake_all(),
            _ => {}
        }
    }

    /// Nothing fails any more: everything is delivered, and nothing is left to record.
    fn drain(&mut self) {
        self.sick = None;
        for _ in 0..1_000_000 {
            self.now += 50;
            self.flow.wake(at(self.now), FAR);
            self.read();
            self.post();
            for (instance, position) in std::mem::take(&mut self.in_flight) {
                self.note(instance, position);
                self.flow.settle(instance, Settled::Done);
            }
            self.stored.record(&mut self.flow);
            let end = self.log.last().map_or(0, |(_, position)| *position);
            if self.stored.position == end && self.stored.lanes.is_empty() && !self.flow.holds_anything() {
                break;
            }
        }
        for instance in &self.instances {
            let last = self.log.iter().rev().find(|(other, _)| other == instance).map(|(_, position)| *position);
            assert_eq!(self.furthest.get(instance).copied(), last, "{instance}: everything was delivered");
        }
        assert_eq!((self.stored.lanes.len(), self.flow.held_bytes(), self.flow.lanes()), (0, 0, 0));
    }
}

/// Whatever happens, and wherever it crashes: each instance in order, nothing lost, nothing left behind.
#[test]
fn order_holds_and_nothing_is_lost() {
    for seed in 0..150 {
        let mut run = Run::new(seed);
        for _ in 0..1_500 {
            run.step();
        }
        run.drain();
    }
}

/// An instance that fails does not hold up the others, nor the position of the flow.
#[test]
fn a_lane_does_not_hold_up_the_flow() {
    let [sick, well] = [1, 2].map(|number| InstanceId::from_bytes([number; 16]));
    let mut stored = Stored::default();
    let mut flow = stored.flow(None);
    flow.offer(vec![item(sick, 1), item(well, 2), item(sick, 3), item(well, 4)], 4);
    assert_eq!(flow.take().unwrap().item.event.position, 1);
    flow.settle(sick, Settled::Failed(at(100), FAILED));
    for position in [2, 4] {
        assert_eq!(flow.take().unwrap().item.event.position, position);
        flow.settle(well, Settled::Done);
    }
    assert!(flow.take().is_none());
    stored.record(&mut flow);
    assert_eq!(stored.position, 4);
    let lane = Lane { instance: sick, position: 1, tries: 1, next_at: at(100), failure: Some(FAILED) };
    assert_eq!(stored.lanes.get(&sick), Some(&lane));
    // Before its time a try does not count.
    flow.probe();
    let taken = flow.take().unwrap();
    assert!(taken.is_early);
    flow.settle(sick, Settled::Unanswered);
    assert_eq!(flow.next_at(), Some(at(100)));
    flow.wake(at(99), FAR);
    assert!(!flow.is_ready());
    flow.wake(at(100), FAR);
    for position in [1, 3] {
        let taken = flow.take().unwrap();
        assert_eq!((taken.item.event.position, taken.is_early), (position, false));
        flow.settle(sick, Settled::Done);
    }
    stored.record(&mut flow);
    assert_eq!((stored.position, stored.lanes.len()), (4, 0));
}

/// What a slow instance does not take is not kept in memory without a limit, and the others go on.
#[test]
fn memory_is_bounded() {
    let [slow, well] = [1, 2].map(|number| InstanceId::from_bytes([number; 16]));
    let mut flow = Stored::default().flow(None);
    let mut next = 0;
    for round in 0..100 {
        let items = (1..=20).map(|step| item(if step == 20 { well } else { slow }, next + step)).collect();
        next += 20;
        flow.offer(items, next);
        if round == 0 {
            assert_eq!(flow.take().unwrap().item.event.instance, slow);
        }
        assert_eq!(flow.take().unwrap().item.event.instance, well);
        flow.settle(well, Settled::Done);
    }
    assert!(flow.held_bytes() < 40 * 300 && flow.lanes() == 1);
    let progress = flow.progress(true).unwrap();
    assert_eq!((progress.position, progress.lanes.first().map(|lane| lane.position)), (2_000, Some(1)));
}

/// A replay ends where it was asked to, and only when everything was settled.
#[test]
fn a_replay_is_over_at_its_end() {
    let one = InstanceId::from_bytes([1; 16]);
    let mut flow = Stored::default().flow(Some(3));
    assert!(flow.has_room(10));
    flow.offer(vec![item(one, 2), item(one, 3)], 3);
    assert!(!flow.has_room(1));
    for position in [2, 3] {
        assert!(flow.progress(true).is_none_or(|progress| !progress.ended));
        assert_eq!(flow.take().unwrap().item.event.position, position);
        flow.settle(one, Settled::Done);
    }
    assert!(!flow.is_told_over() && flow.progress(false).unwrap().ended && flow.is_told_over());
}

/// A time that no pause reaches was written by a clock that was wrong.
#[test]
fn a_wrong_clock_stops_nothing() {
    let one = InstanceId::from_bytes([1; 16]);
    let lane = Lane { instance: one, position: 5, tries: 1, next_at: at(10_000_000_000), failure: Some(FAILED) };
    let mut flow = Flow::new(BOUNDS, None, 9, None, &[lane]);
    flow.wake(at(1_000), Duration::from_secs(60));
    assert!(flow.hunger().is_some());
}
