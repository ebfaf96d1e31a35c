//! One post, and what its answer means.

use crate::courier::flow::Taken;
use crate::metrics;
use crate::shared::{Permit, Shared};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_domain::webhook::{Attempt, DeliveryFailure, Occasion, request_headers};
use warren_domain::{ReplayId, Timestamp, Webhook};
use warren_egress::{Limits, PostError, Posted, RetryAfter};
use warren_runtime::metrics::Counted;

/// What is read of an answer, at most.
const ANSWER_BYTES: u64 = 64 * 1024;

/// A post that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Of which flow: a replay's, or the live one's.
    pub(crate) replay: Option<ReplayId>,
    pub(crate) taken: Taken,
    /// What came of it; `None`: it was not sent, because the claims may not hold any more.
    pub(crate) outcome: Option<Outcome>,
}

/// What came of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// When it began.
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) status: Option<u16>,
    /// Why it failed; `None`: the event was taken.
    pub(crate) failure: Option<DeliveryFailure>,
    /// For how long the receiver does not want to be asked.
    pub(crate) retry_after: Option<Duration>,
}

/// Posts an event.
pub(crate) async fn post(
    shared: Arc<Shared>,
    webhook: Arc<Webhook>,
    replay: Option<ReplayId>,
    taken: Taken,
    permit: Permit,
) -> Ended {
    // Asked directly before the post: whoever was paused meanwhile does not post what another one posts by now.
    if !shared.lease.holds() {
        return Ended { replay, taken, outcome: None };
    }
    let at = shared.now();
    let occasion = if replay.is_some() { Occasion::Replay } else { Occasion::Live };
    let id = taken.item.event.id.to_string();
    let headers = request_headers(&webhook, occasion, &id, at, &taken.item.body);
    let limits = Limits { bytes: ANSWER_BYTES, total: shared.options.timeout() };
    let begun = Instant::now();
    let answer = {
        let _counted = Counted::new(&shared.metrics.in_flight);
        shared.guard.post(&webhook.url, &headers, Bytes::clone(&taken.item.body), limits).await
    };
    drop(permit);
    let outcome = meaning(answer, at, begun.elapsed(), shared.now());
    shared.metrics.seconds.observe(outcome.took.as_secs_f64());
    let result = outcome.failure.map_or(metrics::DELIVERED, DeliveryFailure::as_str);
    shared.metrics.deliveries.with_label_values(&[result]).inc();
    Ended { replay, taken, outcome: Some(outcome) }
}

fn meaning(answer: Result<Posted, PostError>, at: Timestamp, took: Duration, now: Timestamp) -> Outcome {
    let outcome = |status, failure, retry_after| Outcome { at, took, status, failure, retry_after };
    match answer {
        Ok(posted) => {
            let failure = DeliveryFailure::of_status(posted.status);
            let wait = posted.retry_after.filter(|_| matches!(posted.status, 429 | 503)).map(|when| span(when, now));
            outcome(Some(posted.status), failure, wait)
        }
        Err(PostError::UrlNotAllowed(_) | PostError::HeaderNotAllowed(_)) => {
            outcome(None, Some(DeliveryFailure::NotAllowed), None)
        }
        Err(PostError::TimedOut) => outcome(None, Some(DeliveryFailure::TimedOut), None),
        Err(PostError::Unreachable) => outcome(None, Some(DeliveryFailure::Unreachable), None),
    }
}

fn span(when: RetryAfter, now: Timestamp) -> Duration {
    match when {
        RetryAfter::After(span) => span,
        RetryAfter::At(at) => {
            let millis = at.as_millisecond().saturating_sub(now.as_millis());
            Duration::from_millis(u64::try_from(millis).unwrap_or(0))
        }
    }
}

impl Outcome {
    /// As the webhook's log of attempts has it.
    pub(crate) fn attempt(&self, taken: &Taken, is_replay: bool) -> Attempt {
        let event = &taken.item.event;
        Attempt {
            number: 0,
            event: event.id,
            kind: event.kind,
            instance: event.instance,
            tries: taken.tries.saturating_add(1),
            status: self.status,
            failure: self.failure,
            took_ms: u32::try_from(self.took.as_millis()).unwrap_or(u32::MAX),
            at: self.at,
            replay: is_replay,
        }
    }
}
