//! What a courier adds to the dispatcher's figures, as long as it lives.

use super::Running;
use super::circuit::Circuit;
use crate::shared::Shared;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Written for "nothing waits".
pub(crate) const NOTHING_WAITS: i64 = i64::MAX;

/// What was added so far.
pub(super) struct Figures {
    shared: Arc<Shared>,
    /// When the oldest event that waits happened, milliseconds.
    oldest: Arc<AtomicI64>,
    held: usize,
    lanes: i64,
    open: i64,
}

impl Figures {
    pub(super) fn new(shared: Arc<Shared>, oldest: Arc<AtomicI64>) -> Self {
        Self { shared, oldest, held: 0, lanes: 0, open: 0 }
    }

    /// Brings the figures up to date.
    pub(super) fn show(&mut self, flows: &[Running], circuit: &Circuit) {
        let held = flows.iter().map(|running| running.flow.held_bytes()).sum();
        let lanes: usize = flows.iter().map(|running| running.flow.lanes()).sum();
        let oldest = flows.iter().filter_map(|running| running.flow.oldest()).min();
        self.oldest.store(oldest.map_or(NOTHING_WAITS, |at| at.as_millis()), Ordering::Relaxed);
        self.add(held, i64::try_from(lanes).unwrap_or(i64::MAX), i64::from(circuit.is_open()));
    }

    fn add(&mut self, held: usize, lanes: i64, open: i64) {
        let metrics = &self.shared.metrics;
        metrics.lanes.add(lanes - self.lanes);
        metrics.open.add(open - self.open);
        if held != self.held {
            let all = self.shared.memory.changed(self.held, held);
            metrics.held_bytes.set(i64::try_from(all).unwrap_or(i64::MAX));
        }
        (self.held, self.lanes, self.open) = (held, lanes, open);
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        self.add(0, 0, 0);
    }
}
