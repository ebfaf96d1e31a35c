//! Fault 9: Postgres is restarted, or away.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_ledger_loses_nothing() {
    holds(9, &["restarted, fast", "restarted, immediate"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_is_away_is_waited_for() {
    holds(9, &["away for 3 s", "paused for 3 s", "away while a worker is paused", "away"]).await;
}
