//! Fault 8: Redis forgets everything, is restarted, or is away.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_loses_a_connection_without_leases() {
    holds(8, &["flushed", "restarted", "away"]).await;
}
