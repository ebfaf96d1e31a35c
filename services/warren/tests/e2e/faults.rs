//! SIGKILL at each fault point of the send and receive path, under a small load; then the invariants by ground truth. The
//! people of the simulator do not drop repeated ids.

use crate::traffic::Traffic;
use crate::{history, stage};
use std::time::Duration;
use warren_swarm::Report;
use warren_testkit::Stage;

/// Texts in each direction.
const TEXTS: usize = 20;
const PEOPLE: usize = 4;
/// How long it may take until the point is reached.
const REACHED: Duration = Duration::from_secs(60);

/// Dies at the point, starts again without it, settles, probes.
async fn survives(point: &str) {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, PEOPLE).await;
    stage.restart_with(|options| options.fault(point)).await.unwrap();
    load(&mut stage, &mut traffic).await;
    let ended = stage.warren.died(REACHED).await.unwrap_or_else(|error| panic!("{point} is not reached: {error:#}"));
    assert_eq!(ended.code, None, "it ended by itself and not by the fault: {}", ended.stderr);

    stage.restart().await.unwrap();
    assert!(traffic.send(&stage).await, "the rest was not accepted after the restart");
    traffic.settle(&stage).await;
    traffic.probe(&stage).await;
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    println!("{point}: {report}");
    assert!(report.violations.is_empty(), "{point}: {report}");
}

/// Everybody writes, the instance writes to everybody: at once, until all is accepted or the process is gone.
pub(crate) async fn load(stage: &mut Stage, traffic: &mut Traffic) {
    traffic.write_all(stage, u32::try_from(TEXTS / PEOPLE).unwrap()).await;
    traffic.plan_all(TEXTS);
    traffic.send(stage).await;
}

macro_rules! fault_points {
    ($($name:ident: $point:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                survives($point).await;
            }
        )*

        /// The points above, for the check that none is forgotten.
        const POINTS: &[&str] = &[$($point),*];
    };
}

fault_points! {
    killed_at_login_before: "login.before",
    killed_at_outbound_before_claim: "outbound.before_claim:4",
    killed_at_outbound_claimed: "outbound.claimed:4",
    killed_at_outbound_on_wire: "outbound.on_wire:30",
    killed_at_outbound_acked: "outbound.acked:4",
    killed_at_inbound_pending_stored: "inbound.pending_stored:4",
    killed_at_inbound_before_commit: "inbound.before_commit:3",
    killed_at_inbound_committed: "inbound.committed:4",
    killed_at_inbound_prekey_deleted: "inbound.prekey_deleted",
}

/// `outbound.reclaimed` is reached only by somebody who takes up what another one handed: two deaths in a row.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_outbound_reclaimed() {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, PEOPLE).await;
    for point in ["outbound.acked:2", "outbound.reclaimed"] {
        stage.restart_with(|options| options.fault(point)).await.unwrap();
        load(&mut stage, &mut traffic).await;
        stage.warren.died(REACHED).await.unwrap_or_else(|error| panic!("{point} is not reached: {error:#}"));
    }
    stage.restart().await.unwrap();
    assert!(traffic.send(&stage).await);
    traffic.settle(&stage).await;
    traffic.probe(&stage).await;
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    println!("outbound.reclaimed: {report}");
    assert!(report.violations.is_empty(), "{report}");
}

/// A point that somebody adds and nobody tests would be a fault that was never tried.
#[test]
fn every_fault_point_of_the_source_is_tested() {
    let services = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = std::collections::BTreeSet::new();
    let mut folders = vec![services.join("worker/src"), services.join("gateway/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                let names = text.split("fault::point(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    assert!(found.len() >= POINTS.len(), "the source is not where it was: {found:?}");
    let tested = |name: &str| POINTS.iter().any(|point| point.split(':').next() == Some(name)) || name == "outbound.reclaimed";
    let untested: Vec<_> = found.iter().filter(|name| !tested(name)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
