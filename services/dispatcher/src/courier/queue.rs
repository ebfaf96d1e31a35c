//! The events of one instance that a flow has still to deliver, in their order.

use crate::courier::item::Item;
use std::collections::VecDeque;
use std::sync::Arc;
use warren_domain::{InstanceId, Timestamp, webhook::DeliveryFailure};
use warren_ports::ledger::Lane;

/// What an instance of a flow does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing to do: everything that was read is delivered.
    Idle,
    /// Its first event can be posted.
    Ready,
    /// Its first event is being posted.
    InFlight,
    /// It waits for a time.
    Delayed(Timestamp),
    /// It has to be read from the log before it can go on.
    Hungry,
}

/// One instance of a flow. What it holds are its next events, without a gap; `known` says how far that reaches.
#[derive(Debug)]
pub(super) struct Queue {
    /// Its next events.
    pub(super) items: VecDeque<Arc<Item>>,
    pub(super) state: State,
    /// Every event of the instance up to this position was delivered or is among `items`.
    pub(super) known: i64,
    /// Whether that holds up to where the flow was read, too: nothing of it was passed over.
    pub(super) complete: bool,
    /// The position of the last event that was delivered or given up; 0 before the first.
    pub(super) delivered: i64,
    /// How often its first event was tried.
    pub(super) tries: u32,
    /// Why that failed last.
    pub(super) failure: Option<DeliveryFailure>,
    /// When it is tried next, by its own schedule.
    pub(super) next_at: Timestamp,
    /// Whether it has a position of its own in the ledger, instead of holding up the flow's.
    pub(super) is_lane: bool,
    /// Whether that changed since it was recorded.
    pub(super) is_dirty: bool,
    /// Whether the event before its first one was given up.
    pub(super) gave_up: bool,
    /// Whether its first event is tried before its time, to see whether the webhook answers (again).
    pub(super) is_early: bool,
}

impl Queue {
    /// One that begins with an event that was just read.
    pub(super) fn new(known: i64) -> Self {
        Self {
            items: VecDeque::new(),
            state: State::Idle,
            known,
            complete: true,
            delivered: 0,
            tries: 0,
            failure: None,
            next_at: Timestamp::default(),
            is_lane: false,
            is_dirty: false,
            gave_up: false,
            is_early: false,
        }
    }

    /// One that goes on where a lane in the ledger is.
    pub(super) fn of(lane: &Lane) -> Self {
        Self {
            state: State::Delayed(lane.next_at),
            complete: false,
            tries: lane.tries,
            failure: lane.failure,
            next_at: lane.next_at,
            delivered: lane.position - 1,
            is_lane: true,
            ..Self::new(lane.position - 1)
        }
    }

    /// The position of its first event that was not delivered, as far as that is known.
    pub(super) fn position(&self) -> i64 {
        self.items.front().map_or(self.known + 1, |item| item.event.position)
    }

    /// Its lane, as the ledger keeps it.
    pub(super) fn lane(&self, instance: InstanceId) -> Lane {
        Lane { instance, position: self.position(), tries: self.tries, next_at: self.next_at, failure: self.failure }
    }

    /// Gives it a position of its own.
    pub(super) fn leave_the_flow(&mut self) {
        self.is_lane = true;
        self.is_dirty = true;
    }

    /// What it can do now, if nothing holds it up.
    pub(super) fn settled_state(&self) -> State {
        match (self.items.is_empty(), self.complete) {
            (false, _) => State::Ready,
            (true, true) => State::Idle,
            (true, false) => State::Hungry,
        }
    }
}
