//! Who is dead, and who is not.

use crate::support::{Group, until};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_worker_is_replaced_within_a_second() {
    let group = Group::start(3).await;
    let [a, _b, _c] = ["a", "b", "c"].map(|name| group.worker(name));
    group.serves(&[("a", 22), ("b", 21), ("c", 21)]).await;
    let takes = group.ledger.takes();
    let killed = Instant::now();
    a.kill();
    group.serves(&[("b", 32), ("c", 32)]).await;
    let taken = group.ledger.takes_since(takes);
    let first = taken.iter().map(|take| take.epoch).min();
    assert!(taken.iter().all(|take| Some(take.epoch) == first), "it was one entry");
    let last = taken.iter().map(|take| take.at - killed).max().unwrap();
    println!("all {} shards were served elsewhere {last:?} after the kill", taken.len());
    assert!(last < Duration::from_secs(1), "{last:?}");
    assert_eq!(group.total("deaths_total"), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_is_replaced_when_its_lease_has_run_out() {
    let group = Group::start(3).await;
    let (a, _b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let stopped = Instant::now();
    a.pause();
    until("b has everything", async || group.ledger.loads().get("b") == Some(&64)).await;
    let took = stopped.elapsed();
    println!("a stopped worker was replaced after {took:?}");
    assert!(took > Duration::from_millis(2_400), "its lease had not run out: {took:?}");
    // It wakes, and finds that it has nothing any more.
    a.resume();
    until("a is back", async || group.ledger.loads().get("a") == Some(&32)).await;
}
