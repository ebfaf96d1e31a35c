//! Fault 3: SIGKILL of a gateway. Whoever waited asks the other one with the same key; a stream resumes without a gap.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result};
use futures::FutureExt as _;
use rand::RngExt as _;
use std::time::Duration;
use tokio::time::sleep;

pub(super) const CASES: &[Case] = &[Case {
    fault: 3,
    name: "killed",
    repetitions: 5,
    needs: Needs::USUAL,
    bounds: Bounds::UNNOTICED,
    admission: Admission::Benchmark,
    inject: |trial| killed(trial).boxed_local(),
}];

/// Each one once, so that the stream's is among them; each is back before the next.
async fn killed(trial: &mut Trial<'_>) -> Result<()> {
    trial.strike(0).await?;
    for gateway in 0..trial.cluster().gateways.len() {
        trial.cluster().gateways.get_mut(gateway).context("no such gateway")?.kill().await?;
        trial.look_again();
        let down = trial.rng.random_range(0.5..2.0);
        sleep(Duration::from_secs_f64(down)).await;
        trial.cluster().gateways.get_mut(gateway).context("no such gateway")?.start_again(&[]).await?;
        trial.look_again();
    }
    let connections = trial.scene.stream_connections();
    trial.measure("stream_connections", connections as f64);
    Ok(())
}
