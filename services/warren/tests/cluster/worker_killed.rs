//! Fault 1: SIGKILL of a worker under load.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn another_worker_has_its_instances_and_nobody_notices() {
    holds(1, &["killed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_started_owner_dies_too() {
    holds(1, &["killed again within 15 s of its start"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_default_admission_it_takes_longer_and_loses_nothing() {
    holds(1, &["killed, default admission"]).await;
}
