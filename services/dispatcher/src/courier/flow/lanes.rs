//! Lanes: instances of a flow that have a position of their own, until they have caught up.

use super::Flow;
use crate::courier::item::Item;
use crate::courier::queue::{Queue, State};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use warren_domain::{InstanceId, Timestamp};

/// What has to be read for lanes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hunger {
    /// After this position.
    pub(crate) after: i64,
    /// Of these instances.
    pub(crate) instances: Vec<InstanceId>,
}

impl Flow {
    /// Lets those go on whose time has come. A time that is further away than any pause was written by a clock that was wrong.
    pub(crate) fn wake(&mut self, now: Timestamp, longest: Duration) {
        let far = now.after(longest);
        while let Some((at, instance)) = self.delayed.first().copied()
            && at <= now
        {
            self.go_on_at(at, instance);
        }
        while let Some((at, instance)) = self.delayed.last().copied()
            && at > far
        {
            self.go_on_at(at, instance);
        }
    }

    fn go_on_at(&mut self, at: Timestamp, instance: InstanceId) {
        self.go_on(instance);
        // Whatever became of it, it does not wait any more.
        self.delayed.remove(&(at, instance));
    }

    /// Lets every lane go on now, before its time.
    pub(crate) fn wake_all(&mut self) {
        let all: Vec<InstanceId> = self.delayed.iter().map(|(_, instance)| *instance).collect();
        all.into_iter().for_each(|instance| self.go_on_early(instance));
    }

    /// Lets one lane that waits go on before its time, another one each time it is asked.
    pub(crate) fn probe(&mut self) {
        let waiting = || self.delayed.iter().map(|(_, instance)| *instance);
        let next = waiting().filter(|instance| self.last_probed.is_none_or(|last| *instance > last)).min();
        let Some(instance) = next.or_else(|| waiting().min()) else { return };
        self.last_probed = Some(instance);
        self.go_on_early(instance);
    }

    fn go_on_early(&mut self, instance: InstanceId) {
        if let Some(queue) = self.queues.get_mut(&instance) {
            queue.is_early = true;
        }
        self.go_on(instance);
    }

    pub(super) fn go_on(&mut self, instance: InstanceId) {
        if let Some(queue) = self.queues.get(&instance) {
            self.turn(instance, queue.settled_state());
        }
    }

    /// Has a lane that waits give up what it holds, if there is much of it: it is read again when its time comes.
    pub(super) fn shed(&mut self, instance: InstanceId) {
        if self.held <= self.bounds.events / 2 && self.held_bytes <= self.bounds.bytes / 2 {
            return;
        }
        let Some(queue) = self.queues.get_mut(&instance) else { return };
        queue.known = queue.position() - 1;
        queue.complete = false;
        let items = std::mem::take(&mut queue.items);
        self.held -= items.len();
        self.held_bytes = self.held_bytes.saturating_sub(items.iter().map(|item| item.bytes()).sum());
    }

    /// What has to be read for lanes that could go on, if there are any.
    pub(crate) fn hunger(&self) -> Option<Hunger> {
        let known = |instance: &InstanceId| self.queues.get(instance).map_or(0, |queue| queue.known);
        let mut hungry: Vec<(i64, InstanceId)> = self.hungry.iter().map(|instance| (known(instance), *instance)).collect();
        hungry.sort_unstable();
        hungry.truncate(self.bounds.lanes);
        let (after, _) = hungry.first()?;
        Some(Hunger { after: *after, instances: hungry.iter().map(|(_, instance)| *instance).collect() })
    }

    /// Takes what was read for lanes: their events after the position asked for, in order, and how far that goes.
    pub(crate) fn feed(&mut self, hunger: &Hunger, items: Vec<Item>, next: i64) {
        let mut full = HashSet::new();
        for item in items {
            let (instance, position) = (item.event.instance, item.event.position);
            let Some(queue) = self.queues.get(&instance).filter(|queue| queue.state == State::Hungry) else { continue };
            if queue.items.len() >= self.bounds.of_one {
                full.insert(instance);
            }
            if position > queue.known && !full.contains(&instance) {
                self.hold(instance, Arc::new(item));
            }
        }
        for instance in &hunger.instances {
            let Some(queue) = self.queues.get_mut(instance).filter(|queue| queue.state == State::Hungry) else { continue };
            if !full.contains(instance) {
                queue.known = queue.known.max(next);
                queue.complete = queue.known >= self.read;
            }
            self.go_on(*instance);
        }
    }

    /// Gives every instance that waits a position of its own, so that whoever goes on from what is recorded repeats nothing.
    pub(crate) fn part(&mut self) {
        let read = self.read;
        let is_apart = |queue: &Queue| !queue.items.is_empty() || queue.delivered > read;
        for queue in self.queues.values_mut().filter(|queue| !queue.is_lane && is_apart(queue)) {
            queue.leave_the_flow();
        }
    }

    /// Takes lanes back into the flow that are as far as it is: everything of theirs up to the position is delivered.
    pub(super) fn catch_up(&mut self, position: i64) {
        for (instance, queue) in &mut self.queues {
            let next = queue.items.front().map_or(self.read + 1, |item| item.event.position);
            let is_calm = queue.complete && queue.tries == 0 && !matches!(queue.state, State::Delayed(_));
            if queue.is_lane && is_calm && queue.delivered <= position && position < next {
                (queue.is_lane, queue.is_dirty) = (false, false);
                self.caught_up.push(*instance);
            }
        }
    }
}
