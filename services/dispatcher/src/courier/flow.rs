//! One reading of the log for a webhook, as a state without I/O: what was read, what waits, what may be posted, and what of it
//! the ledger has to know.
//!
//! The flow is read in the order of the log. Each instance has a queue of its own; at most its first event is under way, so
//! that the order of an instance holds, and instances go side by side. The flow's position is the last one before which nothing
//! waits. An instance that would hold it up for long (a failed event, or more events than are kept for it) becomes a *lane*: it
//! gets a position of its own in the ledger, and the flow goes on without it. What a lane does not hold in memory is read again
//! for it from its own position, for many lanes at once, until it has caught up with the flow.

mod lanes;

pub(crate) use lanes::Hunger;

use crate::courier::item::Item;
use crate::courier::queue::{Queue, State};
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use warren_domain::{Event, InstanceId, ReplayId, Timestamp, webhook::DeliveryFailure};
use warren_ports::ledger::{FlowProgress, Lane};

/// How much a flow holds in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Events of one instance.
    pub(crate) of_one: usize,
    /// Events before it reads no more; from half of it on, lanes that wait give up what they hold.
    pub(crate) events: usize,
    /// The same in bytes.
    pub(crate) bytes: usize,
    /// Lanes that are read for at once.
    pub(crate) lanes: usize,
}

/// How much each flow holds.
pub(crate) const BOUNDS: Bounds = Bounds { of_one: 32, events: 2_048, bytes: 4 << 20, lanes: 256 };

/// What became of the event that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It needs nothing more: delivered, or none of the webhook's any more.
    Done,
    /// It was given up: it is a dead letter. The next one waits until then.
    GivenUp(Timestamp),
    /// It failed, and is tried again then.
    Failed(Timestamp, DeliveryFailure),
    /// It failed before its own time had come: that counts for nothing.
    Unanswered,
    /// It was not posted at all.
    Unsent,
}

/// An event that is under way.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) item: Arc<Item>,
    /// How often it was tried before.
    pub(crate) tries: u32,
    /// Whether its own time has not come yet: if it fails, that does not count.
    pub(crate) is_early: bool,
    /// Whether the one before it was given up.
    pub(crate) follows_given_up: bool,
}

/// One reading of the log.
#[derive(Debug)]
pub(crate) struct Flow {
    bounds: Bounds,
    /// Whose reading it is; `None` is the live one.
    pub(crate) replay: Option<ReplayId>,
    /// Everything up to here was read.
    read: i64,
    /// The last position of a replay.
    end: Option<i64>,
    queues: HashMap<InstanceId, Queue>,
    ready: VecDeque<InstanceId>,
    delayed: BTreeSet<(Timestamp, InstanceId)>,
    hungry: BTreeSet<InstanceId>,
    held: usize,
    held_bytes: usize,
    /// The position that the ledger has.
    recorded: i64,
    caught_up: Vec<InstanceId>,
    /// Whether the ledger is told that a replay is at its end.
    is_told_over: bool,
    last_probed: Option<InstanceId>,
}

impl Flow {
    /// A flow that goes on where the ledger says that it is.
    pub(crate) fn new(bounds: Bounds, replay: Option<ReplayId>, position: i64, end: Option<i64>, lanes: &[Lane]) -> Self {
        let mut flow = Self {
            bounds,
            replay,
            read: position,
            end,
            queues: HashMap::new(),
            ready: VecDeque::new(),
            delayed: BTreeSet::new(),
            hungry: BTreeSet::new(),
            held: 0,
            held_bytes: 0,
            recorded: position,
            caught_up: Vec::new(),
            is_told_over: false,
            last_probed: None,
        };
        for lane in lanes {
            flow.queues.insert(lane.instance, Queue::of(lane));
            flow.delayed.insert((lane.next_at, lane.instance));
        }
        flow
    }

    /// Everything up to here was read.
    pub(crate) const fn read(&self) -> i64 {
        self.read
    }

    /// Bytes of what is held.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Whether anything is held.
    pub(crate) const fn holds_anything(&self) -> bool {
        self.held > 0
    }

    /// Whether `count` more events can be read.
    pub(crate) fn has_room(&self, count: usize) -> bool {
        self.end.is_none_or(|end| self.read < end)
            && self.held + count <= self.bounds.events
            && self.held_bytes < self.bounds.bytes
    }

    /// Whether a replay is at its end.
    fn is_over(&self) -> bool {
        self.end.is_some_and(|end| self.read >= end && self.queues.values().all(|queue| queue.state == State::Idle))
    }

    /// Whether a replay's end is in what the ledger was told.
    pub(crate) const fn is_told_over(&self) -> bool {
        self.is_told_over
    }

    /// How many lanes there are.
    pub(crate) fn lanes(&self) -> usize {
        self.queues.values().filter(|queue| queue.is_lane).count()
    }

    /// When the oldest event that waits here happened.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.queues.values().filter_map(|queue| queue.items.front()).map(|item| item.event.occurred_at).min()
    }

    /// Takes what was read of the log: the next events, in order, and how far that goes.
    pub(crate) fn offer(&mut self, items: Vec<Item>, next: i64) {
        for item in items {
            self.take_in(Arc::new(item));
        }
        self.read = self.read.max(next);
    }

    fn take_in(&mut self, item: Arc<Item>) {
        let (instance, position) = (item.event.instance, item.event.position);
        let queue = self.queues.entry(instance).or_insert_with(|| Queue::new(position - 1));
        if position <= queue.known || !queue.complete {
            return;
        }
        if queue.items.len() >= self.bounds.of_one {
            queue.complete = false;
            queue.leave_the_flow();
            return;
        }
        self.hold(instance, item);
    }

    /// Puts an event at the end of its queue.
    fn hold(&mut self, instance: InstanceId, item: Arc<Item>) {
        let Some(queue) = self.queues.get_mut(&instance) else { return };
        self.held += 1;
        self.held_bytes += item.bytes();
        queue.known = item.event.position;
        queue.items.push_back(item);
        if matches!(queue.state, State::Idle) {
            self.turn(instance, State::Ready);
        }
    }

    /// Puts a queue into another state, and where such queues are found.
    fn turn(&mut self, instance: InstanceId, state: State) {
        let Some(queue) = self.queues.get_mut(&instance) else { return };
        match queue.state {
            State::Delayed(at) => _ = self.delayed.remove(&(at, instance)),
            State::Hungry => _ = self.hungry.remove(&instance),
            State::Idle | State::Ready | State::InFlight => {}
        }
        queue.state = state;
        match state {
            State::Ready => self.ready.push_back(instance),
            State::Delayed(at) => _ = self.delayed.insert((at, instance)),
            State::Hungry => _ = self.hungry.insert(instance),
            State::Idle | State::InFlight => {}
        }
    }

    /// When the next lane's time comes.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.delayed.first().map(|(at, _)| *at)
    }

    /// Whether something could be posted now.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the next event if it is none that is wanted: then it is under way, until it is settled.
    pub(crate) fn next_unwanted(&mut self, is_wanted: impl Fn(&Event) -> bool) -> Option<InstanceId> {
        let instance = *self.ready.front()?;
        let item = self.queues.get(&instance)?.items.front()?;
        if is_wanted(&item.event) {
            return None;
        }
        self.take().map(|taken| taken.item.event.instance)
    }

    /// The next event to post. It is under way then, until it is settled.
    pub(crate) fn take(&mut self) -> Option<Taken> {
        let instance = self.ready.pop_front()?;
        let queue = self.queues.get_mut(&instance)?;
        queue.state = State::InFlight;
        let item = Arc::clone(queue.items.front()?);
        Some(Taken { item, tries: queue.tries, is_early: queue.is_early, follows_given_up: queue.gave_up })
    }

    /// Says what became of the event under way of an instance.
    pub(crate) fn settle(&mut self, instance: InstanceId, settled: Settled) {
        let Some(queue) = self.queues.get_mut(&instance) else { return };
        match settled {
            Settled::Done => self.pass(instance, None),
            Settled::GivenUp(until) => self.pass(instance, Some(until)),
            Settled::Failed(at, failure) => {
                queue.is_early = false;
                queue.tries = queue.tries.saturating_add(1);
                (queue.failure, queue.next_at) = (Some(failure), at);
                queue.leave_the_flow();
                self.turn(instance, State::Delayed(at));
                self.shed(instance);
            }
            Settled::Unanswered => {
                queue.is_early = false;
                let planned = queue.next_at;
                self.turn(instance, State::Delayed(planned));
                self.shed(instance);
            }
            Settled::Unsent => {
                queue.state = State::Ready;
                self.ready.push_front(instance);
            }
        }
    }

    /// Takes the first event out of its queue.
    fn pass(&mut self, instance: InstanceId, until: Option<Timestamp>) {
        let Some(queue) = self.queues.get_mut(&instance) else { return };
        if let Some(item) = queue.items.pop_front() {
            self.held -= 1;
            self.held_bytes = self.held_bytes.saturating_sub(item.bytes());
            queue.delivered = item.event.position;
        }
        (queue.is_early, queue.gave_up) = (false, until.is_some());
        (queue.tries, queue.failure, queue.next_at) = (0, None, until.unwrap_or_default());
        if until.is_some() {
            queue.leave_the_flow();
        }
        queue.is_dirty |= queue.is_lane;
        let state = until.map_or_else(|| queue.settled_state(), State::Delayed);
        let is_done = state == State::Idle && !queue.is_lane && queue.known <= self.read;
        self.turn(instance, state);
        if is_done {
            self.queues.remove(&instance);
        }
    }

    /// What the ledger has to know; `None` if it knows it all. That nothing but the position moved is told only if `idly` is
    /// set.
    pub(crate) fn progress(&mut self, idly: bool) -> Option<FlowProgress> {
        let waiting = self.queues.values().filter(|queue| !queue.is_lane).filter_map(|queue| queue.items.front());
        // A lane that was read for beyond the flow and is part of it again may hold only what is further on.
        let position = waiting.map(|item| item.event.position - 1).chain([self.read]).min().unwrap_or(self.read);
        self.catch_up(position);
        let mut lanes = Vec::new();
        for (instance, queue) in &mut self.queues {
            if std::mem::take(&mut queue.is_dirty) {
                lanes.push(queue.lane(*instance));
            }
        }
        let read = self.read;
        self.queues.retain(|_, queue| queue.is_lane || queue.state != State::Idle || queue.known > read);
        let caught_up = std::mem::take(&mut self.caught_up);
        let ended = self.is_over();
        self.is_told_over |= ended;
        let is_known = lanes.is_empty() && caught_up.is_empty() && !ended && (position == self.recorded || !idly);
        if is_known {
            return None;
        }
        self.recorded = position;
        Some(FlowProgress { replay: self.replay, position, lanes, caught_up, ended })
    }
}
