//! Fault 6: a worker stops inside the transaction that its epoch fences.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_owner_waits_or_the_old_commit_fails() {
    holds(6, &["paused inside", "killed inside"]).await;
}
