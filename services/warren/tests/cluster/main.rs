//! Whole clusters of real processes, broken under load: the fault matrix in its short form, with 60 instances. Each test starts
//! its own Postgres (or takes a database of the shared one), Redis, NATS, three coordinators, three workers, two gateways, a
//! dispatcher and a simulator, and holds every invariant against what happened.
//!
//! `cargo xtask faults` runs the same scripts with 3,000 instances, every form of every fault, and many seeds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod clocks;
mod commands;
mod coordinators;
#[cfg(feature = "fault-injection")]
mod fault_points;
mod gateway;
mod membership;
mod nats;
mod network;
mod postgres;
mod redis;
mod rolling_restart;
mod stream_errors;
mod transaction;
mod webhooks;
mod worker_killed;
mod worker_paused;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use warren_swarm::faults::{self, Case, Outcome, Scale, Scene};

/// Decides what is random; `SWARM_SEED` sets another one.
const SEED: u64 = 1;

/// The binary under test: where the test runner says it is, or else where it was when this was compiled.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        std::env::var_os("CARGO_BIN_EXE_warren").map_or_else(|| env!("CARGO_BIN_EXE_warren").into(), Into::into)
    })
}

fn seed() -> u64 {
    std::env::var("SWARM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED)
}

/// What these forms of a fault do to one cluster, one after the other.
async fn outcomes(fault: u8, forms: &[&str]) -> Vec<Outcome> {
    let cases: Vec<Case> = forms.iter().map(|form| faults::case(fault, form).unwrap()).collect();
    let first = cases.first().unwrap();
    let mut scene = Scene::prepare(binary(), &first.needs, Scale::SHORT, first.admission).await.unwrap();
    let mut outcomes = Vec::new();
    for case in cases {
        let seed = faults::seed_of(seed(), fault, case.name, 0);
        let outcome = Box::pin(case.run(&mut scene, seed)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("seed {seed}: {error:#}\n{}", scene.cluster.last_lines(20)));
        println!("{}", serde_json::to_string_pretty(&outcome).unwrap());
        outcomes.push(outcome);
    }
    outcomes
}

/// Nothing is violated by these forms of a fault.
async fn holds(fault: u8, forms: &[&str]) {
    for outcome in outcomes(fault, forms).await {
        assert!(outcome.violations.is_empty(), "{} (seed {}): {:#?}", outcome.case, outcome.seed, outcome.violations);
        assert!(outcome.acked > 0 && outcome.emitted > 0, "{}: there was no load", outcome.case);
    }
}
