//! Fault 16: what WhatsApp says when it ends a connection.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_has_its_policy_and_the_fleet_does_not_notice() {
    holds(16, &["every kind at once"]).await;
}
