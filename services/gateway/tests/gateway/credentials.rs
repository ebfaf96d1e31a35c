//! Rows 1 to 8, 10 and 14 of the bad inputs: credentials and scopes.

use crate::{support::Gateway, worker::Worker};
use serde_json::json;
use std::time::Duration;
use warren_domain::key::Secret;
use warren_gateway::Options;

/// Changes the last character.
fn flipped(key: &str) -> String {
    let (rest, last) = key.split_at(key.len() - 1);
    format!("{rest}{}", if last == "a" { "b" } else { "a" })
}

#[tokio::test]
async fn row_1_no_credentials() {
    let gateway = Gateway::start().await;
    let answer = gateway.get("/v1/instances", "").await;
    answer.is_problem(401, "unauthenticated");
    assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
}

#[tokio::test]
async fn row_2_an_unknown_key_is_like_a_wrong_secret() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let of = |answer: crate::support::Answer| {
        answer.is_problem(401, "unauthenticated");
        let mut body = answer.json();
        body["request_id"] = json!(null);
        body
    };
    let unknown = of(gateway.get("/v1/instances", Secret::generate().reveal()).await);
    let wrong = of(gateway.get("/v1/instances", &flipped(&tenant.key)).await);
    let shapeless = of(gateway.get("/v1/instances", "abc").await);
    assert!(unknown == wrong && wrong == shapeless);
}

#[tokio::test]
async fn row_3_twenty_failures_a_minute_are_enough() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let wrong = flipped(&tenant.key);
    for _ in 0..20 {
        gateway.get("/v1/instances", &wrong).await.is_problem(401, "unauthenticated");
    }
    let refused = gateway.get("/v1/instances", &wrong).await;
    refused.is_problem(429, "too_many_failures");
    assert_eq!(refused.header("retry-after"), Some("60"));
    // Others behind the same address are not shut out.
    gateway.get("/v1/instances", &tenant.key).await.is(200);
}

#[tokio::test]
async fn how_many_wrong_keys_are_enough_is_the_operators_choice() {
    let gateway = Gateway::with(Options { wrong_keys_per_minute: 2, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    for expected in [401, 401, 429] {
        assert_eq!(gateway.get("/v1/instances", &flipped(&tenant.key)).await.status, expected);
    }
}

#[tokio::test]
async fn row_4_revoked_and_expired_keys_are_refused() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let keys = format!("/v1/tenants/{}/keys", tenant.id);
    let made = gateway.post(&keys, &gateway.admin, json!({"name": "short"})).await.is(201);
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    gateway.get("/v1/instances", key).await.is(200);
    gateway.delete(&format!("{keys}/{id}"), &gateway.admin).await.is(204);
    gateway.get("/v1/instances", key).await.is_problem(401, "unauthenticated");
    gateway.delete(&format!("{keys}/{id}"), &gateway.admin).await.is_problem(404, "not_found");

    let expiring = gateway
        .key(&tenant.id, json!({"name": "expiring", "expires_at": gateway.now().after(Duration::from_secs(60))}))
        .await;
    gateway.get("/v1/instances", &expiring).await.is(200);
    gateway.clock.turn(Duration::from_secs(61));
    gateway.get("/v1/instances", &expiring).await.is_problem(401, "unauthenticated");
}

#[tokio::test]
async fn row_5_no_keys_in_urls() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    for query in [
        format!("api_key={}", tenant.key),
        format!("anything={}", tenant.key),
        "token=x".to_owned(),
        "ACCESS_TOKEN=x".to_owned(),
    ] {
        for key in ["", &tenant.key] {
            let answer = gateway.get(&format!("/v1/instances?{query}"), key).await;
            answer.is_problem(401, "credentials_in_url");
            assert!(!String::from_utf8_lossy(&answer.body).contains(&tenant.key));
        }
    }
}

#[tokio::test]
async fn row_7_a_reading_key_does_not_write() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let reading = gateway.key(&tenant.id, json!({"name": "r", "scopes": ["read"]})).await;
    let path = format!("/v1/instances/{instance}");
    gateway.get(&path, &reading).await.is(200);
    let body = json!({"to": "628123456", "type": "text", "text": {"body": "x"}});
    gateway.post(&format!("{path}/messages"), &reading, body).await.is_problem(403, "insufficient_scope");
    for (method, path) in [
        ("POST", "/v1/instances".to_owned()),
        ("PATCH", path.clone()),
        ("DELETE", path.clone()),
        ("POST", format!("{path}/connect")),
        ("POST", format!("{path}/logout")),
        ("POST", format!("{path}/pairing")),
        ("DELETE", format!("{path}/pairing")),
    ] {
        gateway.call(method, &path, &reading, &[], "{}").await.is_problem(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn row_8_another_tenants_things_are_like_unknown_ones() {
    let gateway = Gateway::start().await;
    let (own, other) = (gateway.tenant().await, gateway.tenant().await);
    let instance = gateway.instance(&other).await;
    let worker = Worker::own(&gateway, &other.id, &instance).await;
    worker.pair("628111").await;
    let message = worker.receive("hello").await.to_string();
    let unknown = warren_domain::InstanceId::generate().to_string();
    let send = json!({"to": "628123456", "type": "text", "text": {"body": "x"}}).to_string();
    for (method, path, body) in [
        ("GET", "/v1/instances/ID", ""),
        ("PATCH", "/v1/instances/ID", "{}"),
        ("DELETE", "/v1/instances/ID", ""),
        ("POST", "/v1/instances/ID/connect", ""),
        ("POST", "/v1/instances/ID/logout", ""),
        ("POST", "/v1/instances/ID/pairing", r#"{"method":"qr"}"#),
        ("GET", "/v1/instances/ID/pairing", ""),
        ("GET", "/v1/instances/ID/pairing/qr.png", ""),
        ("DELETE", "/v1/instances/ID/pairing", ""),
        ("POST", "/v1/instances/ID/messages", &send),
        ("GET", "/v1/instances/ID/messages", ""),
        ("POST", "/v1/instances/ID/messages/lookup", r#"{"whatsapp_id":"3EB0"}"#),
        ("GET", "/v1/messages/MESSAGE", ""),
        ("GET", "/v1/events?instance=ID", ""),
        ("POST", "/v1/senders/628111/messages", &send),
    ] {
        let mut answers = Vec::new();
        for (instance, message) in [(&instance, &message), (&unknown, &unknown), (&"no-id".to_owned(), &"no-id".to_owned())]
        {
            let path = path.replace("ID", instance).replace("MESSAGE", message);
            let answer = gateway.call(method, &path, &own.key, &[], body.to_owned()).await;
            answer.is_problem(404, "not_found");
            let mut body = answer.json();
            body["request_id"] = json!(null);
            answers.push(body);
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{method} {path}");
    }
    gateway.get(&format!("/v1/instances/{instance}"), &other.key).await.is(200);
}

#[tokio::test]
async fn row_10_a_header_does_not_choose_the_tenant() {
    let gateway = Gateway::start().await;
    let (own, other) = (gateway.tenant().await, gateway.tenant().await);
    gateway.instance(&other).await;
    let listed = gateway.call("GET", "/v1/instances", &own.key, &[("x-tenant-id", &other.id)], "").await.is(200);
    assert_eq!(listed["data"], json!([]));
}

#[tokio::test]
async fn keys_are_taken_from_either_header() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    gateway.call("GET", "/v1/instances", "", &[("x-api-key", &tenant.key)], "").await.is(200);
    gateway
        .call("GET", "/v1/instances", "", &[("authorization", &format!("Basic {}", tenant.key))], "")
        .await
        .is_problem(401, "unauthenticated");
}
