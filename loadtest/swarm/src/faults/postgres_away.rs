//! Fault 9: Postgres is restarted, or away. Sends are refused, what comes in waits, and none of it is lost.

use super::nats_away::refusals;
use super::worker_killed::victim;
use super::{Admission, Bounds, Case, Needs, Trial, worker_paused};
use anyhow::Result;
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::time::Duration;
use tokio::time::sleep;
use warren_testkit::services::Stop;

const fn case(
    name: &'static str,
    no_failed_calls: bool,
    inject: for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>,
) -> Case {
    let bounds = Bounds { no_failed_calls, no_doubt: true, ..Bounds::NONE };
    Case { fault: 9, name, repetitions: 5, needs: Needs::OWN_POSTGRES, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("restarted, fast", true, |trial| away(trial, Stop::Fast, Duration::ZERO).boxed_local()),
    case("restarted, immediate", true, |trial| away(trial, Stop::Immediate, Duration::ZERO).boxed_local()),
    case("away for 3 s", true, |trial| away(trial, Stop::Immediate, Duration::from_secs(3)).boxed_local()),
    case("paused for 3 s", true, |trial| paused(trial).boxed_local()),
    case("away while a worker is paused", false, |trial| away_and_paused(trial).boxed_local()),
    // As long as a client waits that is used to waiting.
    case("away", false, |trial| away_for_long(trial).boxed_local()),
];

/// How late "not now" may come, milliseconds, of full runs: a call waits for ten seconds, because most outages of a database are
/// shorter and then fail nobody, and a quarter of a second more if its statement may be under way.
const REFUSED: u64 = 10_500;

/// Long enough for a worker to notice that it stood still, and not for others to take it for dead: of a lease of 3 s.
const STANDSTILL: Duration = Duration::from_millis(1_500);
/// Longer than the worker waits for an answer of the ledger to what it had asked before, and to whether its shards are its own: it
/// has to ask again.
const UNANSWERED: Duration = Duration::from_secs(23);

async fn away(trial: &mut Trial<'_>, how: Stop, pause: Duration) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.postgres()?.stop(how).await?;
    sleep(pause).await;
    trial.cluster().servers.postgres()?.restart().await
}

async fn paused(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    trial.cluster().servers.postgres()?.pause()?;
    sleep(Duration::from_secs(3)).await;
    trial.cluster().servers.postgres()?.resume()
}

/// When the worker goes on, nobody can tell it whether its shards are still its own: it must not send, and must ask again.
async fn away_and_paused(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    let worker = victim(trial);
    trial.strike(0).await?;
    trial.cluster().servers.postgres()?.stop(Stop::Immediate).await?;
    worker_paused::pause(trial, worker)?;
    sleep(STANDSTILL).await;
    worker_paused::resume(trial, worker)?;
    sleep(UNANSWERED).await;
    trial.cluster().servers.postgres()?.restart().await
}

async fn away_for_long(trial: &mut Trial<'_>) -> Result<()> {
    let pause = trial.scene.scale.away;
    away(trial, Stop::Fast, pause).await?;
    refusals(trial, REFUSED);
    Ok(())
}
