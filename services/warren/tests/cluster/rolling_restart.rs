//! Fault 18: everything is restarted, one process after the other; a worker joins and leaves.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_call() {
    holds(18, &["everything"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_joins_or_drains_moves_shards_without_an_error() {
    holds(18, &["a worker joins"]).await;
}
