//! What of a courier's work the ledger does not have yet.

use super::Courier;
use std::time::{Duration, Instant};
use warren_domain::webhook::{Attempt, DeadLetter, Disabled, Standing};
use warren_ports::ledger::Progress;
use warren_runtime::fault;

/// Attempts that may be unrecorded before nothing more is posted.
pub(super) const UNRECORDED: usize = 4_096;

/// What is to be recorded.
pub(super) struct Gathered {
    pub(super) attempts: Vec<Attempt>,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) revived: Vec<i64>,
    pub(super) standing: Standing,
    pub(super) disable: Option<Disabled>,
    /// The standing that the ledger has.
    known: Standing,
    /// When something was recorded last.
    at: Instant,
    /// When a position was recorded last.
    position_at: Instant,
}

impl Gathered {
    pub(super) fn new(standing: Standing, at: Instant) -> Self {
        Self {
            attempts: Vec::new(),
            dead: Vec::new(),
            revived: Vec::new(),
            standing,
            disable: None,
            known: standing,
            at,
            position_at: at,
        }
    }

    /// How much it is.
    pub(super) fn rows(&self) -> usize {
        self.attempts.len() + self.dead.len()
    }

    fn is_empty(&self) -> bool {
        self.rows() == 0 && self.revived.is_empty() && self.standing == self.known && self.disable.is_none()
    }

    /// How long until it is time to record, if there is something.
    pub(super) fn due_in(&self, every: Duration) -> Option<Duration> {
        (!self.is_empty()).then(|| every.saturating_sub(self.at.elapsed()))
    }
}

impl Courier {
    /// Has recorded what is due. `false` if everything is and nothing more is to be done.
    pub(super) fn record_what_is_due(&mut self) -> bool {
        if self.recording.is_some() {
            return true;
        }
        let is_last = (self.stopping || self.gathered.disable.is_some()) && self.posts.is_empty();
        let is_time = is_last || self.gathered.at.elapsed() >= self.shared.options.record_every();
        if !is_time {
            return true;
        }
        self.figures.show(&self.flows, &self.circuit);
        match self.gather(is_last) {
            Some(progress) => {
                self.recording = Some(Box::pin(self.shared.recorder.clone().record(progress)));
                true
            }
            None => !is_last,
        }
    }

    fn gather(&mut self, is_last: bool) -> Option<Progress> {
        if is_last {
            self.flows.iter_mut().for_each(|running| running.flow.part());
        }
        let idly = is_last || !self.gathered.is_empty() || self.gathered.position_at.elapsed() >= self.shared.idly_every();
        let flows: Vec<_> = self.flows.iter_mut().filter_map(|running| running.flow.progress(idly)).collect();
        let gathered = &mut self.gathered;
        if flows.is_empty() && gathered.is_empty() {
            return None;
        }
        (gathered.at, gathered.known) = (Instant::now(), gathered.standing);
        if !flows.is_empty() {
            gathered.position_at = gathered.at;
        }
        // What was disabled is, even if its tenant enables it again meanwhile: this courier ends.
        let disable = gathered.disable;
        self.stopping |= disable.is_some();
        gathered.disable = None;
        Some(Progress {
            claim: self.claim,
            flows,
            attempts: std::mem::take(&mut gathered.attempts),
            dead: std::mem::take(&mut gathered.dead),
            revived: std::mem::take(&mut gathered.revived),
            standing: gathered.standing,
            disable,
        })
    }

    /// Goes on after what was recorded. `false` if the claim holds no more: what was posted since then is posted again by the
    /// one who has the webhook now.
    pub(super) fn recorded(&mut self, held: bool) -> bool {
        fault::point("webhook.recorded");
        if !held {
            self.shared.metrics.lost.inc();
            return false;
        }
        self.flows.retain(|running| !running.flow.is_told_over());
        true
    }
}
