//! Fault 4: a coordinator dies: the leader, a follower, the majority.

use super::worker_killed::{kill, victim};
use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use warren_testkit::eventually;

const fn case(
    name: &'static str,
    inject: for<'t, 's> fn(&'t mut Trial<'s>) -> futures::future::LocalBoxFuture<'t, Result<()>>,
) -> Case {
    Case {
        fault: 4,
        name,
        repetitions: 5,
        needs: Needs::USUAL,
        bounds: Bounds::UNNOTICED,
        admission: Admission::Benchmark,
        inject,
    }
}

pub(super) const CASES: &[Case] = &[
    case("leader killed", |trial| leader_killed(trial).boxed_local()),
    case("follower killed", |trial| follower_killed(trial).boxed_local()),
    case("majority killed", |trial| majority_killed(trial).boxed_local()),
    Case {
        bounds: Bounds { no_doubt: false, detected_s: Some(DETECTED), ..Bounds::UNNOTICED },
        ..case("leader killed, then a worker", |trial| leader_then_worker(trial).boxed_local())
    },
];

/// A new leader must be there by then.
const NEW_LEADER: f64 = 1.0;
/// When a leader that has just begun must have seen the death of a worker: it waits for a lease of 3 s to expire first.
const DETECTED: f64 = NEW_LEADER + 3.0;
/// Looks for a leader, that often.
const LOOK: Duration = Duration::from_millis(20);

/// The place of the one that leads and decides.
async fn leader(trial: &mut Trial<'_>) -> Result<usize> {
    let patience = trial.scene.scale.patience;
    eventually("a coordinator that leads", patience, async || lead(trial).await).await
}

async fn lead(trial: &mut Trial<'_>) -> Result<Option<usize>> {
    for (place, coordinator) in trial.cluster().coordinators.iter_mut().enumerate() {
        if coordinator.is_running()
            && coordinator.metric("warren_coordinator_is_leader").await.is_ok_and(|leads| leads > 0.5)
        {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

async fn kill_coordinator(trial: &mut Trial<'_>, place: usize) -> Result<()> {
    trial.cluster().coordinators.get_mut(place).context("no such coordinator")?.kill().await?;
    trial.look_again();
    Ok(())
}

/// How long until another one leads, seconds.
async fn succeeded(trial: &mut Trial<'_>, since: Instant) -> Result<f64> {
    let until = since + trial.scene.scale.patience;
    loop {
        if lead(trial).await?.is_some() {
            return Ok(super::seconds_since(since));
        }
        ensure!(Instant::now() < until, "no coordinator leads again");
        sleep(LOOK).await;
    }
}

async fn leader_killed(trial: &mut Trial<'_>) -> Result<()> {
    let place = leader(trial).await?;
    trial.strike(0).await?;
    kill_coordinator(trial, place).await?;
    let struck = trial.struck()?;
    let took = succeeded(trial, struck).await?;
    trial.measure("new_leader_s", took);
    if trial.scene.is_full() && took > NEW_LEADER {
        trial.wrong(format!("a new leader after {took:.2} s"));
    }
    Ok(())
}

async fn follower_killed(trial: &mut Trial<'_>) -> Result<()> {
    let leads = leader(trial).await?;
    let follower = (leads + 1) % trial.cluster().coordinators.len();
    trial.strike(0).await?;
    kill_coordinator(trial, follower).await?;
    sleep(trial.scene.scale.away).await;
    if lead(trial).await? != Some(leads) {
        trial.wrong("the leader changed although only a follower died");
    }
    Ok(())
}

/// Nobody decides, and nobody notices: a worker that dies then is replaced when they are back, which is another fault.
async fn majority_killed(trial: &mut Trial<'_>) -> Result<()> {
    let leads = leader(trial).await?;
    let all = trial.cluster().coordinators.len();
    trial.strike(0).await?;
    for place in (0..all).filter(|place| *place != (leads + 1) % all) {
        kill_coordinator(trial, place).await?;
    }
    sleep(trial.scene.scale.away).await;
    let owned = trial.scene.shards_owned().await?;
    if owned < u64::from(trial.cluster().shard_count()) {
        trial.wrong(format!("only {owned} shards are owned while nobody decides"));
    }
    for coordinator in &mut trial.cluster().coordinators {
        if !coordinator.is_running() {
            coordinator.start_again(&[]).await?;
        }
    }
    trial.look_again();
    leader(trial).await.map(drop)
}

/// The death of a worker, seen by a leader that has just begun: it waits for a lease to expire first.
async fn leader_then_worker(trial: &mut Trial<'_>) -> Result<()> {
    let place = leader(trial).await?;
    let worker = victim(trial);
    let hit = trial.scene.instances_of(worker).await?;
    trial.strike(hit).await?;
    kill_coordinator(trial, place).await?;
    kill(trial, worker).await
}
