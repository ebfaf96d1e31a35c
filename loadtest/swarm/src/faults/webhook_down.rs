//! Fault 14: a webhook's receiver is down, hangs, answers 500, redirects. Nothing is lost, another webhook does not notice.

use super::{Admission, Bounds, Case, Needs, Trial};
use crate::witness::Mood;
use anyhow::{Result, ensure};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::time::Instant;
use tokio::time::sleep;

type Inject = for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>;

const fn case(name: &'static str, inject: Inject) -> Case {
    let needs = Needs {
        // An hour of the usual table in a minute: pauses are a sixtieth of what they are.
        environment: &[
            ("WARREN_DISPATCHER__RETRY_S", "[1, 5, 30, 120, 300, 600, 600]"),
            ("WARREN_DISPATCHER__PROBE_MS", "1000"),
            ("WARREN_DISPATCHER__TIMEOUT_MS", "2000"),
        ],
        ..Needs::USUAL
    };
    let bounds = Bounds::UNNOTICED;
    Case { fault: 14, name, repetitions: 2, needs, bounds, admission: Admission::Benchmark, inject }
}

pub(super) const CASES: &[Case] = &[
    case("down", |trial| unwell(trial, Mood::Down).boxed_local()),
    case("hanging", |trial| unwell(trial, Mood::Hanging).boxed_local()),
    case("answering 500", |trial| unwell(trial, Mood::Answering(500)).boxed_local()),
    case("redirecting", |trial| unwell(trial, Mood::Redirecting).boxed_local()),
    case("down, and its dispatcher dies", |trial| dispatcher_dies(trial).boxed_local()),
];

/// How far another webhook may be behind meanwhile, seconds, of full runs.
const BYSTANDER: f64 = 2.0;

async fn unwell(trial: &mut Trial<'_>, mood: Mood) -> Result<()> {
    let bystander = trial.scene.bystander().await?;
    trial.strike(0).await?;
    trial.scene.receiver.mood(mood);
    // An hour, sixty times as fast.
    sleep(trial.scene.scale.away * 2).await;
    let silent = bystander.last().map_or(f64::INFINITY, |last| last.elapsed().as_secs_f64());
    trial.measure("bystander_silent_s", silent);
    if trial.scene.is_full() && silent > BYSTANDER {
        trial.wrong(format!("another webhook got nothing for {silent:.1} s"));
    }
    trial.scene.receiver.mood(Mood::Well);
    let back = Instant::now();
    trial.scene.drained().await?;
    trial.measure("drained_after_s", back.elapsed().as_secs_f64());
    Ok(())
}

/// What it had not delivered is the next one's.
async fn dispatcher_dies(trial: &mut Trial<'_>) -> Result<()> {
    trial.strike(0).await?;
    trial.scene.receiver.mood(Mood::Down);
    sleep(trial.scene.scale.away / 2).await;
    ensure!(!trial.cluster().dispatchers.is_empty(), "no dispatcher");
    for dispatcher in &mut trial.cluster().dispatchers {
        dispatcher.kill().await?;
        dispatcher.start_again(&[]).await?;
    }
    trial.look_again();
    sleep(trial.scene.scale.away / 2).await;
    trial.scene.receiver.mood(Mood::Well);
    let back = Instant::now();
    trial.scene.drained().await?;
    trial.measure("drained_after_s", back.elapsed().as_secs_f64());
    Ok(())
}
