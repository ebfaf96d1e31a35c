//! Fault 11: clocks that jump, a slow disk.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_for_dead_because_of_a_clock() {
    holds(11, &["clocks an hour ahead", "clocks a day ahead", "clocks an hour back"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_for_dead_because_of_a_disk() {
    holds(11, &["slow disk"]).await;
}
