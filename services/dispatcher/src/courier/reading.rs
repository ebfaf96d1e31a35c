//! What a courier reads of the log.

use super::flow::Hunger;
use super::source::{STRETCH, Source, Stretch};
use super::{Courier, Running};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinError;
use warren_domain::{ReplayId, Result, Timestamp};

/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(200);

/// A read that has ended.
pub(super) struct Read {
    replay: Option<ReplayId>,
    /// What was read for lanes; `None`: the flow itself was read on.
    hunger: Option<Hunger>,
    result: Result<Stretch>,
}

impl Courier {
    /// Reads on where there is room, one read a flow at a time.
    pub(super) fn read_what_may(&mut self, now: Timestamp) {
        if !self.may_post(now) || self.circuit.probe_in(now).is_some_and(|wait| !wait.is_zero()) {
            return;
        }
        let is_open = self.circuit.is_open();
        let has_memory = self.shared.memory.has_room();
        let oldest = self.shared.oldest.load(Ordering::Relaxed);
        for index in 0..self.flows.len() {
            let Some(running) = self.flows.get_mut(index) else { return };
            // While the webhook is asked now and then, what is there is asked with first.
            let is_busy = running.is_reading || is_open && running.flow.is_ready();
            if is_busy || (!has_memory && running.flow.holds_anything()) {
                continue;
            }
            let Some(what) = next_read(running) else { continue };
            if what.is_none() && running.source == Source::Live && running.flow.read() < oldest {
                self.gathered.standing.missed_at = Some(now);
                self.shared.metrics.missed.inc();
                tracing::warn!(webhook = %self.webhook.id, "the log has lost events before a webhook got them");
            }
            self.asked_the_log |= is_open && what.is_none();
            self.start(index, what);
        }
    }

    fn start(&mut self, index: usize, hunger: Option<Hunger>) {
        let Some(running) = self.flows.get_mut(index) else { return };
        running.is_reading = true;
        running.fed_last = hunger.is_some();
        let (shared, webhook) = (Arc::clone(&self.shared), Arc::clone(&self.webhook));
        let (source, replay) = (running.source.clone(), running.flow.replay);
        let after = hunger.as_ref().map_or(running.flow.read(), |hunger| hunger.after);
        self.reads.spawn(async move {
            let only = hunger.as_ref().map(|hunger| hunger.instances.as_slice());
            let result = source.read(&shared, &webhook, only, after).await;
            if result.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
            Read { replay, hunger, result }
        });
    }

    /// Takes a read that has ended.
    pub(super) fn take_in(&mut self, read: Result<Read, JoinError>) {
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "a read of the log broke off");
                self.stopping = true;
                return;
            }
        };
        let Some(running) = self.flows.iter_mut().find(|running| running.flow.replay == read.replay) else { return };
        running.is_reading = false;
        let stretch = match read.result {
            Ok(stretch) => stretch,
            Err(error) => {
                tracing::debug!(code = error.code, "the log cannot be read for a webhook");
                return;
            }
        };
        match read.hunger {
            Some(hunger) => running.flow.feed(&hunger, stretch.items, stretch.next),
            None => {
                running.more = stretch.more;
                running.flow.offer(stretch.items, stretch.next);
            }
        }
    }
}

/// What is to be read next for a flow: on (`Some(None)`), for its lanes (`Some(Some(_))`), or nothing.
fn next_read(running: &Running) -> Option<Option<Hunger>> {
    let on = running.more && running.flow.has_room(STRETCH as usize);
    let hunger = running.flow.hunger().filter(|_| !(running.fed_last && on));
    match hunger {
        Some(hunger) => Some(Some(hunger)),
        None => on.then_some(None),
    }
}
