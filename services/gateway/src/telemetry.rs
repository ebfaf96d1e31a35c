//! The gateway's figures.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use warren_runtime::Metrics;

/// What the gateway counts. Labels come from closed lists: routes as they are declared, statuses, reasons.
#[derive(Debug, Clone)]
pub(crate) struct Telemetry {
    /// How long requests took, by declared route and status.
    pub(crate) requests: HistogramVec,
    /// Refused credentials, by reason.
    pub(crate) refused: IntCounterVec,
    /// Open WebSockets.
    pub(crate) sockets: IntGauge,
    /// Uploads under way.
    pub(crate) uploads: IntGauge,
    /// Downloads under way.
    pub(crate) downloads: IntGauge,
    /// WebSockets closed by us, by reason.
    pub(crate) closed: IntCounterVec,
    /// From an event's time to its being fanned out.
    pub(crate) lag: Histogram,
    /// Answers given from a stored one.
    pub(crate) replayed: IntCounter,
    /// Numbers of checks answered from what was known.
    pub(crate) known_numbers: IntCounter,
    /// Failed attempts to accept a connection.
    pub(crate) accept_errors: IntCounter,
}

impl Telemetry {
    /// Registers every figure; once a registry.
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.seconds_by(
                "warren_http_request_seconds",
                "Time to answer a request, by declared route and status.",
                &["route", "status"],
            ),
            refused: metrics.counters("warren_auth_failures_total", "Refused credentials.", &["reason"]),
            sockets: metrics.gauge("warren_websocket_clients", "Open WebSockets."),
            uploads: metrics.gauge("warren_uploads", "Uploads of files under way."),
            downloads: metrics.gauge("warren_downloads", "Downloads of files under way."),
            closed: metrics.counters("warren_websocket_closed_total", "WebSockets closed by the gateway.", &["reason"]),
            lag: metrics.seconds("warren_events_lag_seconds", "From an event's time to its being fanned out to listeners."),
            replayed: metrics
                .counter("warren_idempotent_replays_total", "Requests answered with an earlier request's answer."),
            known_numbers: metrics.counter(
                "warren_number_checks_known_total",
                "Numbers of checks that were answered without asking WhatsApp.",
            ),
            accept_errors: metrics.counter("warren_http_accept_errors_total", "Failed attempts to accept a connection."),
        }
    }
}
