//! Fault 4: coordinators die.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_or_a_follower_dies() {
    holds(4, &["leader killed", "follower killed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_path_does_not_notice_that_nobody_decides() {
    holds(4, &["majority killed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_just_begun_sees_a_worker_die() {
    holds(4, &["leader killed, then a worker"]).await;
}
