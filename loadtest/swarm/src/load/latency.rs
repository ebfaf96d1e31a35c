//! How long calls took, from when they were due.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls remembered; more are counted and not remembered.
const MOST: usize = 4_000_000;
/// The longest latency told apart, microseconds.
const LONGEST: u64 = 120_000_000;

/// What a call waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Until a text was accepted.
    Accepted,
    /// Until the server had acknowledged it.
    Sent,
    /// Until the instance's owner had answered.
    Asked,
}

/// A call that succeeded.
#[derive(Debug, Clone, Copy)]
struct Sample {
    due: Instant,
    took_us: u32,
    kind: Kind,
}

/// What was measured so far.
#[derive(Debug, Default)]
pub struct Latencies {
    samples: Mutex<Vec<Sample>>,
}

/// The latencies of a stretch of time, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Quantiles {
    /// How many calls.
    pub calls: u64,
    /// The median.
    pub p50_ms: f64,
    /// Nine of ten are as fast.
    pub p90_ms: f64,
    /// 99 of 100 are as fast.
    pub p99_ms: f64,
    /// The slowest.
    pub worst_ms: f64,
}

impl Latencies {
    pub(super) fn note(&self, due: Instant, kind: Kind) {
        let took_us = u32::try_from(due.elapsed().as_micros()).unwrap_or(u32::MAX);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() < MOST {
            samples.push(Sample { due, took_us, kind });
        }
    }

    /// Of the calls of a kind that were due in this stretch.
    ///
    /// # Errors
    /// A histogram cannot be made.
    pub fn between(&self, from: Instant, until: Instant, kind: Kind) -> Result<Quantiles> {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, LONGEST, 3).context("a histogram")?;
        for sample in self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if sample.kind == kind && (from..until).contains(&sample.due) {
                histogram.saturating_record(u64::from(sample.took_us));
            }
        }
        let milliseconds = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1_000.0;
        Ok(Quantiles {
            calls: histogram.len(),
            p50_ms: milliseconds(0.5),
            p90_ms: milliseconds(0.9),
            p99_ms: milliseconds(0.99),
            worst_ms: histogram.max() as f64 / 1_000.0,
        })
    }

    /// How many calls that were due in this stretch succeeded within `limit`, a second.
    #[must_use]
    pub fn rate(&self, from: Instant, until: Instant, limit: Duration) -> f64 {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let is_on_time = |sample: &Sample| Duration::from_micros(u64::from(sample.took_us)) <= limit;
        let count = samples.iter().filter(|sample| (from..until).contains(&sample.due) && is_on_time(sample)).count();
        count as f64 / until.saturating_duration_since(from).max(Duration::from_millis(1)).as_secs_f64()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn counts_what_was_due_in_a_stretch() {
        let latencies = Latencies::default();
        let start = Instant::now();
        let ago = |ms| start.checked_sub(Duration::from_millis(ms)).unwrap();
        latencies.note(ago(500), Kind::Accepted);
        latencies.note(ago(100), Kind::Accepted);
        latencies.note(ago(100), Kind::Sent);
        let late = latencies.between(ago(200), start, Kind::Accepted).unwrap();
        assert_eq!(late.calls, 1);
        assert!((100.0..450.0).contains(&late.p50_ms), "{late:?}");
        assert_eq!(latencies.between(ago(600), start, Kind::Accepted).unwrap().calls, 2);
        assert!(latencies.rate(ago(1_000), start, Duration::from_secs(60)) > 2.5);
    }
}
