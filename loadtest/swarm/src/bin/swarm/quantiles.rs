//! How long things took.

use anyhow::Result;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest that is told apart, microseconds.
const LONGEST: u64 = 60_000_000;

/// Adds the figures of one object to another.
pub(crate) fn merge(report: &mut Value, more: Value) {
    if let (Some(report), Value::Object(more)) = (report.as_object_mut(), more) {
        report.extend(more);
    }
}

/// Latencies, to the microsecond.
pub(crate) struct Quantiles(Histogram<u64>);

impl Quantiles {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST, 3)?))
    }

    pub(crate) fn note(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The value below which this part of them is, milliseconds.
    pub(crate) fn ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// The usual ones.
    pub(crate) fn show(&self) -> Value {
        json!({"count": self.count(), "p50_ms": self.ms(0.5), "p99_ms": self.ms(0.99), "worst_ms": self.0.max() as f64 / 1000.0})
    }
}
