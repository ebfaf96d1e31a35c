//! Stores: what comes back, what was lost, and what belongs to somebody else.

use crate::support::{CLUSTER, Group, SECRET, holds_for, until};
use std::time::Duration;
use warren_coordinator::{Error, Options, Seat};
use warren_domain::{ShardCount, shard::SHARD_HASH};
use warren_ports::lease::Incarnation;
use warren_raft::{
    Caller, Credential, Request,
    wire::{ATTACH, Attach},
};

/// Makes so many entries.
async fn entries(group: &Group, count: u32) {
    let caller = Caller::new(Credential::new(CLUSTER, SECRET));
    for weight in 1..=count {
        let attach = Attach {
            worker: "many".to_owned(),
            incarnation: Incarnation(77),
            weight: weight + 1,
            shard_count: group.shard_count(),
            hash: SHARD_HASH.to_owned(),
            draining: true,
        };
        // On a machine that tests share, another leader may be elected in between.
        until("it is attached", async || {
            let leader = group.leader().await;
            let address = group.address(leader);
            let request = Request { address: &address, path: ATTACH, sender: 0, target: leader };
            caller.open(request, &attach, Duration::from_secs(10)).await.is_ok()
        })
        .await;
    }
}

async fn all_follow(group: &Group) {
    until("all follow", async || group.status().await.coordinators.iter().all(|one| one.behind == Some(0))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_long_gets_a_snapshot() {
    let mut group = Group::start(3).await;
    let a = group.worker("a");
    group.serves(&[("a", 64)]).await;
    let follower = group.follower().await;
    group.kill(follower).await;
    entries(&group, 450).await;
    group.start_node(follower).await;
    all_follow(&group).await;
    let applied = group.status().await.applied;
    assert!(applied > 450);
    until("it applied everything", async || group.metric(follower, "applied_index") >= 450.0).await;
    // It is as good as the others: with it, and without another, there is a majority that knows everything.
    let other = (1..=3).find(|node| *node != follower && Some(*node) != group.leads()).unwrap();
    let leader = group.leader().await;
    group.kill(leader).await;
    group.leader().await;
    assert!(group.status().await.applied >= applied);
    group.start_node(leader).await;
    all_follow(&group).await;
    group.kill(other).await;
    assert_eq!(a.assigned().len(), 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_its_disk_is_told_everything() {
    let mut group = Group::start(3).await;
    let a = group.worker("a");
    group.serves(&[("a", 64)]).await;
    let before = a.assigned();
    // The first one, too: it does not make a group beside the one that is there.
    for node in 1..=3 {
        group.kill(node).await;
        group.wipe(node);
        group.leader().await;
        group.start_node(node).await;
        // It counts again.
        until("it knows everything", async || group.is_ready(node)).await;
    }
    holds_for(Duration::from_secs(1), "something changed", || a.assigned() == before).await;
    let status = group.status().await;
    assert_eq!(status.shard_count, Some(64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_nothing_does_not_vote_for_who_knows_less_than_was_agreed() {
    let mut group = Group::start(3).await;
    let follower = group.follower().await;
    group.kill(follower).await;
    entries(&group, 5).await;
    let applied = group.status().await.applied;
    let (leader, other) =
        (group.leader().await, (1..=3).find(|node| *node != follower && group.leads() != Some(*node)).unwrap());
    group.kill(leader).await;
    group.kill(other).await;
    // What was agreed on is with `other` alone now, and it is down.
    group.wipe(leader);
    group.start_node(leader).await;
    group.start_node(follower).await;
    until("it was asked for its vote", async || group.metric(leader, "refused_calls_total") > 0.0).await;
    holds_for(Duration::from_secs(3), "they agreed on less than there was", || group.leads().is_none()).await;
    group.start_node(other).await;
    group.leader().await;
    all_follow(&group).await;
    assert!(group.status().await.applied >= applied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_is_used_for_what_it_was_made_for() {
    let mut group = Group::start(1).await;
    group.kill(1).await;
    let seat = group.seat(1);
    let refused = group.refusal(Seat { shard_count: ShardCount::default(), ..seat.clone() }).await;
    assert!(matches!(refused, Error::OtherShards { made_with: 64, set: 1024, .. }), "{refused}");
    let refused = group.refusal(Seat { credential: Credential::new("other", SECRET), ..seat.clone() }).await;
    assert_eq!(refused.to_string(), "the data folder belongs to coordinator 1 of cluster `test`");
    let coordinators = vec![group.address(1), "127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
    let refused = group.refusal(Seat { coordinators, ..seat.clone() }).await;
    assert!(matches!(refused, Error::OtherGroup { made_of: 1, set: 3 }), "{refused}");
    let refused = group.refusal(Seat { node: 2, ..seat }).await;
    assert!(matches!(refused, Error::Options(_)), "{refused}");
    group.start_node(1).await;
    group.leader().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_one_and_of_five_work_alike() {
    for size in [1, 5] {
        let mut group = Group::start_with(size, 16, Options::default()).await;
        let _a = group.worker("a");
        group.serves(&[("a", 16)]).await;
        for node in 1..=(size as u64 / 2) {
            group.kill(node).await;
        }
        group.leader().await;
        let _b = group.worker("b");
        group.serves(&[("a", 8), ("b", 8)]).await;
    }
}
