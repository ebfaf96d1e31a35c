//! Fault 7: NATS is restarted, or away.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn accounts_stay_connected_without_a_bus() {
    holds(7, &["restarted", "away"]).await;
}
