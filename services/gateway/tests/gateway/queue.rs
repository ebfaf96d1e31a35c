//! Batches and cancelling, as far as the gateway alone decides.

use crate::{
    messages::{online, text},
    support::Gateway,
};
use serde_json::{Value, json};
use warren_domain::{MessageStatus, Timestamp};
use warren_gateway::Options;
use warren_ports::ledger::{Messages as _, Op};

fn batch(body: &str, count: usize) -> Value {
    json!({"messages": vec![text(body); count]})
}

#[tokio::test]
async fn a_batch_is_the_tenants_own() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let (other, path) = (gateway.tenant().await, format!("{path}:batch"));
    gateway.post(&path, &other.key, batch("x", 2)).await.is_problem(404, "not_found");
    assert!(gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap().is_empty());
    let answer = gateway.post(&path, &tenant.key, batch("x", 2)).await.is(202);
    assert_eq!(answer["data"][1]["status"], "accepted");
    assert_eq!(answer["data"][1]["message"]["status"], "queued");
    assert_eq!(gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap().len(), 2);
}

/// A batch may be larger than other requests, within its own limit.
#[tokio::test]
async fn a_batch_has_a_limit_of_its_own() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let path = format!("{path}:batch");
    let long = "x".repeat(30_000);
    gateway.post(&path, &tenant.key, batch(&long, 50)).await.is(202);
    gateway.post(&path, &tenant.key, batch(&long, 80)).await.is_problem(413, "body_too_large");
    assert_eq!(gateway.ledger.open_messages(&[worker.instance], 100).await.unwrap().len(), 50);
    let none = gateway.post(&path, &tenant.key, batch("", 2)).await.is(200);
    assert_eq!(none["data"][0]["problem"]["code"], "invalid_request");
}

/// Of parallel requests with one key, every message is made once.
#[tokio::test]
async fn parallel_batches_are_one() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let path = format!("{path}:batch");
    let post = || gateway.post_once(&path, &tenant.key, "k", batch("x", 20));
    let (one, two, three) = tokio::join!(post(), post(), post());
    let ids = |answer: Value| -> Vec<Value> {
        answer["data"].as_array().unwrap().iter().map(|result| result["message"]["id"].clone()).collect()
    };
    let first = ids(one.is(202));
    assert_eq!((ids(two.is(202)), ids(three.is(202))), (first.clone(), first));
    assert_eq!(gateway.ledger.open_messages(&[worker.instance], 100).await.unwrap().len(), 20);
}

#[tokio::test]
async fn what_the_owner_does_not_cancel_is_not_cancelled() {
    let gateway = Gateway::with(Options { owner_timeout_ms: 300, ..Options::default() }).await;
    let (tenant, worker, path) = online(&gateway).await;
    let sent = gateway.post(&path, &tenant.key, text("x")).await.is(202);
    let id: warren_domain::MessageId = sent["id"].as_str().unwrap().parse().unwrap();
    let path = format!("/v1/messages/{id}");
    let other = gateway.tenant().await;
    gateway.delete(&path, &other.key).await.is_problem(404, "not_found");
    gateway.delete(&path, &tenant.key).await.is_problem(503, "unavailable");
    // An owner that lost the race against the sending.
    worker.answer(&gateway);
    gateway.delete(&path, &tenant.key).await.is_problem(409, "already_sent");
    let [queued] = &gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap()[..] else { panic!("not queued") };
    assert_eq!(queued.message.status, MessageStatus::Queued);
    worker.commit(Op::Cancel { message: id, at: Timestamp::default() }).await;
    let cancelled = gateway.delete(&path, &tenant.key).await.is(200);
    assert_eq!((&cancelled["status"], &cancelled["reason"]), (&json!("failed"), &json!("cancelled")));
}
