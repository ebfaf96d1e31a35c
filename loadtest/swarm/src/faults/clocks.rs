//! Fault 11: clocks that jump by an hour and by a day, on a worker and on the coordinators; a slow disk. Nobody is taken for
//! dead.

use super::{Admission, Bounds, Case, Needs, Trial};
use anyhow::{Context, Result};
use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use std::path::{Path, PathBuf};
use tokio::time::sleep;
use warren_testkit::cluster::{Durability, Node};

type Inject = for<'t, 's> fn(&'t mut Trial<'s>) -> LocalBoxFuture<'t, Result<()>>;

const fn case(name: &'static str, inject: Inject) -> Case {
    let bounds = Bounds::UNNOTICED;
    let needs = Needs { durability: Durability::Synced, ..Needs::USUAL };
    Case { fault: 11, name, repetitions: 5, needs, bounds, admission: Admission::Benchmark, inject }
}

const HOUR: i64 = 3_600;

pub(super) const CASES: &[Case] = &[
    case("clocks an hour ahead", |trial| jump(trial, HOUR).boxed_local()),
    case("clocks a day ahead", |trial| jump(trial, 24 * HOUR).boxed_local()),
    case("clocks an hour back", |trial| jump(trial, -HOUR).boxed_local()),
    case("slow disk", |trial| slow_disk(trial).boxed_local()),
];

/// Where Debian's package puts the library that lies to a process about the time.
const FOLDERS: [&str; 3] = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"];

fn library() -> Result<PathBuf> {
    let found = FOLDERS.iter().map(|folder| Path::new(folder).join("faketime/libfaketime.so.1")).find(|path| path.exists());
    found.context("libfaketime is not installed (Debian: faketime)")
}

/// The clocks of the first worker and of every coordinator jump, and after a while back. The monotonic clock goes on as it is.
async fn jump(trial: &mut Trial<'_>, seconds: i64) -> Result<()> {
    let clock = trial.scene.cluster.folder().join("clock");
    deceive(trial, &clock).await?;
    trial.may_die(0);
    trial.strike(0).await?;
    tell(&clock, seconds)?;
    sleep(trial.scene.scale.away).await;
    tell(&clock, 0)
}

/// Starts those processes again with a clock that a file tells by how much it is wrong.
async fn deceive(trial: &mut Trial<'_>, clock: &Path) -> Result<()> {
    if clock.exists() {
        return Ok(());
    }
    let library = library()?.to_string_lossy().into_owned();
    tell(clock, 0)?;
    let file = clock.to_string_lossy().into_owned();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("FAKETIME_CACHE_DURATION", "1"),
    ];
    let cluster = &mut trial.scene.cluster;
    let nodes: Vec<&mut Node> = cluster.coordinators.iter_mut().chain(cluster.workers.first_mut()).collect();
    for node in nodes {
        node.stop().await?;
        node.start_again(&environment).await?;
    }
    trial.look_again();
    trial.scene.balanced().await?;
    trial.scene.connected().await.map(drop)
}

fn tell(clock: &Path, seconds: i64) -> Result<()> {
    std::fs::write(clock, format!("{seconds:+}")).context("telling the clock")
}

/// Every sync of the ledger takes a tenth of a second more.
async fn slow_disk(trial: &mut Trial<'_>) -> Result<()> {
    trial.may_die(0);
    trial.strike(0).await?;
    let set = |microseconds: u32| format!("ALTER SYSTEM SET commit_delay = {microseconds}");
    let slow = [set(100_000), "ALTER SYSTEM SET commit_siblings = 0".to_owned(), "SELECT pg_reload_conf()".to_owned()];
    let quick = [set(0), "SELECT pg_reload_conf()".to_owned()];
    let ledger = &trial.scene.cluster.servers.ledger;
    ledger.execute(&slow.each_ref().map(String::as_str)).await?;
    sleep(trial.scene.scale.away).await;
    ledger.execute(&quick.each_ref().map(String::as_str)).await.map(drop)
}
