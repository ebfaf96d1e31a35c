//! How the cluster is, for whoever asks.

use crate::support::{Behaviour, CLUSTER, Group, SECRET, until};
use std::time::Duration;
use warren_domain::ErrorKind;
use warren_raft::{check, status::Link};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_who_has_what_and_how_a_recovery_goes() {
    let group = Group::start(3).await;
    let slow = Behaviour { load: Duration::from_millis(700), ..Behaviour::default() };
    let (a, b) = (group.worker("a"), group.worker_with("b", slow));
    group.serves(&[("a", 32), ("b", 32)]).await;
    until("all is served", async || group.status().await.recovery.is_none()).await;
    let status = group.status().await;
    assert_eq!((status.cluster.as_str(), status.shard_count, status.leader), (CLUSTER, Some(64), Some(status.node)));
    assert_eq!(status.coordinators.len(), 3);
    assert!(status.coordinators.iter().all(|one| one.answers == Some(true)), "{status:?}");
    let shown: Vec<_> =
        status.workers.iter().map(|one| (one.worker.as_str(), one.incarnation, one.shards, one.target, one.link)).collect();
    assert_eq!(shown, [("a", a.incarnation.0, 32, 32, Link::Attached), ("b", b.incarnation.0, 32, 32, Link::Attached)]);
    assert!(status.workers.iter().all(|one| one.proven_ms.is_some_and(|proven| proven < 2_000)), "{status:?}");

    a.kill();
    until("it tells of a recovery", async || {
        let recovery = group.status().await.recovery;
        recovery.is_some_and(|recovery| recovery.shards == 32 && recovery.left == 32)
    })
    .await;
    until("and of its end", async || {
        let status = group.status().await;
        status.recovery.is_none() && status.workers.len() == 1
    })
    .await;
    group.serves(&[("b", 64)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_gets_one_line() {
    let mut group = Group::start(3).await;
    let leader = group.leader().await;
    let well = check(&group.known()).await.unwrap();
    assert_eq!(well, format!("3 of 3 coordinators answer, and number {leader} leads"));

    let wrong = warren_raft::Group::new(CLUSTER, "another secret of thirty-two chars", group.addresses()).unwrap();
    let refused = check(&wrong).await.unwrap_err();
    assert!(refused.starts_with("0 of 3 coordinators answer") && refused.contains("cluster.secret"), "{refused}");
    let follower = group.follower().await;
    group.kill(follower).await;
    let one_away = check(&group.known()).await.unwrap_err();
    assert!(one_away.starts_with("2 of 3 coordinators answer") && one_away.contains("refused"), "{one_away}");
    let rest: Vec<_> = (1..=3).filter(|node| group.is_running(*node)).collect();
    group.kill(rest[0]).await;
    until("nobody leads", async || warren_raft::status(&group.known()).await.is_ok_and(|status| status.leader.is_none()))
        .await;
    group.kill(rest[1]).await;
    let all_away = check(&group.known()).await.unwrap_err();
    assert!(all_away.starts_with("0 of 3 coordinators answer") && !all_away.contains('\n'), "{all_away}");
    let away = warren_raft::status(&group.known()).await.unwrap_err();
    assert_eq!(away.kind, ErrorKind::Unavailable);
    assert!(!away.to_string().contains(SECRET));
}
