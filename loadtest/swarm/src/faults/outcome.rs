//! What one run showed, and what all runs of a fault show together.

use crate::load::{Counts, Quantiles};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Which fault.
    pub fault: u8,
    /// Which form of it.
    pub case: String,
    /// What decided everything random in it.
    pub seed: u64,
    /// How many instances there were, and how many of them were on what broke.
    pub instances: u64,
    /// See `instances`.
    pub hit: u64,
    /// Texts that were sent a second; half as many were written.
    pub texts_per_s: f64,
    /// Sends that were acknowledged.
    pub acked: u64,
    /// Texts that people wrote.
    pub emitted: u64,
    /// Violations of I1 and I4.
    pub lost: u64,
    /// Violations of I2a and I2b.
    pub visible_duplicates: u64,
    /// Stanzas that the server took beyond the first of each id.
    pub wire_resends: u64,
    /// Writes that the ledger refused because their owner was not one any more.
    pub stale_writes_refused: u64,
    /// Connections that another login of the same device ended.
    pub replaced: u64,
    /// Messages that somebody could not decrypt, and retry receipts.
    pub undecryptable: u64,
    /// API calls that failed for good.
    pub failed_calls: u64,
    /// Why.
    pub failures: Vec<(String, u64)>,
    /// Sends that ended `failed` though nothing that was broken makes them.
    pub failed_sends: u64,
    /// Sends that ended `failed` and may not be repeated (`at_most_once`), accepted before all was well again.
    pub sends_in_doubt: u64,
    /// Whether instances connected as fast as the settings have it, and not as fast as benchmarks need.
    pub default_admission: bool,
    /// Logins since the fault beyond those of the instances that were hit.
    pub disconnects: u64,
    /// How many instances logged in though they kept their owner, or more than once at another; of forms that say when they
    /// strike.
    pub needless: u64,
    /// Who that was, with the ids of some.
    pub disconnected: String,
    /// The most logins of one instance since the fault; of forms that say when they strike.
    pub most_logins: u64,
    /// What part of the machine's CPUs was busy from the beginning of the load to the fault, 0 to 1.
    pub busy_before: Option<f64>,
    /// From the fault to the decision that something is gone.
    pub detected_s: Option<f64>,
    /// From the fault until every shard had an owner again.
    pub reassigned_s: Option<f64>,
    /// From the fault until the last instance was connected again.
    pub last_connected_s: Option<f64>,
    /// How long instances were away between two connections, milliseconds: 99 of 100, and the longest.
    pub gap_p99_ms: Option<u64>,
    /// See `gap_p99_ms`.
    pub gap_worst_ms: Option<u64>,
    /// How far webhooks were behind at worst, seconds.
    pub worst_webhook_lag_s: f64,
    /// The most that all workers held together, bytes.
    pub worst_worker_memory: u64,
    /// All calls and their tries.
    pub calls: Value,
    /// How long calls took before the fault and during it.
    pub latency: Value,
    /// What the fault itself measured, by name.
    pub measured: std::collections::BTreeMap<String, f64>,
    /// What the processes counted meanwhile, those that run at the end: why connections ended, what was refused or repeated.
    pub counted: std::collections::BTreeMap<String, f64>,
    /// Violated invariants, and what the fault's own checks found.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Takes over what the load says of its calls.
    pub(super) fn calls(&mut self, counts: &Counts, failures: Vec<(String, u64)>) {
        self.failed_calls = counts.failed;
        self.calls = serde_json::to_value(counts).unwrap_or_default();
        self.failures = failures;
    }

    /// Takes over how long calls took, by a name.
    pub(super) fn latency(&mut self, name: &str, quantiles: &Quantiles) {
        if !self.latency.is_object() {
            self.latency = Value::Object(serde_json::Map::new());
        }
        if let (Some(latency), Ok(quantiles)) = (self.latency.as_object_mut(), serde_json::to_value(quantiles)) {
            latency.insert(name.to_owned(), quantiles);
        }
    }
}

/// The middle and the worst of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are as good.
    pub median: f64,
    /// None is worse.
    pub worst: f64,
}

impl Spread {
    /// Of these; `None` if there are none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let worst = *values.last()?;
        let upper = *values.get(values.len() / 2)?;
        let lower = *values.get((values.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), worst })
    }
}

/// All runs of a fault together.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Which fault.
    pub fault: u8,
    /// How many runs.
    pub runs: u64,
    /// As in [`Outcome`], all runs together.
    pub acked: u64,
    /// As in [`Outcome`], all runs together.
    pub lost: u64,
    /// As in [`Outcome`], all runs together.
    pub visible_duplicates: u64,
    /// As in [`Outcome`], all runs together.
    pub wire_resends: u64,
    /// As in [`Outcome`], all runs together.
    pub stale_writes_refused: u64,
    /// As in [`Outcome`], all runs together.
    pub replaced: u64,
    /// As in [`Outcome`], all runs together.
    pub undecryptable: u64,
    /// As in [`Outcome`], all runs together.
    pub failed_calls: u64,
    /// Of the runs that measured it.
    pub busy_before: Option<Spread>,
    /// Of the runs that measured it.
    pub detected_s: Option<Spread>,
    /// Of the runs that measured it.
    pub reassigned_s: Option<Spread>,
    /// Of the runs that measured it, at the admission of benchmarks.
    pub last_connected_s: Option<Spread>,
    /// Of the runs that measured it, at the default admission.
    pub last_connected_default_s: Option<Spread>,
    /// As in [`Outcome`], all runs together.
    pub failed_sends: u64,
    /// As in [`Outcome`], all runs together.
    pub sends_in_doubt: u64,
    /// What decided everything random, run by run.
    pub seeds: Vec<u64>,
    /// What was violated, with the seed of its run.
    pub violations: Vec<String>,
}

impl Summary {
    /// Of the runs of one fault; what is not of `fault` is left out.
    #[must_use]
    pub fn of(fault: u8, outcomes: &[Outcome]) -> Self {
        let runs: Vec<_> = outcomes.iter().filter(|outcome| outcome.fault == fault).collect();
        let sum = |figure: fn(&Outcome) -> u64| runs.iter().map(|run| figure(run)).sum();
        let spread = |figure: fn(&Outcome) -> Option<f64>| Spread::of(runs.iter().filter_map(|run| figure(run)));
        let violations = runs
            .iter()
            .flat_map(|run| run.violations.iter().map(|violation| format!("{} (seed {}): {violation}", run.case, run.seed)));
        Self {
            fault,
            runs: runs.len() as u64,
            acked: sum(|run| run.acked),
            lost: sum(|run| run.lost),
            visible_duplicates: sum(|run| run.visible_duplicates),
            wire_resends: sum(|run| run.wire_resends),
            stale_writes_refused: sum(|run| run.stale_writes_refused),
            replaced: sum(|run| run.replaced),
            undecryptable: sum(|run| run.undecryptable),
            failed_calls: sum(|run| run.failed_calls),
            busy_before: spread(|run| run.busy_before),
            detected_s: spread(|run| run.detected_s),
            reassigned_s: spread(|run| run.reassigned_s),
            last_connected_s: spread(|run| run.last_connected_s.filter(|_| !run.default_admission)),
            last_connected_default_s: spread(|run| run.last_connected_s.filter(|_| run.default_admission)),
            failed_sends: sum(|run| run.failed_sends),
            sends_in_doubt: sum(|run| run.sends_in_doubt),
            seeds: runs.iter().map(|run| run.seed).collect(),
            violations: violations.collect(),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_even_and_odd_numbers() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(Spread { median: 2.0, worst: 3.0 }));
        assert_eq!(Spread::of([4.0, 1.0]), Some(Spread { median: 2.5, worst: 4.0 }));
    }

    #[test]
    fn a_summary_adds_the_runs_of_its_fault() {
        let run = |fault, seed, detected_s| Outcome { fault, seed, acked: 10, detected_s, ..Outcome::default() };
        let summary = Summary::of(1, &[run(1, 7, Some(1.0)), run(2, 8, None), run(1, 9, None)]);
        assert_eq!((summary.runs, summary.acked, summary.seeds), (2, 20, vec![7, 9]));
        assert_eq!(summary.detected_s, Some(Spread { median: 1.0, worst: 1.0 }));
    }

    #[test]
    fn a_summary_keeps_the_admissions_apart() {
        let run = |default_admission, connected| Outcome {
            fault: 1,
            default_admission,
            last_connected_s: Some(connected),
            ..Outcome::default()
        };
        let summary = Summary::of(1, &[run(false, 2.0), run(true, 27.0)]);
        assert_eq!(summary.last_connected_s, Some(Spread { median: 2.0, worst: 2.0 }));
        assert_eq!(summary.last_connected_default_s, Some(Spread { median: 27.0, worst: 27.0 }));
    }

    #[test]
    fn an_outcome_survives_being_written() {
        let outcome = Outcome { case: "killed".into(), detected_s: Some(0.5), ..Outcome::default() };
        let text = serde_json::to_string(&outcome).unwrap();
        let read: Outcome = serde_json::from_str(&text).unwrap();
        assert_eq!((read.case, read.detected_s), (outcome.case, outcome.detected_s));
    }
}
