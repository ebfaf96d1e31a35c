//! Fault 14: a webhook's receiver is unwell.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_down_or_refuses_loses_nothing() {
    holds(14, &["down", "hanging", "answering 500", "redirecting"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_dispatcher_had_not_delivered_is_the_next_ones() {
    holds(14, &["down, and its dispatcher dies"]).await;
}
