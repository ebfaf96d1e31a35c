//! What is measured of the bus.

use crate::envelope::Refused;
use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use warren_ports::bus::{Reply, RequestError};

/// From 100 microseconds to 30 seconds.
const SECONDS: &[f64] =
    &[0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of one bus. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    refused: IntCounterVec,
    requests: IntCounterVec,
    request_seconds: Histogram,
    pub(crate) retries: IntCounter,
    pub(crate) not_taken: IntCounter,
    pub(crate) rings_dropped: IntCounter,
    pub(crate) missed: IntCounter,
    pub(crate) up: IntGauge,
    pub(crate) reconnects: IntCounter,
}

impl Metrics {
    /// Declares them.
    ///
    /// # Errors
    /// None but for a defect: the names are literals.
    pub fn new() -> prometheus::Result<Self> {
        let counter = |name, help| IntCounter::new(name, help);
        let counters = |name, help, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let seconds = HistogramOpts::new("warren_bus_request_seconds", "Requests to owners, retries included.");
        Ok(Self {
            refused: counters(
                "warren_bus_refused_total",
                "Frames that were not believed or were not of this time, by reason.",
                &["frame", "reason"],
            )?,
            requests: counters("warren_bus_requests_total", "Requests to owners, by what came of them.", &["outcome"])?,
            request_seconds: Histogram::with_opts(seconds.buckets(SECONDS.to_vec()))?,
            retries: counter("warren_bus_retries_total", "Requests that nobody took so far and that were made again.")?,
            not_taken: counter("warren_bus_not_taken_total", "Requests that were heard here and not taken.")?,
            rings_dropped: counter("warren_bus_rings_dropped_total", "Rings that did not leave this process.")?,
            missed: counter("warren_bus_missed_total", "Times that all listeners were told that rings were dropped.")?,
            up: IntGauge::new("warren_bus_up", "Whether the bus can be reached.")?,
            reconnects: counter("warren_bus_reconnects_total", "Times that the bus came back.")?,
        })
    }

    /// Registers them.
    ///
    /// # Errors
    /// One of the names is registered already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        self.collectors().into_iter().try_for_each(|collector| registry.register(collector))
    }

    /// Everything, to be registered.
    #[must_use]
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.refused.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.request_seconds.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.not_taken.clone()),
            Box::new(self.rings_dropped.clone()),
            Box::new(self.missed.clone()),
            Box::new(self.up.clone()),
            Box::new(self.reconnects.clone()),
        ]
    }

    pub(crate) fn refused(&self, frame: &str, reason: Refused) {
        self.refused.with_label_values(&[frame, reason.label()]).inc();
    }

    pub(crate) fn requested(&self, outcome: &Result<Reply, RequestError>, seconds: f64) {
        let outcome = match outcome {
            Ok(_) => "answered",
            Err(RequestError::NoResponder) => "no_responder",
            Err(RequestError::Timeout) => "timeout",
            Err(RequestError::Unavailable) => "unavailable",
        };
        self.requests.with_label_values(&[outcome]).inc();
        self.request_seconds.observe(seconds);
    }
}
