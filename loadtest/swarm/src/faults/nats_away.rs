//! Fault 7: NATS is restarted, or away. Accounts stay connected; who needs an owner is told so soon.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use tokio::time::sleep;

const fn case(
    name: &'static str,
    no_failed_calls: bool,
    inject: for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>,
) -> Case {
    let bounds = Bounds { no_failed_calls, ..Bounds::UNNOTICED };
    Case { fault: 7, name, repetitions: 5, needs: Needs::USUAL, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("restarted", true, |trial| restarted(trial).boxed_local()),
    // A client that waits half a minute asks longer than that for an owner that nobody reaches.
    case("away", false, |trial| away(trial).boxed_local()),
];

/// How late "not now" may come, milliseconds, of full runs: a gateway looks for an owner for two seconds.
const REFUSED: u64 = 2_500;

async fn restarted(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.nats.restart().await
}

async fn away(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.nats.kill().await?;
    sleep(trial.scene.scale.away).await;
    trial.cluster().servers.nats.restart().await?;
    refusals(trial, REFUSED);
    Ok(())
}

/// Whoever was told "not now" was told within so many milliseconds, and when to come again.
pub(super) fn refusals(trial: &mut Trial<'_>, within: u64) {
    let counts = trial.load().counts();
    // Where a server is away for less than it takes to say so, nobody is told.
    if trial.scene.is_full() && counts.server_errors == 0 {
        trial.wrong("nobody was told \"not now\" while a server was away");
    }
    if trial.scene.is_full() && counts.slowest_refusal_ms > within {
        trial.wrong(format!("a refusal came after {} ms", counts.slowest_refusal_ms));
    }
    if counts.without_retry_after > 0 {
        trial.wrong(format!("{} refusals said not when to come again", counts.without_retry_after));
    }
}
