//! Fault 18: everything is restarted under load, one process after the other, as a new version is rolled out.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::time::Instant;
use warren_testkit::cluster::{Cluster, Node, Role};

type Inject = for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>;

const fn case(name: &'static str, inject: Inject) -> Case {
    let bounds = Bounds { no_failed_calls: true, no_doubt: true, gap_p99_ms: Some(300), ..Bounds::NONE };
    Case { fault: 18, name, repetitions: 5, needs: Needs::USUAL, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("everything", |trial| everything(trial).boxed_local()),
    case("a worker joins", |trial| joins(trial).boxed_local()),
];

fn node(cluster: &mut Cluster, role: Role, place: usize) -> Option<&mut Node> {
    match role {
        Role::Coordinator => cluster.coordinators.get_mut(place),
        Role::Worker => cluster.workers.get_mut(place),
        Role::Gateway => cluster.gateways.get_mut(place),
        Role::Dispatcher => cluster.dispatchers.get_mut(place),
    }
}

async fn everything(trial: &mut Trial<'_>) -> Result<()> {
    trial.strike(0).await?;
    for role in [Role::Coordinator, Role::Worker, Role::Gateway, Role::Dispatcher] {
        for place in 0..trial.cluster().nodes(role).len() {
            let began = Instant::now();
            let node = node(trial.cluster(), role, place).context("no such process")?;
            let ended = node.stop().await?;
            let (stopped, name) = (began.elapsed(), node.name().to_owned());
            if ended.code != Some(0) {
                trial.wrong(format!("{name} ended with {:?}", ended.code));
            }
            trial.look_again();
            self::node(trial.cluster(), role, place).context("no such process")?.start_again(&[]).await?;
            trial.look_again();
            trial.scene.balanced().await?;
            trial.measure(&format!("{name}_stops_in_s"), stopped.as_secs_f64());
        }
    }
    Ok(())
}

/// A worker more: shards move to it. Then it stops, and they move back.
async fn joins(trial: &mut Trial<'_>) -> Result<()> {
    trial.strike(0).await?;
    let began = Instant::now();
    let place = trial.cluster().add(Role::Worker).await?;
    trial.look_again();
    trial.scene.balanced().await?;
    trial.measure("balanced_after_s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let ended = trial.cluster().workers.get_mut(place).context("no such worker")?.stop().await?;
    trial.measure("drained_after_s", began.elapsed().as_secs_f64());
    if ended.code != Some(0) {
        trial.wrong(format!("the worker ended with {:?}", ended.code));
    }
    trial.cluster().workers.truncate(place);
    trial.look_again();
    trial.scene.balanced().await
}
