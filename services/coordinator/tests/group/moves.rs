//! Shards that change hands while they are served.

use crate::support::{Behaviour, Group, holds_for, until};
use std::time::Duration;
use tokio::time::Instant;
use warren_coordinator::Options;

/// Every shard was handed over by who had it: nobody waited for a release that never came, or for a lease to run out. The gaps
/// in which nobody served a shard are shown, of which 40 ms are the workers' own: a machine that tests share says nothing about
/// them.
fn handed_over(group: &Group, since: usize) {
    let mut gaps: Vec<_> = group.ledger.takes_since(since).into_iter().filter_map(|take| take.gap).collect();
    gaps.sort();
    let p99 = gaps[(gaps.len() * 99).div_ceil(100) - 1];
    println!("{} shards moved; gap median {:?}, p99 {p99:?}", gaps.len(), gaps[gaps.len() / 2]);
    assert_eq!((group.deaths("lease"), group.total("moves_forced_total")), (0.0, 0.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_gets_its_share_in_batches_and_nobody_elses_moves() {
    let group = Group::start(3).await;
    let (a, b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let (of_a, of_b) = (a.assigned(), b.assigned());
    let takes = group.ledger.takes();
    let _c = group.worker("c");
    until("c has its share", async || {
        assert!(group.total("moves_under_way") <= 8.0, "more than a batch");
        group.ledger.loads().get("c") == Some(&21)
    })
    .await;
    group.balanced(&["a", "b", "c"]).await;
    assert_eq!(group.ledger.takes() - takes, 21, "as few as balance allows");
    assert!(a.assigned().iter().all(|(shard, epoch)| of_a.get(shard) == Some(epoch)));
    assert!(b.assigned().iter().all(|(shard, epoch)| of_b.get(shard) == Some(epoch)));
    handed_over(&group, takes);
    holds_for(Duration::from_millis(500), "something moves for nothing", || group.ledger.takes() - takes == 21).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stops_hands_over_without_a_gap() {
    let group = Group::start_with(3, 256, Options::default()).await;
    let (a, _b, _c) = (group.worker("a"), group.worker("b"), group.worker("c"));
    group.balanced(&["a", "b", "c"]).await;
    let (takes, of_a) = (group.ledger.takes(), a.assigned().len());
    let started = Instant::now();
    a.stop().await;
    println!("a worker with {of_a} shards stopped in {:?}", started.elapsed());
    group.serves(&[("b", 128), ("c", 128)]).await;
    assert_eq!(group.ledger.takes() - takes, of_a, "each moved once");
    handed_over(&group, takes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_do_not_say_what_they_took_are_moved_too() {
    let group = Group::start(1).await;
    let silent = Behaviour { says_taken: false, ..Behaviour::default() };
    let (a, _b) = (group.worker_with("a", silent), group.worker_with("b", silent));
    group.serves(&[("a", 32), ("b", 32)]).await;
    a.stop().await;
    group.serves(&[("b", 64)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_moves_everything_and_loses_nothing() {
    let group = Group::start(3).await;
    let mut workers: Vec<_> = ["a", "b", "c"].iter().map(|name| group.worker(name)).collect();
    group.balanced(&["a", "b", "c"]).await;
    let takes = group.ledger.takes();
    for name in ["a", "b", "c"] {
        let place = workers.iter().position(|worker| worker.name == name).unwrap();
        workers.remove(place).stop().await;
        workers.push(group.worker(name));
        group.balanced(&["a", "b", "c"]).await;
    }
    handed_over(&group, takes);
    assert_eq!((group.deaths("left"), group.total("deaths_total")), (3.0, 3.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_stop_nobody_waits_for_somebody() {
    let group = Group::start(1).await;
    let (a, b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let started = Instant::now();
    tokio::join!(a.stop(), b.stop());
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(group.ledger.loads().is_empty());
    assert_eq!(group.status().await.unassigned, 64);
    let _c = group.worker("c");
    group.serves(&[("c", 64)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_taken_goes_elsewhere() {
    let group = Group::start(1).await;
    let broken = Behaviour { takes: false, ..Behaviour::default() };
    let (a, _b) = (group.worker_with("a", broken), group.worker("b"));
    group.serves(&[("b", 64)]).await;
    until("it is given nothing", async || a.assigned().is_empty()).await;
    let tried = group.total("retakes_total");
    println!("{tried} retakes until all was served");
    holds_for(Duration::from_secs(2), "it is tried again and again", || group.ledger.loads().get("b") == Some(&64)).await;
    assert_eq!(group.total("retakes_total"), tried);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_take_is_tried_with_growing_pauses() {
    let group = Group::start(1).await;
    let broken = Behaviour { takes: false, ..Behaviour::default() };
    let _a = group.worker_with("a", broken);
    until("it was tried three times", async || group.total("retakes_total") >= 3.0 * 64.0).await;
    // Each shard again and again, but all of them in one entry.
    assert!(group.total("applied_index") < 40.0, "{}", group.total("applied_index"));
}
