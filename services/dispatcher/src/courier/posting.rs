//! What a courier posts, and what it makes of the answers.

use super::Courier;
use super::flow::{Settled, Taken};
use super::post::{Ended, Outcome, post};
use super::recording::UNRECORDED;
use super::schedule::{Next, after_failure};
use super::source::Source;
use crate::metrics::DEAD;
use crate::shared::Permit;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;
use warren_domain::webhook::{DeadLetter, DeliveryFailure, Disabled, Replayed};
use warren_domain::{Event, ReplayId, Timestamp};

impl Courier {
    /// Whether anything may be posted at all.
    pub(super) fn may_post(&self, now: Timestamp) -> bool {
        !self.stopping
            && self.gathered.disable.is_none()
            && self.gathered.standing.paused_until.is_none_or(|until| until <= now)
            && self.gathered.rows() < UNRECORDED
            && self.shared.lease.holds()
    }

    /// Posts as much as the webhook and the permits allow.
    pub(super) fn post_what_may(&mut self, now: Timestamp) {
        while self.may_post(now) && self.circuit.lets_through(self.posts.len(), now) {
            self.pass_over_unwanted();
            let Some(flow) = self.flows.iter().position(|running| running.flow.is_ready()) else {
                if self.circuit.is_open() && self.ask_a_lane() {
                    continue;
                }
                return;
            };
            let Some(permit) = self.permit() else { return };
            let Some(running) = self.flows.get_mut(flow) else { return };
            let replay = running.flow.replay;
            let Some(taken) = running.flow.take() else { return };
            self.posts.spawn(post(Arc::clone(&self.shared), Arc::clone(&self.webhook), replay, taken, permit));
            // Each flow has its turn.
            self.flows.rotate_left(1);
        }
    }

    /// While the webhook is asked now and then, and nothing of the log is there to ask with: a lane goes on before its time. But
    /// first the log is read, every other time: what fails of one instance must not keep the others from being tried. Whether
    /// something can be posted now.
    fn ask_a_lane(&mut self) -> bool {
        let may_read = self.flows.iter().any(|running| running.more && !running.is_reading && running.flow.has_room(1));
        if may_read && !self.asked_the_log {
            return false;
        }
        self.asked_the_log = false;
        self.flows.iter_mut().for_each(|running| running.flow.probe());
        self.flows.iter().any(|running| running.flow.is_ready())
    }

    /// Settles events that the webhook does not want (any more), without posting them.
    fn pass_over_unwanted(&mut self) {
        let webhook = Arc::clone(&self.webhook);
        for running in &mut self.flows {
            let is_asked_for = matches!(running.source, Source::Replay(Replayed::Positions(_)));
            let is_wanted = |event: &Event| match is_asked_for {
                true => webhook.format.can_write(event.kind),
                false => webhook.wants(event),
            };
            while let Some(instance) = running.flow.next_unwanted(is_wanted) {
                running.flow.settle(instance, Settled::Done);
            }
        }
    }

    /// A permit, if one is free; else it is waited for.
    fn permit(&mut self) -> Option<Permit> {
        let permit = self.permit.take().or_else(|| self.permits.try_take());
        if permit.is_none() && self.waiting.is_none() {
            self.waiting = Some(Box::pin(self.permits.clone().take()));
        }
        permit
    }

    /// Takes a post that has ended.
    pub(super) fn settle(&mut self, ended: Result<Ended, JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // A defect: its event stays under way until the webhook is claimed anew.
                tracing::error!(%error, "a post to a webhook broke off");
                self.stopping = true;
                return;
            }
        };
        let settled = match ended.outcome {
            None => Settled::Unsent,
            Some(outcome) => {
                self.gathered.attempts.push(outcome.attempt(&ended.taken, ended.replay.is_some()));
                match outcome.failure {
                    None => self.delivered(&ended),
                    Some(failure) => self.failed(&ended.taken, ended.replay, outcome, failure),
                }
            }
        };
        let instance = ended.taken.item.event.instance;
        // A replay that was cancelled meanwhile is not there any more.
        if let Some(running) = self.flows.iter_mut().find(|running| running.flow.replay == ended.replay) {
            running.flow.settle(instance, settled);
        }
    }

    fn delivered(&mut self, ended: &Ended) -> Settled {
        let now = self.shared.now();
        let standing = &mut self.gathered.standing;
        standing.delivered_at = Some(now);
        standing.failing_since = None;
        // What was under way when another one was told to wait says nothing about that.
        standing.paused_until = standing.paused_until.filter(|until| *until > now);
        if self.circuit.succeeded() {
            // It answers again: everything that waits is tried at once.
            self.flows.iter_mut().for_each(|running| running.flow.wake_all());
        }
        if ended.replay.is_some() || self.dead_letters > 0 {
            self.gathered.revived.push(ended.taken.item.event.position);
        }
        Settled::Done
    }

    fn failed(&mut self, taken: &Taken, replay: Option<ReplayId>, outcome: Outcome, failure: DeliveryFailure) -> Settled {
        let now = self.shared.now();
        self.circuit.failed(now);
        let failing_since = *self.gathered.standing.failing_since.get_or_insert(now);
        if failure == DeliveryFailure::Gone {
            self.disable(Disabled::Gone);
            return Settled::Unsent;
        }
        let is_failing_long = failing_since.after(Duration::from_secs(self.shared.options.disable_after_s)) <= now;
        if is_failing_long && self.circuit.is_open() {
            self.disable(Disabled::Failing);
        }
        let most = Duration::from_secs(self.shared.options.retry_after_most_s);
        if let Some(wait) = outcome.retry_after {
            self.gathered.standing.paused_until = Some(now.after(wait.min(most)));
        }
        if taken.is_early {
            return Settled::Unanswered;
        }
        self.again_or_never(taken, replay, outcome, failure, now)
    }

    fn again_or_never(
        &mut self,
        taken: &Taken,
        replay: Option<ReplayId>,
        outcome: Outcome,
        failure: DeliveryFailure,
        now: Timestamp,
    ) -> Settled {
        let tries = taken.tries.saturating_add(1);
        let since = self.flows.iter().find(|running| running.flow.replay == replay).map(|running| running.since);
        let waiting = taken.item.event.occurred_at.max(since.unwrap_or_default());
        match after_failure(&self.shared.options, tries, taken.follows_given_up, waiting, now) {
            Next::At(at) => {
                let paused = self.gathered.standing.paused_until.unwrap_or_default();
                Settled::Failed(at.max(paused), failure)
            }
            Next::GiveUp(next_at) => {
                let event = taken.item.event.clone();
                self.gathered.dead.push(DeadLetter { event, tries, status: outcome.status, failure, at: now });
                self.shared.metrics.deliveries.with_label_values(&[DEAD]).inc();
                self.dead_letters = self.dead_letters.saturating_add(1);
                if self.dead_letters >= self.shared.options.dead_letters {
                    self.disable(Disabled::DeadLettersFull);
                }
                Settled::GivenUp(next_at)
            }
        }
    }

    /// Has nothing more posted. It ends when that is recorded.
    fn disable(&mut self, reason: Disabled) {
        if self.gathered.disable.is_none() {
            tracing::info!(webhook = %self.webhook.id, reason = reason.as_str(), "a webhook is disabled");
            self.shared.metrics.disabled.with_label_values(&[reason.as_str()]).inc();
            self.gathered.disable = Some(reason);
        }
    }
}
