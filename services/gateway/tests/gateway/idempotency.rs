//! Rows 13 and 20 to 23 of the bad inputs, and that the same key and body is the same answer.

use crate::{
    messages::{online, text},
    support::{Gateway, until},
    worker::Worker,
};
use serde_json::json;
use std::{collections::BTreeSet, sync::atomic::Ordering};
use warren_gateway::Options;
use warren_ports::ledger::Messages as _;

#[tokio::test]
async fn a_repeated_send_is_the_same_message() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let first = gateway.post_once(&path, &tenant.key, "order-42", text("Hello")).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    worker.deliver(&gateway);
    until("it is sent", async || {
        gateway.ledger.open_messages(&[worker.instance], 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    let again = gateway.post_once(&path, &tenant.key, "order-42", text("Hello")).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!((again.status, &again.body), (first.status, &first.body), "as it was accepted, though it is sent by now");
    let waited = gateway.post_once(&format!("{path}?wait=sent"), &tenant.key, "order-42", text("Hello")).await;
    assert_eq!(waited.header("idempotent-replayed"), Some("true"));
    assert_eq!(waited.is(200)["status"], "sent");
}

#[tokio::test]
async fn row_13_keys_are_the_tenants_own() {
    let gateway = Gateway::start().await;
    let (one, _, path) = online(&gateway).await;
    let other = gateway.tenant().await;
    let instance = gateway.instance(&other).await;
    Worker::own(&gateway, &other.id, &instance).await.pair("628222").await;
    let first = gateway.post_once(&path, &one.key, "same", text("Hello")).await.is(202);
    let second = gateway.post_once(&format!("/v1/instances/{instance}/messages"), &other.key, "same", text("Hello")).await;
    assert_eq!(second.header("idempotent-replayed"), None);
    assert_ne!(second.is(202)["id"], first["id"]);
    let made = gateway.post_once("/v1/instances", &one.key, "made", json!({})).await.is(201);
    assert_ne!(gateway.post_once("/v1/instances", &other.key, "made", json!({})).await.is(201)["id"], made["id"]);
}

#[tokio::test]
async fn row_20_another_body_is_a_mismatch() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    gateway.post_once(&path, &tenant.key, "k", text("Hello")).await.is(202);
    gateway.post_once(&path, &tenant.key, "k", text("Goodbye")).await.is_problem(422, "idempotency_mismatch");
    gateway.post_once("/v1/instances", &tenant.key, "k", json!({})).await.is_problem(422, "idempotency_mismatch");
    gateway.post_once("/v1/instances", &tenant.key, "i", json!({"name": "a"})).await.is(201);
    gateway.post_once("/v1/instances", &tenant.key, "i", json!({"name": "b"})).await.is_problem(422, "idempotency_mismatch");
}

#[tokio::test]
async fn row_22_keys_are_short_and_visible() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    for key in [&"x".repeat(10_240), &"x".repeat(256), "a b", "a\tb", "", "ü"] {
        for path in [path.as_str(), "/v1/instances"] {
            let answer = gateway.call("POST", path, &tenant.key, &[("idempotency-key", key)], text("x").to_string()).await;
            answer.is_problem(400, "invalid_idempotency_key");
        }
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    gateway.call("POST", "/v1/instances", &tenant.key, &twice, "{}").await.is_problem(400, "invalid_idempotency_key");
    gateway.post_once(&path, &tenant.key, &"x".repeat(255), text("x")).await.is(202);
}

#[tokio::test]
async fn row_23_a_hundred_at_once_are_one() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    let second = gateway.beside(Options::default()).await;
    let sends = (0..100).map(|n| {
        let gateway = if n % 2 == 0 { &gateway } else { &second };
        gateway.post_once(&path, &tenant.key, "k", text("Hello"))
    });
    let answers = futures::future::join_all(sends).await;
    let bodies: BTreeSet<_> = answers.iter().map(|answer| (answer.status.as_u16(), answer.body.clone())).collect();
    assert_eq!(bodies.len(), 1, "100 equal answers");
    assert_eq!(answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count(), 1);
    assert_eq!(gateway.ledger.open_messages(&[worker.instance], 200).await.unwrap().len(), 1, "exactly one message");

    let creations = (0..100).map(|n| {
        let gateway = if n % 2 == 0 { &gateway } else { &second };
        gateway.post_once("/v1/instances", &tenant.key, "c", json!({"name": "one"}))
    });
    let answers = futures::future::join_all(creations).await;
    let bodies: BTreeSet<_> = answers.iter().map(|answer| (answer.status.as_u16(), answer.body.clone())).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(gateway.get("/v1/instances?name=one", &tenant.key).await.is(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn every_mutating_route_takes_a_key() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let asked = Worker::own(&gateway, &tenant.id, &instance).await.answer(&gateway);
    let own = format!("/v1/instances/{instance}");
    for (n, (method, path, body)) in [
        ("PATCH", own.clone(), r#"{"name":"x"}"#),
        ("POST", format!("{own}/pairing"), r#"{"method":"qr"}"#),
        ("DELETE", format!("{own}/pairing"), ""),
        ("POST", format!("{own}/connect"), ""),
        ("POST", format!("{own}/disconnect"), ""),
        ("POST", format!("{own}/logout"), ""),
        ("POST", "/v1/events/tickets".to_owned(), ""),
        ("DELETE", own.clone(), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{n}");
        let call = async || gateway.call(method, &path, &tenant.key, &[("idempotency-key", &key)], body).await;
        let first = call().await;
        assert!(first.status.is_success(), "{method} {path}: {first:?}");
        let asked_before = asked.load(Ordering::SeqCst);
        let again = call().await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"), "{method} {path}");
        assert_eq!(again.status, first.status);
        if !path.contains("tickets") && method != "DELETE" {
            assert_eq!(again.body, first.body, "{method} {path}");
            assert_eq!(asked.load(Ordering::SeqCst), asked_before, "the owner is asked once");
        }
    }
    let admin = &gateway.admin;
    let made = gateway.post_once("/v1/tenants", admin, "t", json!({"name": "T"})).await.is(201);
    assert_eq!(gateway.post_once("/v1/tenants", admin, "t", json!({"name": "T"})).await.is(201), made);
}

#[tokio::test]
async fn what_failed_for_now_may_be_tried_again() {
    let gateway = Gateway::with(Options { owner_timeout_ms: 50, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let path = format!("/v1/instances/{instance}/connect");
    gateway.post_once(&path, &tenant.key, "k", json!({})).await.is_problem(503, "unavailable");
    Worker::own(&gateway, &tenant.id, &instance).await.answer(&gateway);
    let tried = until("the worker serves", async || {
        let answer = gateway.post_once(&path, &tenant.key, "k", json!({})).await;
        (answer.status != 503).then_some(answer)
    })
    .await;
    tried.is(202);
}

#[tokio::test]
async fn a_caller_that_hangs_up_finds_its_answer() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let path = format!("/v1/instances/{instance}/connect");
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    // Nobody serves yet: the request waits for its owner, and the caller loses patience.
    let hung_up =
        tokio::time::timeout(std::time::Duration::from_millis(200), gateway.post_once(&path, &tenant.key, "k", json!({})));
    assert!(hung_up.await.is_err());
    let asked = worker.answer(&gateway);
    let answer = gateway.post_once(&path, &tenant.key, "k", json!({})).await;
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    answer.is(202);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "carried out once");
}
