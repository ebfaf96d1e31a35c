//! Fault 8: Redis forgets everything, is restarted, or is away. Nobody loses a connection or a shard.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::time::sleep;

const fn case(name: &'static str, inject: for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>) -> Case {
    // So that rates are asked for at all.
    let needs = Needs { environment: &[("WARREN_GATEWAY__REQUESTS_PER_SECOND", "100000")], ..Needs::USUAL };
    let bounds = Bounds::UNNOTICED;
    Case { fault: 8, name, repetitions: 5, needs, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("flushed", |trial| flushed(trial).boxed_local()),
    case("restarted", |trial| restarted(trial).boxed_local()),
    case("away", |trial| away(trial).boxed_local()),
];

async fn flushed(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.redis.flush_all().await
}

async fn restarted(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.redis.restart().await
}

/// Twice as long as other servers are away.
async fn away(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.redis.kill().await?;
    sleep(trial.scene.scale.away * 2).await;
    let mut judged_alone = 0.0;
    for gateway in &trial.cluster().gateways {
        judged_alone += gateway.metric("warren_limiter_local_total").await?;
    }
    trial.measure("requests_judged_without_redis", judged_alone);
    if judged_alone < 1.0 {
        trial.wrong("no gateway says that it judged a request without Redis");
    }
    trial.cluster().servers.redis.restart().await
}
