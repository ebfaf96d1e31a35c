//! The fault matrix over a whole cluster under load: one file a fault. Each breaks something at a random moment, lets the
//! cluster heal by itself, and holds every invariant against what happened.
//!
//! The numbers are those of the matrix; what is not here (12, 13, 15, 17, 19) is about other things than a cluster.

mod clocks;
mod coordinators;
mod failed_sends;
mod fault_points;
mod file;
mod gateway_killed;
mod logins;
mod machine;
mod missed;
mod nats_away;
mod network_cut;
mod outcome;
mod postgres_away;
mod redis_away;
mod rolling_restart;
mod scale;
mod scene;
mod standing;
mod stream_errors;
mod transaction;
mod trial;
mod verify;
mod watch;
mod webhook_down;
mod worker_killed;
mod worker_paused;

pub use file::Runs;
pub use missed::missed;
pub use outcome::{Outcome, Spread, Summary};
pub use scale::Scale;
pub use scene::{Admission, Needs, Scene};
pub use trial::Trial;

use anyhow::{Context, Result, ensure};
use futures::future::LocalBoxFuture;
use std::path::Path;
use std::time::Instant;

/// A form of a fault.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The fault's number in the matrix.
    pub fault: u8,
    /// The form's name, unique for the fault.
    pub name: &'static str,
    /// How often it is run in full.
    pub repetitions: u32,
    /// What its cluster needs.
    pub needs: Needs,
    /// What it promises besides the invariants.
    pub bounds: Bounds,
    /// How fast instances may connect.
    pub admission: Admission,
    /// Breaks something.
    pub inject: for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>,
}

/// What a fault promises besides the invariants.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Whether no API call may fail for good.
    pub no_failed_calls: bool,
    /// Whether not even a send that may not be repeated can be in doubt: no owner ends, and no connection of an instance.
    pub no_doubt: bool,
    /// Whether no instance may lose its connection that was not hit.
    pub no_disconnects: bool,
    /// How often one instance may log in: more is flapping.
    pub logins_at_most: Option<u64>,
    /// The median and the worst time until the last instance is connected, seconds, of full runs.
    pub last_connected_s: Option<(f64, f64)>,
    /// The longest time to the decision, seconds, of full runs.
    pub detected_s: Option<f64>,
    /// How long 99 of 100 instances may be away, milliseconds, of full runs.
    pub gap_p99_ms: Option<u64>,
    /// How long any instance may be away, milliseconds, of full runs.
    pub gap_worst_ms: Option<u64>,
}

impl Bounds {
    /// Nothing but the invariants.
    const NONE: Self = Self {
        no_failed_calls: false,
        no_doubt: false,
        no_disconnects: false,
        logins_at_most: None,
        last_connected_s: None,
        detected_s: None,
        gap_p99_ms: None,
        gap_worst_ms: None,
    };

    /// No call fails, no send is in doubt, and no instance that was not hit loses its connection.
    const UNNOTICED: Self = Self { no_failed_calls: true, no_doubt: true, no_disconnects: true, ..Self::NONE };

    /// Adds to the violations of a run, of whatever size, what it promises and does not hold.
    fn judge(&self, outcome: &mut Outcome) {
        if self.no_failed_calls && outcome.failed_calls > 0 {
            outcome.violations.push(format!("{} calls failed: {:?}", outcome.failed_calls, outcome.failures));
        }
        if outcome.failed_sends > 0 {
            outcome.violations.push(format!("{} sends ended failed without need", outcome.failed_sends));
        }
        if self.no_doubt && outcome.sends_in_doubt > 0 {
            outcome.violations.push(format!("{} sends were in doubt and ended failed", outcome.sends_in_doubt));
        }
        if self.no_disconnects && outcome.disconnects + outcome.needless > 0 {
            let (disconnects, who) = (outcome.disconnects, &outcome.disconnected);
            outcome.violations.push(format!("{disconnects} logins beyond those that were hit; of the instances, {who}"));
        }
        if let Some(most) = self.logins_at_most
            && outcome.most_logins > most
        {
            outcome.violations.push(format!("an instance logged in {} times, of at most {most}", outcome.most_logins));
        }
    }
}

/// Every form of every fault, in their order.
#[must_use]
pub fn catalogue() -> Vec<Case> {
    [
        worker_killed::CASES,
        fault_points::CASES,
        gateway_killed::CASES,
        coordinators::CASES,
        worker_paused::CASES,
        transaction::CASES,
        nats_away::CASES,
        redis_away::CASES,
        postgres_away::CASES,
        network_cut::CASES,
        clocks::CASES,
        webhook_down::CASES,
        stream_errors::CASES,
        rolling_restart::CASES,
    ]
    .concat()
}

/// A form of a fault by its number and name.
///
/// # Errors
/// There is none.
pub fn case(fault: u8, name: &str) -> Result<Case> {
    let found = catalogue().into_iter().find(|case| case.fault == fault && case.name == name);
    found.with_context(|| format!("there is no fault {fault} `{name}`"))
}

impl Case {
    /// Whether another form can be run on the same scene.
    #[must_use]
    pub fn shares_a_scene_with(&self, other: &Self) -> bool {
        (self.needs, self.admission) == (other.needs, other.admission)
    }

    /// Runs it once on a scene that fits its needs.
    ///
    /// # Errors
    /// It could not be run to its end; what it violates is no error.
    pub async fn run(&self, scene: &mut Scene, seed: u64) -> Result<Outcome> {
        let mut trial = Trial::begin(scene, self.fault, self.name, seed).await?;
        (self.inject)(&mut trial).await.with_context(|| format!("fault {} `{}`, seed {seed}", self.fault, self.name))?;
        let asks_for_logins = self.bounds.no_disconnects || self.bounds.logins_at_most.is_some();
        ensure!(
            trial.logins.is_some() || !asks_for_logins,
            "a form that bounds logins says when it strikes: `Trial::strike`"
        );
        let mut outcome = Box::pin(trial.verify()).await?;
        outcome.default_admission = self.admission == Admission::Default;
        self.bounds.judge(&mut outcome);
        Ok(outcome)
    }

    /// Runs it once on a scene of its own.
    ///
    /// # Errors
    /// See [`Case::run`].
    pub async fn run_alone(&self, binary: &Path, scale: Scale, seed: u64) -> Result<Outcome> {
        let mut scene = Scene::prepare(binary, &self.needs, scale, self.admission).await?;
        self.run(&mut scene, seed).await
    }
}

/// The seed of a run: another one for every fault, form and repetition.
#[must_use]
pub fn seed_of(base: u64, fault: u8, name: &str, repetition: u32) -> u64 {
    // FNV-1a: the same with every compiler.
    let parts = base.to_le_bytes().into_iter().chain([fault]).chain(name.bytes()).chain(repetition.to_le_bytes());
    parts.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The seconds since a moment.
pub(crate) fn seconds_since(at: Instant) -> f64 {
    at.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_promised_fault_is_there_and_every_form_has_a_name_of_its_own() {
        let cases = catalogue();
        let faults: BTreeSet<_> = cases.iter().map(|case| case.fault).collect();
        assert_eq!(faults.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 16, 18]);
        let names: BTreeSet<_> = cases.iter().map(|case| (case.fault, case.name)).collect();
        assert_eq!(names.len(), cases.len());
        assert!(case(1, "killed").is_ok() && case(99, "killed").is_err());
    }

    #[test]
    fn every_run_has_a_seed_of_its_own() {
        let seeds = [(1, 1, "a", 0), (1, 1, "a", 1), (1, 2, "a", 0), (1, 1, "b", 0), (2, 1, "a", 0)];
        let seeds: BTreeSet<_> = seeds.map(|(base, fault, name, run)| seed_of(base, fault, name, run)).into();
        assert_eq!(seeds.len(), 5);
    }
}
