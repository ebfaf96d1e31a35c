//! Coordinators that die and come back.

use crate::support::{Group, holds_for, median_and_worst, until};
use std::time::Duration;
use tokio::time::Instant;
use warren_ports::placement::{Placement as _, Report};
use warren_raft::Attachment;

/// The leader is killed this often.
const KILLS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leader_decides_soon() {
    let mut group = Group::start(3).await;
    let (a, _b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    // One that is not served by anything, to ask for decisions.
    let asks = group.connect("asks");
    let mut assignments = asks.assignments();
    until("it has shards", async || !assignments.borrow().is_empty()).await;
    let (mut led, mut decided) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        let leader = group.leader().await;
        until("all follow", async || group.status().await.coordinators.iter().all(|one| one.behind == Some(0))).await;
        let before = assignments.borrow_and_update().clone();
        let killed = Instant::now();
        group.kill(leader).await;
        asks.report(Report::LedgerBehind(before.iter().map(|(shard, epoch)| (*shard, *epoch)).collect())).await;
        let new = group.leader().await;
        led.push(killed.elapsed());
        assert_ne!(new, leader);
        until("it decided", async || {
            let now = assignments.borrow();
            before.iter().all(|(shard, epoch)| now.get(shard) > Some(epoch))
        })
        .await;
        decided.push(killed.elapsed());
        group.start_node(leader).await;
    }
    let (led, decided) = (median_and_worst(led), median_and_worst(decided));
    println!("{KILLS} kills of the leader: another leads after median {:?}, worst {:?}", led.0, led.1);
    println!("a report was decided after median {:?}, worst {:?}", decided.0, decided.1);
    // Nobody was taken for dead over it: `asks` has no lease, and is heard.
    assert_eq!(group.total("deaths_total"), 0.0);
    assert_eq!(a.assigned().len(), group.ledger.loads()["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_follower_is_not_missed() {
    let mut group = Group::start(3).await;
    let (a, _b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let (before, leader) = (a.assigned(), group.leader().await);
    let follower = group.follower().await;
    group.kill(follower).await;
    let _c = group.worker("c");
    group.balanced(&["a", "b", "c"]).await;
    assert_eq!(group.leader().await, leader);
    assert!(a.assigned().iter().all(|(shard, epoch)| before.get(shard) == Some(epoch)));
    until("it is missed in the status", async || {
        group.status().await.coordinators.iter().any(|one| one.node == follower && one.answers == Some(false))
    })
    .await;
    group.start_node(follower).await;
    until("it caught up", async || group.status().await.coordinators.iter().all(|one| one.behind == Some(0))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_changes_and_nothing_is_lost() {
    let mut group = Group::start(3).await;
    let (a, b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let before = (a.assigned(), b.assigned());
    let leader = group.leader().await;
    let others: Vec<_> = (1..=3).filter(|node| *node != leader).collect();
    for node in &others {
        group.kill(*node).await;
    }
    until("the leader does not lead any more", async || group.leads().is_none()).await;
    until("the workers know", async || a.attachment() == Attachment::Seeking).await;
    assert_eq!(group.status().await.leader, None);
    // One more second than anything would take to be noticed.
    holds_for(Duration::from_secs(4), "something changed", || (a.assigned(), b.assigned()) == before).await;
    for node in others {
        group.start_node(node).await;
    }
    until("they are attached again", async || matches!(a.attachment(), Attachment::Attached(_))).await;
    holds_for(Duration::from_secs(4), "something changed", || (a.assigned(), b.assigned()) == before).await;
    assert_eq!(group.total("deaths_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_reported_to_nobody_is_heard_by_the_next_leader() {
    let mut group = Group::start(3).await;
    let (_b, asks) = (group.worker("b"), group.connect("asks"));
    let assignments = asks.assignments();
    until("it has its share", async || assignments.borrow().len() == 32).await;
    let shown = assignments.borrow().clone();
    for node in 1..=3 {
        group.kill(node).await;
    }
    asks.report(Report::Released(shown.iter().map(|(shard, epoch)| (*shard, *epoch)).collect())).await;
    until("it has nothing", async || assignments.borrow().is_empty()).await;
    for node in 1..=3 {
        group.start_node(node).await;
    }
    until("all is assigned anew", async || {
        let now = assignments.borrow().clone();
        assert!(
            now.iter().all(|(shard, epoch)| shown.get(shard).is_none_or(|before| before < epoch)),
            "it came back as it was"
        );
        let status = group.status().await;
        status.leader.is_some() && status.unassigned == 0 && !now.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_was_down_knows_what_it_knew() {
    let mut group = Group::start(3).await;
    let (a, b) = (group.worker("a"), group.worker("b"));
    group.serves(&[("a", 32), ("b", 32)]).await;
    let (before, takes) = ((a.assigned(), b.assigned()), group.ledger.takes());
    let version = group.status().await.applied;
    for node in 1..=3 {
        group.kill(node).await;
    }
    for node in 1..=3 {
        group.start_node(node).await;
    }
    group.leader().await;
    until("they are attached again", async || {
        [&a, &b].iter().all(|worker| matches!(worker.attachment(), Attachment::Attached(_)))
    })
    .await;
    assert!(group.status().await.applied >= version);
    holds_for(Duration::from_secs(4), "something changed", || (a.assigned(), b.assigned()) == before).await;
    assert_eq!(group.ledger.takes(), takes);
    assert!((1..=3).all(|node| group.is_ready(node)));
}
