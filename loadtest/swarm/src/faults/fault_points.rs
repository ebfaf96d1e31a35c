//! Fault 2: a worker or a dispatcher dies at each named place between two durable states.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result, ensure};
use futures::FutureExt as _;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;
use warren_testkit::cluster::Role;

const fn point(name: &'static str) -> Case {
    Case {
        fault: 2,
        name,
        repetitions: 1,
        needs: Needs { fault_points: true, ..Needs::USUAL },
        bounds: Bounds { no_failed_calls: true, ..Bounds::NONE },
        admission: Admission::Benchmark,
        inject: |trial| dies(trial).boxed_local(),
    }
}

/// Each is the place's name, and at the how many-th time the process dies there: under way, not at the start.
pub(super) const CASES: &[Case] = &[
    point("login.before:10"),
    point("outbound.before_claim:20"),
    point("outbound.claimed:20"),
    point("outbound.on_wire:20"),
    point("outbound.acked:20"),
    point("outbound.reclaimed"),
    point("session.flushed:20"),
    point("inbound.pending_stored:10"),
    point("inbound.before_commit:10"),
    point("inbound.committed:10"),
    point("inbound.prekey_deleted"),
    point("webhook.delivered:20"),
    point("webhook.recorded:5"),
];

/// A process of the right kind is started again so that it dies there, and does.
async fn dies(trial: &mut Trial<'_>) -> Result<()> {
    let point = trial.case().to_owned();
    let role = if point.starts_with("webhook.") { Role::Dispatcher } else { Role::Worker };
    let patience = trial.scene.scale.patience;
    trial.strike(0).await?;
    let node = trial.first(role)?;
    node.stop().await?;
    node.set_environment(&[("WARREN_FAULT_POINT".to_owned(), point.clone())]);
    // It may die before it told its addresses.
    node.start()?;
    if point.starts_with("outbound.reclaimed") {
        takes_over_what_is_handed(trial).await?;
    }
    let node = trial.first(role)?;
    let ended = node.died(patience).await.with_context(|| format!("{point} is not reached"))?;
    ensure!(ended.code.is_none(), "it ended by itself and not by the fault: {}", ended.stderr);
    node.set_environment(&[("WARREN_FAULT_POINT".to_owned(), String::new())]);
    if role == Role::Dispatcher {
        node.start_again(&[]).await?;
    }
    trial.look_again();
    Ok(())
}

/// Lets another worker die while much of what it sent is not acknowledged: whoever has the shards next claims it again.
async fn takes_over_what_is_handed(trial: &mut Trial<'_>) -> Result<()> {
    const HANDED: Duration = Duration::from_secs(2);
    trial.first(Role::Worker)?.answering().await?;
    trial.look_again();
    trial.scene.balanced().await?;
    let simulator = trial.scene.place.simulator.clone();
    simulator.post::<Value>("/trouble", &json!({"withhold_acks": true})).await?;
    sleep(HANDED).await;
    let last = trial.cluster().workers.last_mut().context("no worker")?;
    last.kill().await?;
    simulator.post::<Value>("/trouble", &json!({"withhold_acks": false})).await?;
    trial.look_again();
    Ok(())
}
