//! Fault 10: the network between one worker and one of its servers is cut.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_redis() {
    holds(10, &["Redis, reset", "Redis, black hole", "Redis, not heard"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_nats() {
    holds(10, &["NATS, reset", "NATS, black hole", "NATS, not heard"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_postgres() {
    holds(10, &["Postgres, reset", "Postgres, black hole", "Postgres, not heard"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_whatsapp() {
    holds(10, &["WhatsApp, reset", "WhatsApp, black hole", "WhatsApp, silent"]).await;
}
