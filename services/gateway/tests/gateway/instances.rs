//! Instances and their pairing.

use crate::{
    support::{Gateway, until},
    worker::Worker,
};
use serde_json::{Value, json};
use std::{sync::atomic::Ordering, time::Duration};
use warren_domain::InstanceState;
use warren_gateway::Options;

#[tokio::test]
async fn instances_are_made_found_changed_and_deleted() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let key = &tenant.key;
    let made = gateway.post("/v1/instances", key, json!({"name": "Shop", "metadata": {"city": "Bandung", "n": 1}})).await;
    let location = made.header("location").unwrap().to_owned();
    let made = made.is(201);
    assert_eq!(made["state"], "created");
    assert_eq!((&made["phone"], &made["jid"], &made["lid"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(made["health"], json!({"status": "ok", "reason": null, "last_stanza_at": null, "rtt_ms": null}));
    assert_eq!(gateway.get(&location, key).await.is(200), made);

    let changed = gateway.patch(&location, key, json!({"metadata": {"city": "Jakarta"}})).await.is(200);
    assert_eq!((&changed["name"], &changed["metadata"]), (&json!("Shop"), &json!({"city": "Jakarta"})));
    let changed = gateway.patch(&location, key, json!({"name": null})).await.is(200);
    assert_eq!(changed["name"], Value::Null);
    gateway.patch(&location, key, json!({"state": "online"})).await.is_problem(422, "invalid_request");

    gateway.delete(&location, key).await.is(204);
    gateway.get(&location, key).await.is_problem(404, "not_found");
    gateway.delete(&location, key).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn lists_are_filtered_and_cut() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let key = &tenant.key;
    for n in 0..5 {
        let body = json!({"name": format!("n{n}"), "metadata": {"parity": if n % 2 == 0 { "even" } else { "odd" }}});
        gateway.post("/v1/instances", key, body).await.is(201);
    }
    let count = async |query: &str| {
        gateway.get(&format!("/v1/instances?{query}"), key).await.is(200)["data"].as_array().unwrap().len()
    };
    assert_eq!(count("metadata.parity=even").await, 3);
    assert_eq!(count("metadata.parity=even&name=n2").await, 1);
    assert_eq!(count("metadata.parity=%27%3B+DROP+TABLE+instances%3B").await, 0);
    assert_eq!(count("state=created").await, 5);
    assert_eq!(count("state=online").await, 0);
    assert_eq!(count("phone=%2B628").await, 0);
    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page = gateway.get(&format!("/v1/instances?limit=2{cursor}"), key).await.is(200);
        seen += page["data"].as_array().unwrap().len();
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(seen, 5);
    for query in ["state=asleep", "limit=0", "limit=100000", "cursor=garbage", "colour=red", "name=a&name=b", "name=%00"] {
        gateway.get(&format!("/v1/instances?{query}"), key).await.is_problem(422, "invalid_request");
    }
}

#[tokio::test]
async fn a_tenant_has_a_limit() {
    let gateway = Gateway::with(Options { instance_limit: 1, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    gateway.instance(&tenant).await;
    let full = gateway.post("/v1/instances", &tenant.key, json!({})).await;
    full.is_problem(429, "instance_limit");
    assert!(full.header("retry-after").is_some());
    gateway.patch(&format!("/v1/tenants/{}", tenant.id), &gateway.admin, json!({"limits": {"instances": 2}})).await.is(200);
    gateway.instance(&tenant).await;
}

#[tokio::test]
async fn pairing_by_qr() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let (key, instance) = (&tenant.key, gateway.instance(&tenant).await);
    let path = format!("/v1/instances/{instance}/pairing");
    Worker::own(&gateway, &tenant.id, &instance).await.answer(&gateway);

    assert_eq!(gateway.get(&path, key).await.is(200)["state"], "none");
    gateway.get(&format!("{path}/qr.png"), key).await.is_problem(404, "no_qr_code");
    let started = gateway.post(&path, key, json!({"method": "qr"})).await;
    assert_eq!(started.header("location"), Some(path.as_str()));
    assert_eq!(started.is(202)["instance_id"], instance.as_str());
    let waiting = gateway.get(&path, key).await;
    assert_eq!(waiting.header("cache-control"), Some("no-store"));
    let waiting = waiting.is(200);
    assert_eq!(
        (&waiting["state"], &waiting["qr"], &waiting["code"]),
        (&json!("waiting"), &json!("2@abc,def"), &Value::Null)
    );
    let png = gateway.get(&format!("{path}/qr.png"), key).await;
    assert_eq!((png.status.as_u16(), png.header("content-type")), (200, Some("image/png")));
    assert!(png.body.starts_with(b"\x89PNG"));
    let svg = gateway.get(&format!("{path}/qr.svg"), key).await;
    assert_eq!(svg.header("content-type"), Some("image/svg+xml"));
    assert!(svg.body.starts_with(b"<svg"));
    gateway.delete(&path, key).await.is(204);
    assert_eq!(gateway.get(&path, key).await.is(200)["state"], "cancelled");

    for phone in [Value::Null, json!("62812"), json!("0628123456"), json!("+62 812 345"), json!("628123456@s.whatsapp.net")]
    {
        gateway.post(&path, key, json!({"method": "code", "phone": phone})).await.is_problem(422, "invalid_request");
    }
    gateway.post(&path, key, json!({"method": "qr", "phone": "628123456"})).await.is_problem(422, "invalid_request");
    gateway.post(&path, key, json!({"method": "telepathy"})).await.is_problem(422, "invalid_request");
}

/// Row 74 of the bad inputs: a pairing polled much faster than its codes change.
#[tokio::test]
async fn a_pairing_polled_too_often_is_429() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let (key, instance) = (&tenant.key, gateway.instance(&tenant).await);
    let other = gateway.instance(&tenant).await;
    for instance in [&instance, &other] {
        Worker::own(&gateway, &tenant.id, instance).await.answer(&gateway);
    }
    let path = format!("/v1/instances/{instance}/pairing");
    let looks = (0..400).map(|_| gateway.get(&path, key));
    let answers = futures::future::join_all(looks).await;
    let (fine, many): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(fine.len() >= 50 && !many.is_empty(), "{} fine, {} refused", fine.len(), many.len());
    for refused in many {
        refused.is_problem(429, "too_many_requests");
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    gateway.get(&format!("/v1/instances/{other}/pairing"), key).await.is(200);
}

#[tokio::test]
async fn transitions_are_the_owners() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let (key, instance) = (&tenant.key, gateway.instance(&tenant).await);
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    let asked = worker.answer(&gateway);
    for (verb, state) in [("connect", "online"), ("disconnect", "disconnected"), ("logout", "logged_out")] {
        let body = gateway.post(&format!("/v1/instances/{instance}/{verb}"), key, json!({})).await.is(202);
        assert_eq!(body, json!({"id": instance, "state": "created", "wait_for": state}));
    }
    gateway.call("POST", &format!("/v1/instances/{instance}/restart"), key, &[], "").await.is_problem(409, "not_paired");
    gateway
        .call("GET", &format!("/v1/instances/{instance}/restart"), key, &[], "")
        .await
        .is_problem(405, "method_not_allowed");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    gateway.delete(&format!("/v1/instances/{instance}"), key).await.is(204);
    until("the owner is told of the deletion", async || (asked.load(Ordering::SeqCst) == 5).then_some(())).await;
}

#[tokio::test]
async fn nobody_there_is_503() {
    let gateway = Gateway::with(Options { owner_timeout_ms: 100, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let refused = gateway.post(&format!("/v1/instances/{instance}/connect"), &tenant.key, json!({})).await;
    refused.is_problem(503, "unavailable");
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn a_failover_looks_like_a_slow_request() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let path = format!("/v1/instances/{instance}/connect");
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    let (answer, ()) = tokio::join!(gateway.post(&path, &tenant.key, json!({})), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        worker.answer(&gateway);
    });
    answer.is(202);
}

#[tokio::test]
async fn an_online_instance_shows_what_is_measured() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let path = format!("/v1/instances/{instance}");
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    worker.pair("628123456").await;
    let shown = gateway.get(&path, &tenant.key).await.is(200);
    assert_eq!(
        (&shown["state"], &shown["phone"], &shown["health"]["rtt_ms"]),
        (&json!("online"), &json!("628123456"), &Value::Null)
    );
    worker.answer(&gateway);
    let health = gateway.get(&path, &tenant.key).await.is(200)["health"].clone();
    assert_eq!((&health["rtt_ms"], &health["status"], &health["reason"]), (&json!(42), &json!("degraded"), &json!("store")));
    worker.set_state(InstanceState::LoggedOut).await;
    assert_eq!(gateway.get(&path, &tenant.key).await.is(200)["state"], "logged_out");
}
