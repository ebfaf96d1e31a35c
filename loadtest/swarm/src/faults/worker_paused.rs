//! Fault 5: a worker is paused (SIGSTOP) for longer than its lease, then goes on.

use super::worker_killed::victim;
use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use rand::RngExt as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;

pub(super) const CASES: &[Case] = &[Case {
    fault: 5,
    name: "paused",
    repetitions: 20,
    needs: Needs::USUAL,
    bounds: Bounds { no_failed_calls: true, gap_worst_ms: Some(AWAY), ..Bounds::NONE },
    admission: Admission::Benchmark,
    inject: |trial| paused(trial).boxed_local(),
}];

/// How long it may own its shards after it woke, of full runs.
const DROPPED: f64 = 0.1;
/// How long an instance may be away, milliseconds: for a storm of logins, and not for a connection that does not end.
const AWAY: u64 = 4_000;
/// Looks whether it does, that often: what is measured is not much longer.
const LOOK: Duration = Duration::from_millis(5);

async fn paused(trial: &mut Trial<'_>) -> Result<()> {
    let worker = victim(trial);
    let hit = trial.scene.instances_of(worker).await?;
    // Its connections stay open until the next owner's logins end them, and it may kick once when it wakes.
    trial.may_replace(2 * hit);
    trial.strike(hit).await?;
    let node = trial.cluster().workers.get(worker).context("no such worker")?;
    let owned = node.metric("warren_shards_owned").await?;
    pause(trial, worker)?;
    trial.scene.others_own(worker).await?;
    trial.measure("taken_over_s", super::seconds_since(trial.struck()?));
    let longer = trial.rng.random_range(0.0..3.0);
    sleep(Duration::from_secs_f64(longer)).await;
    let woke = Instant::now();
    // Not looked at before it is known how long it keeps them: each look is work for it.
    trial.cluster().workers.get(worker).context("no such worker")?.resume()?;
    dropped(trial, worker, owned, woke).await?;
    trial.look_again();
    trial.nobody_is_quarantined().await
}

/// Pauses a worker, which is left out of what is asked of all until it goes on.
pub(super) fn pause(trial: &mut Trial<'_>, worker: usize) -> Result<()> {
    let node = trial.scene.cluster.workers.get(worker).context("no such worker")?;
    node.pause()?;
    let name = node.name().to_owned();
    trial.without(&name);
    Ok(())
}

/// Lets a paused worker go on.
pub(super) fn resume(trial: &mut Trial<'_>, worker: usize) -> Result<()> {
    trial.cluster().workers.get(worker).context("no such worker")?.resume()?;
    trial.look_again();
    Ok(())
}

/// Waits until it knows that the shards are not its own any more. It is given others at once, so it is never without any.
async fn dropped(trial: &mut Trial<'_>, worker: usize, owned: f64, woke: Instant) -> Result<()> {
    let until = woke + trial.scene.scale.patience;
    let node = trial.cluster().workers.get(worker).context("no such worker")?;
    while !node.metric("warren_shards_owned").await.is_ok_and(|now| now < owned / 2.0) {
        ensure!(Instant::now() < until, "it does not drop its shards");
        sleep(LOOK).await;
    }
    let took = super::seconds_since(woke);
    trial.measure("dropped_after_s", took);
    if trial.scene.is_full() && took > DROPPED {
        trial.wrong(format!("it kept its shards for {took:.3} s after it woke"));
    }
    Ok(())
}
