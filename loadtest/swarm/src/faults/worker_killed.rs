//! Fault 1: SIGKILL of a worker.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result};
use futures::FutureExt as _;
use rand::RngExt as _;
use std::time::Duration;
use tokio::time::sleep;

const BOUNDS: Bounds =
    Bounds { no_failed_calls: true, no_disconnects: true, last_connected_s: Some((2.5, 5.0)), ..Bounds::NONE };

pub(super) const CASES: &[Case] = &[
    Case {
        fault: 1,
        name: "killed",
        repetitions: 15,
        needs: Needs::USUAL,
        bounds: BOUNDS,
        admission: Admission::Benchmark,
        inject: |trial| killed(trial).boxed_local(),
    },
    Case {
        fault: 1,
        name: "killed again within 15 s of its start",
        repetitions: 5,
        needs: Needs::USUAL,
        // How many instances it has by then is another matter each time.
        bounds: Bounds { no_disconnects: false, ..BOUNDS },
        admission: Admission::Benchmark,
        inject: |trial| killed_again(trial).boxed_local(),
    },
    Case {
        fault: 1,
        name: "killed, default admission",
        repetitions: 1,
        needs: Needs::USUAL,
        bounds: Bounds { last_connected_s: None, ..BOUNDS },
        admission: Admission::Default,
        inject: |trial| killed(trial).boxed_local(),
    },
];

/// A worker, by lot.
pub(super) fn victim(trial: &mut Trial<'_>) -> usize {
    let workers = trial.cluster().workers.len();
    trial.rng.random_range(0..workers)
}

async fn killed(trial: &mut Trial<'_>) -> Result<()> {
    let worker = victim(trial);
    let hit = trial.scene.instances_of(worker).await?;
    trial.strike(hit).await?;
    kill(trial, worker).await
}

pub(super) async fn kill(trial: &mut Trial<'_>, worker: usize) -> Result<()> {
    trial.cluster().workers.get_mut(worker).context("no such worker")?.kill().await?;
    trial.look_again();
    Ok(())
}

/// A half-started owner dies too.
async fn killed_again(trial: &mut Trial<'_>) -> Result<()> {
    const WITHIN: f64 = 15.0;
    let worker = victim(trial);
    kill(trial, worker).await?;
    trial.cluster().owned().await?;
    trial.scene.connected().await?;
    trial.cluster().workers.get_mut(worker).context("no such worker")?.start_again(&[]).await?;
    trial.look_again();
    let wait = trial.rng.random_range(0.2..WITHIN);
    sleep(Duration::from_secs_f64(wait)).await;
    let hit = trial.scene.instances_of(worker).await?;
    trial.measure("killed_after_s", wait);
    trial.strike_now(hit).await?;
    kill(trial, worker).await
}
