//! Fault 10: the network between one worker and one of its servers is cut.

use crate::holds;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_redis_or_nats() {
    holds(10, &["Redis, black hole", "NATS, not heard"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_postgres_or_whatsapp() {
    holds(10, &["Postgres, black hole", "WhatsApp, reset"]).await;
}
