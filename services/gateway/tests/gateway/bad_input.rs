//! Rows 9, 24 to 30, 32, 37, 38, 40 and 84 of the bad inputs: bodies.

use crate::{
    messages::{online, text},
    support::{Answer, Gateway},
};
use serde_json::json;
use std::cell::RefCell;
use warren_gateway::Options;
use warren_ports::ledger::Messages as _;

#[tokio::test]
async fn row_9_unknown_fields_are_refused() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    let other = gateway.tenant().await;
    let answer = gateway.post("/v1/instances", &tenant.key, json!({"tenant_id": other.id})).await;
    answer.is_problem(422, "invalid_request");
    assert_eq!(answer.json()["field"], "tenant_id");
    for (field, at) in [("colour", "colour"), ("image", "image")] {
        let mut body = text("x");
        body[field] = json!({});
        let answer = gateway.post(&path, &tenant.key, body).await;
        answer.is_problem(422, "invalid_request");
        assert_eq!(answer.json()["field"], at);
    }
    let body = json!({"to": "628123456", "type": "text", "text": {"body": "x", "bold": true}});
    assert_eq!(gateway.post(&path, &tenant.key, body).await.is(422)["field"], "text.bold");
}

#[tokio::test]
async fn row_24_malformed_json() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    for (body, line, column) in [
        ("{\"to\": \"canary-628\",", 1, 20),
        ("{\"to\": \"canary-628\"\n\"type\"", 2, 1),
        ("{} canary-628", 1, 4),
        ("canary-628", 1, 1),
        ("{\"to\": 'canary-628'}", 1, 8),
        ("\u{feff}{}", 1, 1),
    ] {
        let answer = gateway.call("POST", &path, &tenant.key, &[], body).await;
        answer.is_problem(400, "invalid_json");
        let problem = answer.json();
        assert_eq!((&problem["line"], &problem["column"]), (&json!(line), &json!(column)), "{body}");
        assert!(!problem.to_string().contains("canary"), "the body is not repeated");
    }
    gateway.call("POST", &path, &tenant.key, &[], &b"{\"to\": \"\xff\"}"[..]).await.is_problem(400, "invalid_json");
}

#[tokio::test]
async fn row_25_deep_nesting() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    let deep = format!("{{\"metadata\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    for body in [deep.clone(), "[".repeat(500_000), "{\"a\":".repeat(10_000)] {
        gateway.call("POST", &path, &tenant.key, &[], body).await.is_problem(400, "invalid_json");
    }
    gateway.call("POST", "/v1/instances", &tenant.key, &[], deep).await.is_problem(400, "invalid_json");
}

#[tokio::test]
async fn row_27_wrong_types_and_numbers() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    for body in [
        r#"{"to":628123456,"type":"text","text":{"body":"x"}}"#,
        r#"{"to":"628123456","type":"text","text":{"body":1e400}}"#,
        r#"{"to":"628123456","type":"text","text":{"body":NaN}}"#,
        r#"{"to":"628123456","type":"text","text":{"body":9223372036854775808}}"#,
        r#"{"to":"628123456","type":"text","text":"x"}"#,
        r#"{"to":"628123456","type":"text","text":{"body":"x"},"metadata":{"n":1e400}}"#,
        r#"{"to":"628123456","type":"text","text":{"body":"x"},"delivery":"maybe"}"#,
        r#"{"to":"628123456","type":"text","text":{"body":"x"},"expires_at":"tomorrow"}"#,
        r#"{"to":"628123456","type":"text","text":{"body":"x"},"reply_to":9223372036854775808}"#,
        r#"{"to":"628123456","to":"628123456","type":"text","text":{"body":"x"}}"#,
        r#"["628123456","text",{"body":"x"}]"#,
        r#"{"type":"text","text":{"body":"x"}}"#,
        r#"null"#,
    ] {
        gateway.call("POST", &path, &tenant.key, &[], body).await.is_problem(422, "invalid_request");
    }
    let limits = r#"{"name":"x","limits":{"instances":9223372036854775808}}"#;
    let answer = gateway.call("POST", "/v1/tenants", &gateway.admin, &[], limits).await;
    answer.is_problem(422, "invalid_request");
    assert_eq!(answer.json()["field"], "limits.instances");
}

#[tokio::test]
async fn row_29_other_media_types() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    for kind in
        ["text/xml", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"]
    {
        let answer = gateway.call("POST", &path, &tenant.key, &[("content-type", kind)], text("x").to_string()).await;
        answer.is_problem(415, "unsupported_media_type");
    }
    for kind in ["application/json; charset=utf-8", "Application/JSON", "application/vnd.warren+json"] {
        gateway.call("POST", &path, &tenant.key, &[("content-type", kind)], text("x").to_string()).await.is(202);
    }
}

#[tokio::test]
async fn row_32_compressed_bodies() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    for encoding in ["gzip", "deflate", "br", "gzip, gzip"] {
        let answer =
            gateway.call("POST", &path, &tenant.key, &[("content-encoding", encoding)], vec![0x1f, 0x8b, 8, 0]).await;
        answer.is_problem(415, "unsupported_encoding");
    }
    gateway.call("POST", &path, &tenant.key, &[("content-encoding", "identity")], text("x").to_string()).await.is(202);
}

#[tokio::test]
async fn row_37_what_looks_like_code_is_text() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    for evil in [
        "'; DROP TABLE messages; --",
        "{{7*7}}",
        "${jndi:ldap://x/a}",
        "<script>alert(1)</script>",
        "%n%s",
        "\u{1b}[31m",
        "../../etc/passwd",
    ] {
        let mut body = text(evil);
        body["metadata"] = json!({evil: evil});
        let sent = gateway.post(&path, &tenant.key, body).await.is(202);
        let shown = gateway.get(&format!("/v1/messages/{}", sent["id"].as_str().unwrap()), &tenant.key).await.is(200);
        assert_eq!((&shown["text"]["body"], &shown["metadata"]), (&json!(evil), &json!({evil: evil})));
        let named =
            gateway.post("/v1/instances", &tenant.key, json!({"name": evil, "metadata": {evil: evil}})).await.is(201);
        assert_eq!((&named["name"], &named["metadata"]), (&json!(evil), &json!({evil: evil})));
        gateway.post(&format!("{path}/lookup"), &tenant.key, json!({"whatsapp_id": evil})).await.is(200);
        assert_eq!(gateway.post("/v1/tenants", &gateway.admin, json!({"name": evil})).await.is(201)["name"], evil);
    }
    assert_eq!(gateway.ledger.open_messages(&[worker.instance], 100).await.unwrap().len(), 7);
    for field in [json!({"name": "a\0b"}), json!({"metadata": {"k": "a\0b"}}), json!({"metadata": {"a\0b": 1}})] {
        gateway.post("/v1/instances", &tenant.key, field).await.is_problem(422, "invalid_request");
    }
    gateway
        .post("/v1/instances", &tenant.key, json!({"metadata": {"k": "x".repeat(20_000)}}))
        .await
        .is_problem(422, "invalid_request");
    gateway.post("/v1/instances", &tenant.key, json!({"name": "x".repeat(201)})).await.is_problem(422, "invalid_request");
}

#[tokio::test]
async fn row_38_recipients() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    for to in [
        "+1 (555) abc",
        "",
        &"1".repeat(40),
        "x@g.us",
        "1-2-3@g.us",
        "status@broadcast",
        "0812345678",
        "x@lid",
        "628123@c.us",
        "628123\0",
    ] {
        let answer = gateway.post(&path, &tenant.key, json!({"to": to, "type": "text", "text": {"body": "x"}})).await;
        answer.is_problem(422, "invalid_recipient");
        assert_eq!(answer.json()["field"], "to");
        assert!(to.len() < 5 || !String::from_utf8_lossy(&answer.body).contains(to));
    }
    assert!(gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap().is_empty(), "nothing was queued");
    for to in ["123456@lid", "120363000000000001@g.us", "628123-1400000000@g.us"] {
        gateway.post(&path, &tenant.key, json!({"to": to, "type": "text", "text": {"body": "x"}})).await.is(202);
    }
}

#[tokio::test]
async fn row_40_texts() {
    let gateway = Gateway::start().await;
    let (tenant, worker, path) = online(&gateway).await;
    for body in [
        "x".repeat(65_537),
        "x".repeat(1_000_000),
        "\u{200b}\u{200d}\u{feff}".to_owned(),
        String::new(),
        " \n".to_owned(),
        "a\0".to_owned(),
    ] {
        let answer = gateway.post(&path, &tenant.key, text(&body)).await;
        answer.is_problem(422, "invalid_request");
        assert_eq!(answer.json()["field"], "text.body");
    }
    assert!(gateway.ledger.open_messages(&[worker.instance], 10).await.unwrap().is_empty());
    gateway.post(&path, &tenant.key, text(&"😀".repeat(65_536))).await.is(202);
    gateway
        .post(&path, &tenant.key, json!({"to": "628123456", "type": "video", "text": {"body": "x"}}))
        .await
        .is_problem(422, "unsupported_type");
    gateway.post(&path, &tenant.key, json!({"to": "628123456", "type": "text"})).await.is_problem(422, "invalid_request");
}

thread_local! {
    /// What was logged on this thread, if its test wants to know.
    static LOGGED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct ThreadsLog;

impl std::io::Write for ThreadsLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.with_borrow_mut(|log| log.iter_mut().for_each(|log| log.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn row_84_nothing_of_a_request_is_logged() {
    // For the whole process, because what is enabled is decided once a place in the code. The test's runtime has one thread:
    // everything that this gateway does is logged on it.
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_env_filter("warren_gateway=trace").with_writer(|| ThreadsLog);
    tracing::subscriber::set_global_default(subscriber.finish()).unwrap();
    LOGGED.set(Some(Vec::new()));
    let gateway = Gateway::with(Options { owner_timeout_ms: 50, ..Options::default() }).await;
    let (tenant, _, path) = online(&gateway).await;
    let canary = "6281230004711";
    gateway.post(&path, &tenant.key, json!({"to": canary, "type": "text", "text": {"body": canary}})).await.is(202);
    gateway
        .post_once(&path, &tenant.key, canary, json!({"to": canary, "type": "text", "text": {"body": canary}}))
        .await
        .is(202);
    for (method, path, body) in [
        ("GET", format!("/v1/{canary}?api_key={}", tenant.key), String::new()),
        ("GET", format!("/v1/instances?api_key={}", tenant.key), String::new()),
        ("GET", format!("/v1/instances?phone={canary}"), String::new()),
        ("POST", format!("/v1/senders/{canary}/messages"), text(canary).to_string()),
        ("POST", path.clone(), format!("{{\"{canary}\": 1}}")),
        ("POST", path.clone(), canary.to_owned()),
        ("POST", path.replace("messages", "connect"), String::new()),
        (canary, path.clone(), String::new()),
    ] {
        gateway.call(method, &path, &tenant.key, &[], body).await;
    }
    gateway.get("/v1/instances", &format!("{}x", tenant.key)).await.is_problem(401, "unauthenticated");
    let logged = String::from_utf8(LOGGED.take().unwrap()).unwrap();
    assert!(logged.contains("http.request") && logged.contains("/v1/instances/{instance}/messages"), "{logged}");
    assert!(
        !logged.contains(canary) && !logged.contains(&tenant.key[4..]) && !logged.contains(&gateway.admin[4..]),
        "{logged}"
    );
}

#[tokio::test]
async fn row_84_errors_repeat_nothing_of_the_request() {
    let gateway = Gateway::with(Options { owner_timeout_ms: 50, ..Options::default() }).await;
    let (tenant, _, path) = online(&gateway).await;
    let canary = "6281230004711";
    let check = |answer: Answer| {
        assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(canary), "{answer:?}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(&tenant.key), "{answer:?}");
    };
    let instance = path.trim_end_matches("/messages");
    check(gateway.call("POST", &path, &tenant.key, &[], format!("{{\"to\":\"{canary}\",\"type\":{canary}}}")).await);
    check(gateway.call("POST", &path, &tenant.key, &[], format!("{{\"to\":\"{canary}\" {canary}")).await);
    check(
        gateway
            .post(&path, &tenant.key, json!({"to": format!("{canary}x@g.us"), "type": "text", "text": {"body": canary}}))
            .await,
    );
    check(gateway.post(&path, &tenant.key, json!({"to": canary, "type": canary, "text": {"body": canary}})).await);
    check(gateway.get(&format!("/v1/{canary}"), &tenant.key).await);
    check(gateway.get(&format!("/v1/instances?phone={canary}&state={canary}"), &tenant.key).await);
    check(gateway.get(&format!("/v1/events?after={canary}"), &tenant.key).await);
    check(gateway.post(&format!("/v1/senders/{canary}/messages"), &tenant.key, text(canary)).await);
    check(gateway.post(&format!("{instance}/connect"), &tenant.key, json!({})).await);
    assert!(!gateway.metrics.render().contains(canary));
}
