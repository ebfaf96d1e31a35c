//! The dispatcher's metrics.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use warren_domain::webhook::DeliveryFailure;
use warren_runtime::Metrics;

/// The result of a post that was taken.
pub(crate) const DELIVERED: &str = "delivered";
/// The result of an event that was given up.
pub(crate) const DEAD: &str = "dead";

/// Handles to the dispatcher's metrics.
pub(crate) struct DispatcherMetrics {
    pub(crate) deliveries: IntCounterVec,
    pub(crate) seconds: Histogram,
    pub(crate) lag: IntGauge,
    pub(crate) in_flight: IntGauge,
    pub(crate) held_bytes: IntGauge,
    pub(crate) webhooks: IntGauge,
    pub(crate) lanes: IntGauge,
    pub(crate) open: IntGauge,
    pub(crate) disabled: IntCounterVec,
    pub(crate) lost: IntCounter,
    pub(crate) missed: IntCounter,
}

impl DispatcherMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let made = Self {
            deliveries: metrics.counters(
                "warren_webhook_deliveries_total",
                "Posts to webhooks by result: delivered, or why not; dead counts events that were given up.",
                &["result"],
            ),
            seconds: metrics.seconds("warren_webhook_post_seconds", "How long a post to a webhook took."),
            lag: metrics.gauge(
                "warren_webhook_lag_seconds",
                "Age of the oldest event that a webhook of this dispatcher did not take yet.",
            ),
            in_flight: metrics.gauge("warren_webhook_in_flight", "Posts under way."),
            held_bytes: metrics.gauge("warren_webhook_held_bytes", "Bytes of events that wait in memory to be posted."),
            webhooks: metrics.gauge("warren_webhooks_claimed", "Webhooks that this dispatcher works on."),
            lanes: metrics.gauge("warren_webhook_lanes", "Instances whose events wait behind one that was not delivered."),
            open: metrics.gauge(
                "warren_webhooks_failing",
                "Webhooks that failed so often in a row that they are only asked now and then.",
            ),
            disabled: metrics.counters(
                "warren_webhooks_disabled_total",
                "Webhooks that were disabled, by why.",
                &["reason"],
            ),
            lost: metrics
                .counter("warren_webhook_claims_lost_total", "Webhooks that were found to be another dispatcher's."),
            missed: metrics.counter(
                "warren_webhook_missed_total",
                "Times the log had lost events before a webhook got them: it was away for longer than events are kept.",
            ),
        };
        for result in DeliveryFailure::ALL.map(DeliveryFailure::as_str).into_iter().chain([DELIVERED, DEAD]) {
            made.deliveries.with_label_values(&[result]).inc_by(0);
        }
        made
    }
}
