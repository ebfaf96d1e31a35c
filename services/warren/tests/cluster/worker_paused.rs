//! Fault 5: a worker is paused for longer than its lease, then goes on.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn what_it_still_wants_to_write_is_refused() {
    holds(5, &["paused"]).await;
}
