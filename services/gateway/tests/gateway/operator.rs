//! Tenants and keys, health, and who may see them.

use crate::support::{Gateway, until};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn tenants_are_made_listed_changed_and_deleted() {
    let gateway = Gateway::start().await;
    let admin = &gateway.admin;
    let made = gateway.post("/v1/tenants", admin, json!({"name": "Acme", "limits": {"instances": 1}})).await;
    let location = made.header("location").unwrap().to_owned();
    let tenant = made.is(201);
    assert_eq!(tenant["limits"], json!({"instances": 1}));
    assert_eq!(location, format!("/v1/tenants/{}", tenant["id"].as_str().unwrap()));
    assert_eq!(gateway.get(&location, admin).await.is(200), tenant);

    let changed = gateway.patch(&location, admin, json!({"name": "Umbrella"})).await.is(200);
    assert_eq!((&changed["name"], &changed["limits"]), (&json!("Umbrella"), &tenant["limits"]));
    gateway.patch(&location, admin, json!({"name": ""})).await.is_problem(422, "invalid_request");
    gateway.patch(&location, admin, json!({"limits": {"planes": 1}})).await.is_problem(422, "invalid_request");

    for name in ["a", "b", "c"] {
        gateway.post("/v1/tenants", admin, json!({"name": name})).await.is(201);
    }
    let first = gateway.get("/v1/tenants?limit=3", admin).await.is(200);
    assert_eq!(first["data"].as_array().unwrap().len(), 3);
    let rest =
        gateway.get(&format!("/v1/tenants?limit=3&cursor={}", first["next_cursor"].as_str().unwrap()), admin).await.is(200);
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["next_cursor"]), (1, &Value::Null));

    gateway.delete(&location, admin).await.is(204);
    gateway.get(&location, admin).await.is_problem(404, "not_found");
    gateway.delete(&location, admin).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_tenant_with_instances_stays() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    gateway.instance(&tenant).await;
    gateway.delete(&format!("/v1/tenants/{}", tenant.id), &gateway.admin).await.is_problem(409, "tenant_not_empty");
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let gateway = Gateway::start().await;
    let admin = &gateway.admin;
    let tenant = gateway.tenant().await;
    let keys = format!("/v1/tenants/{}/keys", tenant.id);
    let body = json!({"name": "second", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z"});
    let made = gateway.post_once(&keys, admin, "k1", body.clone()).await.is(201);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(made["prefix"].as_str().unwrap()) && key.len() == 56);

    let replay = gateway.post_once(&keys, admin, "k1", body).await;
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    let replay = replay.is(201);
    assert_eq!((&replay["id"], &replay["key"]), (&made["id"], &Value::Null));
    assert!(replay["key_withheld"].as_str().unwrap().contains("once"));

    gateway.get("/v1/instances", key).await.is(200);
    let listed = until("the last use is noted", async || {
        let listed = gateway.get(&keys, admin).await.is(200);
        listed["data"].as_array().unwrap().iter().any(|key| key["last_used_at"].is_string()).then_some(listed)
    })
    .await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&key[13..]), "a list shows no secrets");

    gateway.post(&keys, admin, json!({"name": "x", "scopes": []})).await.is_problem(422, "invalid_request");
    gateway.post(&keys, admin, json!({"name": "x", "scopes": ["root"]})).await.is_problem(422, "invalid_request");
    gateway
        .post(&keys, admin, json!({"name": "x", "expires_at": "2001-01-01T00:00:00Z"}))
        .await
        .is_problem(422, "invalid_request");
    let nobody = warren_domain::TenantId::generate();
    gateway.post(&format!("/v1/tenants/{nobody}/keys"), admin, json!({"name": "x"})).await.is_problem(404, "not_found");
    gateway.get(&format!("/v1/tenants/{nobody}/keys"), admin).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn the_operators_routes_do_not_exist_for_tenants() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let own = format!("/v1/tenants/{}", tenant.id);
    for (method, path) in [
        ("GET", "/v1/tenants"),
        ("POST", "/v1/tenants"),
        ("GET", &own),
        ("PATCH", &own),
        ("DELETE", &own),
        ("GET", &format!("{own}/keys")),
    ] {
        gateway.call(method, path, &tenant.key, &[], "{}").await.is_problem(404, "not_found");
        gateway.call(method, path, "", &[], "{}").await.is_problem(401, "unauthenticated");
    }
    // And the operator is no tenant.
    gateway.get("/v1/instances", &gateway.admin).await.is_problem(403, "tenant_key_required");
}

#[tokio::test]
async fn the_public_port_shows_the_status_only() {
    let gateway = Gateway::start().await;
    assert_eq!(gateway.get("/healthz", "").await.is(200), json!({"status": "ok"}));
    let ready = until("it is ready", async || {
        let answer = gateway.get("/readyz", "").await;
        (answer.status == 200).then_some(answer)
    });
    assert_eq!(ready.await.json(), json!({"status": "ready"}));
    for path in ["/metrics", "/debug/pprof", "/debug/", "/admin/", "/v2/instances", "/v1/"] {
        gateway.get(path, &gateway.admin).await.is_problem(404, "not_found");
    }
    let rendered = gateway.metrics.render();
    assert!(rendered.contains(r#"warren_http_request_seconds_count{route="/healthz",status="200"} 1"#), "{rendered}");
    assert!(rendered.contains(r#"route="unmatched",status="404""#), "raw paths are no labels");
    assert!(!rendered.contains("pprof"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way() {
    let gateway = Gateway::start().await;
    gateway.get("/healthz", "").await.is(200);
    assert!(gateway.lifecycle.stop(Duration::from_secs(5), std::future::pending()).await, "every task ended by itself");
    assert!(tokio::net::TcpStream::connect(gateway.address).await.is_err(), "nothing new is accepted");
}

#[tokio::test]
async fn a_store_that_is_away_is_503() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    gateway.ledger.close().await;
    let send = json!({"to": "628123456", "type": "text", "text": {"body": "x"}});
    for answer in [
        gateway.post(&format!("/v1/instances/{instance}/messages"), &tenant.key, send).await,
        gateway.get("/v1/instances", &tenant.key).await,
        gateway.get("/v1/events", &tenant.key).await,
        gateway.post_once("/v1/instances", &tenant.key, "k", json!({})).await,
        // A key that nobody remembers: it cannot be said that it is wrong.
        gateway.get("/v1/instances", warren_domain::key::Secret::generate().reveal()).await,
    ] {
        answer.is_problem(503, "unavailable");
        assert!(answer.header("retry-after").is_some());
    }
    gateway.get("/healthz", "").await.is(200);
}
