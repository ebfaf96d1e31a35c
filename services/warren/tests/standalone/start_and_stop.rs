//! Ready, stopping, killed, and up again.

use crate::process::{Running, get, post, until, warren};

#[test]
fn a_soft_stop_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let running = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
        running.signal(signal);
        let started = std::time::Instant::now();
        assert_eq!(running.code(), Some(0));
        // An idle process has nothing to wait for.
        assert!(started.elapsed().as_secs() < 10, "{signal} took {:?}", started.elapsed());
    }
}

#[test]
fn a_killed_process_comes_back_with_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let (api, key) = (first.address("API  "), first.value("API key"));
    assert_eq!(post(&api, "/v1/instances", Some(&key), r#"{"name":"kept"}"#).0, 201);
    first.signal("KILL");
    assert_eq!(first.code(), None);
    let mut second = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let api = second.address("API  ");
    assert_eq!(get(&api, "/v1/instances", Some(&key)).1["data"][0]["name"], "kept");
    second.stop();
}

#[test]
fn health_and_metrics_are_on_their_own_port() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::ready(warren(folder.path(), &["standalone", "--simulator"]), folder.path());
    let (api, admin) = (running.address("API  "), running.address("Metrics"));
    let (_, readiness) = get(&admin, "/readyz", None);
    assert_eq!(readiness["checks"]["store"], true, "{readiness}");
    let (status, metrics) = get(&admin, "/metrics", None);
    let metrics = metrics.as_str().unwrap();
    assert_eq!(status, 200);
    for name in
        ["warren_build_info{", "warren_commit_seconds_count", "warren_commit_batch_items_count", "warren_shards_owned 1024"]
    {
        until(name, || get(&admin, "/metrics", None).1.as_str()?.contains(name).then_some(()));
    }
    assert!(metrics.contains("process_resident_memory_bytes"));
    assert_eq!(get(&api, "/healthz", None).0, 200);
    assert_eq!(get(&api, "/metrics", None).0, 404);
    running.stop();
}

#[test]
fn an_outside_simulator_is_found_by_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let apart = tempfile::tempdir().unwrap();
    let mut simulator = Running::start(warren(apart.path(), &["simulator"]), apart.path());
    let url = simulator.value("Simulator");
    let mut running = Running::ready(warren(folder.path(), &["standalone", "--simulator-url", &url]), folder.path());
    assert_eq!(running.value("Simulator"), url);
    running.stop();
    simulator.stop();
}
