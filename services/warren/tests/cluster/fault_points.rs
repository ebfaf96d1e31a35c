//! Fault 2: a process dies or stands still between two durable states, and others go on. Every point with one worker is in
//! `e2e`, every point with three in `cargo xtask faults`.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_while_it_sends() {
    holds(2, &["outbound.claimed:20", "outbound.on_wire:20"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_while_it_receives() {
    holds(2, &["inbound.pending_stored:10", "inbound.committed:10"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_while_it_takes_over() {
    holds(2, &["outbound.reclaimed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stands_still_before_a_login_and_others_have_it_when_it_goes_on() {
    holds(2, &["login.before:10:stop"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatcher_dies_between_delivering_and_recording() {
    holds(2, &["webhook.delivered:20", "webhook.recorded:5"]).await;
}

/// A point that somebody adds and nobody runs would be a fault that was never tried.
#[test]
fn every_fault_point_of_workers_and_dispatchers_has_a_run() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let services = std::path::Path::new(&here).parent().unwrap();
    let mut found = std::collections::BTreeSet::new();
    let mut folders = vec![services.join("worker/src"), services.join("dispatcher/src")];
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
    assert!(found.len() >= 12, "the source is not where it was: {found:?}");
    let cases = warren_swarm::faults::catalogue();
    let has_run = |point: &String| cases.iter().any(|case| case.fault == 2 && case.name.split(':').next() == Some(point));
    // Files are no part of the load here; `e2e` kills at this one.
    let untested: Vec<_> = found.iter().filter(|point| !has_run(point) && *point != "media.uploaded").collect();
    assert!(untested.is_empty(), "{untested:?}");
}
