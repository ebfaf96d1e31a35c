//! Bad inputs through the real binary: a clear error, and nothing changed.

use crate::stage;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use warren_testkit::{Api, Stage};

/// A second tenant with a key of its own.
async fn stranger(stage: &Stage) -> Api {
    let admin = stage.warren.admin().unwrap();
    let tenant: Value = admin.post("/v1/tenants", &json!({"name": "stranger"})).await.unwrap().into().unwrap();
    let path = format!("/v1/tenants/{}/keys", tenant["id"].as_str().unwrap());
    let key: Value = admin.post(&path, &json!({"name": "k"})).await.unwrap().into().unwrap();
    stage.api.with_key(key["key"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_id_is_an_unknown_id() {
    let stage = stage().await;
    let mine = stage.pair("mine").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let message = stage.api.send(&mine.id, &warren_testkit::Draft::text(&person.phone, "x").wait()).await.unwrap();
    let other = stranger(&stage).await;
    let unknown = "0197a000000070008000000000000000";
    let text = json!({"to": person.phone, "type": "text", "text": {"body": "x"}});
    let routes = |instance: &str, message: &str| {
        vec![
            (Method::GET, format!("/v1/instances/{instance}"), None),
            (Method::PATCH, format!("/v1/instances/{instance}"), Some(json!({"name": "stolen"}))),
            (Method::DELETE, format!("/v1/instances/{instance}"), None),
            (Method::POST, format!("/v1/instances/{instance}/messages"), Some(text.clone())),
            (Method::GET, format!("/v1/instances/{instance}/messages"), None),
            (Method::POST, format!("/v1/instances/{instance}/pairing"), Some(json!({"method": "qr"}))),
            (Method::GET, format!("/v1/instances/{instance}/pairing"), None),
            (Method::POST, format!("/v1/instances/{instance}/logout"), Some(json!({}))),
            (Method::GET, format!("/v1/messages/{message}"), None),
            (Method::GET, format!("/v1/events?instance={instance}"), None),
        ]
    };
    let pairs = routes(&mine.id, &message.id).into_iter().zip(routes(unknown, unknown));
    for ((method, path, body), (_, unknown_path, _)) in pairs {
        let theirs = other.request(method.clone(), &path, body.as_ref(), &[]).await.unwrap();
        let nobodys = other.request(method.clone(), &unknown_path, body.as_ref(), &[]).await.unwrap();
        assert_eq!(theirs.status, 404, "{method} {path}: {}", theirs.text);
        let without_request = |mut body: Value| {
            body.as_object_mut().unwrap().remove("request_id");
            body
        };
        assert_eq!(without_request(theirs.body), without_request(nobodys.body), "{method} {path}");
    }
    let sender = format!("/v1/senders/{}/messages", mine.phone);
    assert_eq!(other.post(&sender, &text).await.unwrap().status, 404);
    assert_eq!(other.get("/v1/tenants").await.unwrap().status, 404, "admin routes do not exist for a tenant");
    assert!(other.events_after("", "begin").await.unwrap().is_empty());
    let still = stage.api.instance(&mine.id).await.unwrap();
    assert_eq!((still.name.as_deref(), still.state.as_str()), (Some("mine"), "online"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_change_nothing() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let path = format!("/v1/instances/{}/messages", a.id);
    let text = |to: &str, body: &str| json!({"to": to, "type": "text", "text": {"body": body}});
    let refused = [
        (text("+1 (555) abc", "x"), "invalid_recipient"),
        (text("", "x"), "invalid_recipient"),
        (text(&"4".repeat(40), "x"), "invalid_recipient"),
        (text("status@broadcast", "x"), "invalid_recipient"),
        (text("628111", &"e".repeat(65_537)), "invalid_request"),
        (text("628111222333", "\u{200b}\u{200c}"), "invalid_request"),
        (json!({"to": "628111222333", "type": "text", "text": {"body": "x"}, "unknown": 1}), "invalid_request"),
        (json!({"to": 5, "type": "text", "text": {"body": "x"}}), "invalid_request"),
        (json!({"to": "628111222333", "type": "hologram"}), "unsupported_type"),
        (json!([]), "invalid_request"),
    ];
    for (body, code) in refused {
        let answer = stage.api.post(&path, &body).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.code()), (422, code), "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.body["request_id"].is_string());
    }
    let raw = [
        ("application/json", b"{\"to\":".to_vec(), 400),
        ("application/json", b"\xff\xfe".to_vec(), 400),
        ("text/plain", b"hello".to_vec(), 415),
        ("application/json", vec![b' '; 2 * 1024 * 1024], 413),
        ("application/json", [vec![b'['; 100_000], vec![b']'; 100_000]].concat(), 400),
    ];
    for (kind, body, status) in raw {
        let answer = stage.api.post_raw(&path, kind, body).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    }
    let gzip = stage.api.request(Method::POST, &path, Some(&json!({})), &[("content-encoding", "gzip")]).await.unwrap();
    assert_eq!(gzip.status, 415);
    let messages: Value = stage.api.get(&path).await.unwrap().into().unwrap();
    assert_eq!(messages["data"], json!([]), "nothing was stored");
    assert!(stage.simulator.ground_truth(&a.phone).await.unwrap().accepted.is_empty(), "nothing was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_evaluated_elsewhere_is_only_text_here() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let texts = ["'; DROP TABLE messages; --", "{{7*7}}", "${jndi:ldap://127.0.0.1/x}", "<script>\u{1b}[31m%s%n"];
    for text in texts {
        stage.api.send(&a.id, &warren_testkit::Draft::text(&person.phone, text).wait()).await.unwrap();
        stage.simulator.write(&person.phone, &a.phone, text, 1).await.unwrap();
    }
    warren_testkit::eventually("the echoes", warren_testkit::PATIENCE, async || {
        let log = stage.api.events(&a.id).await?;
        Ok(texts.iter().all(|text| log.iter().any(|event| event.is_text(text))).then_some(()))
    })
    .await
    .unwrap();
    let inbox = stage.simulator.inbox(&person.phone, &a.phone).await.unwrap();
    assert_eq!(inbox.messages.iter().filter_map(|message| message.text.as_deref()).collect::<Vec<_>>(), texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_doors() {
    let stage = stage().await;
    let nobody = stage.api.with_key("");
    assert_eq!(nobody.get("/v1/instances").await.unwrap().status, 401);
    assert_eq!(nobody.get("/healthz").await.unwrap().status, 200);
    for path in ["/metrics", "/debug/pprof", "/admin/health", "/v1/../metrics"] {
        assert_eq!(stage.api.get(path).await.unwrap().status, 404, "{path}");
    }
    let in_url = nobody.get(&format!("/v1/instances?api_key={}", stage.api.key())).await.unwrap();
    assert_eq!((in_url.status.as_u16(), in_url.code()), (401, "credentials_in_url"));
    assert!(warren_testkit::Stream::open(&nobody, "").await.is_err(), "no stream without a key");
    let origin =
        stage.api.request(Method::GET, "/v1/events/stream", None, &[("origin", "https://evil.example")]).await.unwrap();
    assert_eq!(origin.status, 403, "{}", origin.text);
    let huge = "x".repeat(100_000);
    let header = stage.api.request(Method::GET, "/v1/instances", None, &[("x-huge", huge.as_str())]).await;
    assert!(header.map_or(true, |answer| answer.status == 431));
    assert_eq!(stage.api.get("/healthz").await.unwrap().status, 200);
}

/// Sends bytes as they are; returns the status lines of whatever is answered until the connection closes.
async fn raw(api: &Api, request: &str) -> Vec<String> {
    let address = api.base().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(warren_testkit::PATIENCE, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection stays open after: {}", String::from_utf8_lossy(&answer));
    let text = String::from_utf8_lossy(&answer).into_owned();
    text.lines().filter(|line| line.starts_with("HTTP/1.1 ")).map(str::to_owned).collect()
}

/// Two requests for whoever believes one length, one for whoever believes the other: it is one, refused, and the connection
/// is closed. (A body that is both counted and chunked is read as chunked, as RFC 9112 6.3 has it; and closed.)
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_two_lengths_is_refused_and_closed() {
    let stage = stage().await;
    let key = stage.api.key().to_owned();
    let path = format!("/v1/instances/{}/messages", stage.api.create_instance("a").await.unwrap().id);
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n");
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for lengths in [
        format!("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("Content-Length: 2\r\nContent-Length: 9\r\n\r\n{{}}{smuggled}"),
        format!("Transfer-Encoding: chunked\r\n\r\nZZ\r\n{{}}\r\n0\r\n\r\n{smuggled}"),
    ] {
        let statuses = raw(&stage.api, &format!("{head}{lengths}")).await;
        assert!(statuses.len() <= 1 && statuses.iter().all(|line| line.contains(" 4")), "{lengths:?}: {statuses:?}");
    }
}
