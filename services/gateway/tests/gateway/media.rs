//! Files: sent here, fetched from here, sent on.

use crate::{
    support::{Answer, Gateway, LIMITS, Tenant, until},
    worker::Worker,
};
use hyper::body::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use warren_domain::{
    MediaId,
    media::{Media, MediaOrigin, MediaState},
};
use warren_gateway::Options;
use warren_ports::ledger::MediaFiles as _;

const BOUNDARY: &str = "6f0c1d";
const FORM: &str = "multipart/form-data; boundary=6f0c1d";

/// A PNG of this size in pixels, as far as its header says.
pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    file.extend(width.to_be_bytes());
    file.extend(height.to_be_bytes());
    file.extend(b"\x08\x06\0\0\0\0\0\0\0\0\0\0\0IDAT\0\0\0\0");
    file
}

/// A part of a form.
struct Part<'a> {
    head: String,
    body: &'a [u8],
}

fn file<'a>(name: &str, mime_type: &str, body: &'a [u8]) -> Part<'a> {
    let mut head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n");
    if !mime_type.is_empty() {
        write!(head, "Content-Type: {mime_type}\r\n").unwrap();
    }
    Part { head, body }
}

fn text<'a>(name: &str, body: &'a str) -> Part<'a> {
    Part { head: format!("Content-Disposition: form-data; name=\"{name}\"\r\n"), body: body.as_bytes() }
}

fn form(parts: &[Part<'_>]) -> Bytes {
    let mut body = Vec::new();
    for part in parts {
        body.extend(format!("--{BOUNDARY}\r\n{}\r\n", part.head).as_bytes());
        body.extend(part.body);
        body.extend(b"\r\n");
    }
    body.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
    body.into()
}

async fn upload(gateway: &Gateway, tenant: &Tenant, parts: &[Part<'_>]) -> Answer {
    gateway.call("POST", "/v1/media", &tenant.key, &[("content-type", FORM)], form(parts)).await
}

async fn stored(gateway: &Gateway, tenant: &Tenant, name: &str, mime_type: &str, body: &[u8]) -> String {
    let answer = upload(gateway, tenant, &[file(name, mime_type, body)]).await.is(201);
    answer["id"].as_str().unwrap().to_owned()
}

/// The files of the object store.
fn files(gateway: &Gateway) -> Vec<PathBuf> {
    fn below(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
    }
    below(&gateway.store.path().join("media"))
}

async fn nothing_is_left(gateway: &Gateway) {
    until("nothing is left", async || files(gateway).is_empty().then_some(())).await;
}

/// A file that came with a message, and is still at WhatsApp.
async fn received(gateway: &Gateway, worker: &Worker, tenant: &Tenant) -> Media {
    let media = Media {
        id: MediaId::generate(),
        tenant: tenant.id.parse().unwrap(),
        instance: Some(worker.instance),
        origin: MediaOrigin::Whatsapp,
        state: MediaState::Pending,
        reason: None,
        mime_type: Some("image/jpeg".into()),
        size: Some(5),
        sha256: Some([1; 32]),
        filename: None,
        link: None,
        source: Some(vec![1]),
        created_at: gateway.now(),
        expires_at: gateway.now().after(Duration::from_secs(3_600)),
    };
    gateway.ledger.create_media(media.clone()).await.unwrap();
    media
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_in_and_comes_out() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let picture = [png(640, 480), vec![7; 700_000]].concat();
    let made = upload(&gateway, &tenant, &[text("type", "image"), file("../my cat.png", "image/png", &picture)]).await;
    let location = made.header("location").unwrap().to_owned();
    let made = made.is(201);
    let id = made["id"].as_str().unwrap();
    assert_eq!(location, format!("/v1/media/{id}"));
    let hash = hex::encode(Sha256::digest(&picture));
    assert_eq!((&made["state"], &made["mime_type"], &made["sha256"]), (&json!("ready"), &json!("image/png"), &json!(hash)));
    assert_eq!((&made["size"], &made["filename"]), (&json!(picture.len()), &json!("my cat.png")));
    assert_eq!(gateway.get(&format!("{location}/info"), &tenant.key).await.is(200), made);

    let out = gateway.get(&location, &tenant.key).await;
    assert_eq!((out.status.as_u16(), out.body[..] == picture[..]), (200, true));
    assert_eq!(out.header("content-type"), Some("image/png"));
    assert_eq!(out.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(out.header("accept-ranges"), Some("bytes"));
    assert!(out.header("content-disposition").unwrap().starts_with("attachment; filename=\"my cat.png\""));
    assert!(out.header("content-security-policy").unwrap().contains("sandbox"));

    let rest = gateway.call("GET", &location, &tenant.key, &[("range", "bytes=700000-")], "").await;
    assert_eq!((rest.status.as_u16(), &rest.body[..]), (206, &picture[700_000..]));
    let range = format!("bytes 700000-{}/{}", picture.len() - 1, picture.len());
    assert_eq!(rest.header("content-range"), Some(range.as_str()));
    let beyond = gateway.call("GET", &location, &tenant.key, &[("range", "bytes=9999999-")], "").await;
    beyond.is_problem(416, "range_not_satisfiable");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_56_57_59_61_what_is_not_what_it_says_is_refused() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let refused = async |parts: &[Part<'_>], status, code| upload(&gateway, &tenant, parts).await.is_problem(status, code);
    let html = b"<!DOCTYPE html><html><script>alert(1)</script></html>";
    let program = [&b"MZ"[..], &[0; 600]].concat();
    for bytes in [&html[..], &program] {
        refused(&[file("a.png", "image/png", bytes)], 422, "type_mismatch").await;
        refused(&[text("type", "image"), file("a", "", bytes)], 422, "type_mismatch").await;
        refused(&[file("a", "", bytes), text("type", "video")], 422, "type_mismatch").await;
    }
    refused(&[file("bomb.png", "image/png", &png(100_000, 100_000))], 422, "too_many_pixels").await;
    refused(&[text("type", "document"), file("bomb.png", "image/png", &png(100_000, 100_000))], 422, "too_many_pixels")
        .await;
    let large = [png(10, 10), vec![0; usize::try_from(LIMITS.max_image_bytes).unwrap()]].concat();
    refused(&[text("type", "image"), file("a.png", "image/png", &large)], 413, "too_large").await;
    refused(&[file("a.png", "image/png", &large), text("type", "image")], 413, "too_large").await;
    let huge = vec![1; usize::try_from(LIMITS.max_document_bytes).unwrap() + 1];
    refused(&[file("a.bin", "", &huge)], 413, "too_large").await;
    refused(&[file("a.bin", "", &[huge.clone(), huge].concat())], 413, "too_large").await;
    nothing_is_left(&gateway).await;

    let named = upload(&gateway, &tenant, &[file("../../etc/passwd", "text/plain", b"words")]).await.is(201);
    assert_eq!(named["filename"], "passwd");
    let named = upload(&gateway, &tenant, &[file("..", "text/html", html)]).await.is(201);
    assert_eq!(named["filename"], Value::Null);
    // A browser is never told to show it.
    let shown = gateway.get(&format!("/v1/media/{}", named["id"].as_str().unwrap()), &tenant.key).await;
    assert_eq!(shown.header("content-type"), Some("application/octet-stream"));
    for path in files(&gateway) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.parse::<MediaId>().is_ok(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_is_none_is_refused() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let with = async |kind: &str, body: Bytes| {
        gateway.call("POST", "/v1/media", &tenant.key, &[("content-type", kind)], body).await
    };
    with("application/json", "{}".into()).await.is_problem(415, "unsupported_media_type");
    with("multipart/form-data", "x".into()).await.is_problem(415, "unsupported_media_type");
    with(FORM, "x".into()).await.is_problem(400, "invalid_form");
    with(FORM, form(&[])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[text("type", "image")])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[text("type", "hologram"), file("a", "", b"x")])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[text("type", &"x".repeat(1_000_000)), file("a", "", b"x")])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[file("a", "", b"")])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[file("a", "", b"x"), file("b", "", b"y")])).await.is_problem(422, "invalid_request");
    with(FORM, form(&[file("a", "", b"x"), text("canary", "y")])).await.is_problem(422, "invalid_request");
    let whole = form(&[file("a", "", b"x")]);
    with(FORM, whole.slice(..whole.len() - 12)).await.is_problem(400, "invalid_form");
    with(FORM, form(&[text("a\u{5}b", "x"), file("a", "", b"x")])).await.is_problem(400, "invalid_form");
    // The parser gathers a part's head: it must not gather for ever.
    let endless = Part { head: format!("X: {}\r\n", "x".repeat(3 * 1024 * 1024)), body: b"" };
    with(FORM, form(&[endless])).await.is_problem(400, "invalid_form");
    nothing_is_left(&gateway).await;
    let reader = gateway.key(&tenant.id, json!({"name": "reader", "scopes": ["read"]})).await;
    let refused = gateway.call("POST", "/v1/media", &reader, &[("content-type", FORM)], whole).await;
    refused.is_problem(403, "insufficient_scope");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_58_an_upload_that_breaks_off_or_stands_still_leaves_nothing() {
    let gateway = Gateway::with(Options { body_timeout_ms: 400, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {FORM}\r\ncontent-length: 3000000\r\n\r\n",
        tenant.key
    );
    let begun = async || {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&form(&[file("a", "", &[7; 1_500_000])])[..1_400_000]).await.unwrap();
        until("its bytes arrive", async || (!files(&gateway).is_empty()).then_some(())).await;
        stream
    };
    drop(begun().await);
    nothing_is_left(&gateway).await;
    let mut standing_still = begun().await;
    let mut answer = String::new();
    let _ = standing_still.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body_timeout"), "{answer}");
    nothing_is_left(&gateway).await;
    let far = gateway.now().after(Duration::from_secs(1 << 30));
    until("nothing is known of them", async || {
        gateway.ledger.expired_media(far, 10).await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_makes_one_file() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let once = async |key: &str, parts: &[Part<'_>]| {
        let headers = [("content-type", FORM), ("idempotency-key", key)];
        gateway.call("POST", "/v1/media", &tenant.key, &headers, form(parts)).await
    };
    let first = once("k", &[file("a.txt", "text/plain", b"words")]).await.is(201);
    let again = once("k", &[file("a.txt", "text/plain", b"words")]).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.is(201), first);
    once("k", &[file("a.txt", "text/plain", b"other")]).await.is_problem(422, "idempotency_mismatch");
    once("", &[file("a.txt", "text/plain", b"words")]).await.is_problem(400, "invalid_idempotency_key");
    until("one file is left", async || (files(&gateway).len() == 1).then_some(())).await;
    let id = first["id"].as_str().unwrap();
    assert_eq!(&gateway.get(&format!("/v1/media/{id}"), &tenant.key).await.body[..], b"words");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_file_is_unknown() {
    let gateway = Gateway::start().await;
    let (tenant, stranger) = (gateway.tenant().await, gateway.tenant().await);
    let id = stored(&gateway, &tenant, "a.txt", "text/plain", b"words").await;
    for id in [&id, "01a2058b2e44715fa971c7b66cbd51ce", "nonsense"] {
        gateway.get(&format!("/v1/media/{id}"), &stranger.key).await.is_problem(404, "not_found");
        gateway.get(&format!("/v1/media/{id}/info"), &stranger.key).await.is_problem(404, "not_found");
        gateway.post(&format!("/v1/media/{id}/links"), &stranger.key, json!({})).await.is_problem(404, "not_found");
        gateway.delete(&format!("/v1/media/{id}"), &stranger.key).await.is_problem(404, "not_found");
    }
    gateway.get(&format!("/v1/media/{id}"), "").await.is_problem(401, "unauthenticated");
    assert_eq!(&gateway.get(&format!("/v1/media/{id}"), &tenant.key).await.body[..], b"words");
    gateway.delete(&format!("/v1/media/{id}"), &tenant.key).await.is(204);
    gateway.delete(&format!("/v1/media/{id}"), &tenant.key).await.is(204);
    nothing_is_left(&gateway).await;
    let gone = gateway.get(&format!("/v1/media/{id}"), &tenant.key).await;
    gone.is_problem(410, "media_failed");
    assert_eq!(gone.json()["reason"], "deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_needs_no_key_and_ends() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let id = stored(&gateway, &tenant, "a.txt", "text/plain", b"words").await;
    let links = format!("/v1/media/{id}/links");
    let link = gateway.post(&links, &tenant.key, json!({"expires_in_s": 60})).await.is(201);
    let url = link["url"].as_str().unwrap();
    let out = gateway.get(url, "").await;
    assert_eq!((out.status.as_u16(), &out.body[..]), (200, &b"words"[..]));

    let other = stored(&gateway, &tenant, "b.txt", "text/plain", b"others").await;
    let later = url.replace("expires=", "expires=9");
    let unsigned = url.split("&signature=").next().unwrap();
    for wrong in [url.replace(&id, &other), later, unsigned.to_owned(), format!("{unsigned}&signature={}", "0".repeat(64))] {
        gateway.get(&wrong, "").await.is_problem(404, "not_found");
    }
    gateway.clock.turn(Duration::from_secs(61));
    gateway.get(url, "").await.is_problem(410, "link_expired");

    for wrong in
        [json!({"expires_in_s": 0}), json!({"expires_in_s": 604_801}), json!({"expires_in_s": "1"}), json!({"x": 1})]
    {
        gateway.post(&links, &tenant.key, wrong).await.is_problem(422, "invalid_request");
    }
    // Never beyond the file.
    let file = gateway.get(&format!("/v1/media/{id}/info"), &tenant.key).await.is(200);
    let link = gateway.post(&links, &tenant.key, json!({"expires_in_s": 604_800})).await.is(201);
    let seconds = |value: &Value| value.as_str().unwrap()[..19].to_owned();
    assert_eq!(seconds(&link["expires_at"]), seconds(&file["expires_at"]));
    gateway.clock.turn(Duration::from_secs(LIMITS.retention_s));
    let over = gateway.get(&format!("/v1/media/{id}"), &tenant.key).await;
    over.is_problem(410, "media_failed");
    assert_eq!(over.json()["reason"], "expired");
    gateway.post(&links, &tenant.key, json!({})).await.is_problem(410, "media_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_room_are_limited() {
    let gateway = Gateway::with(Options { uploads_per_tenant: 1, ..Options::default() }).await;
    let (tenant, other) = (gateway.tenant().await, gateway.tenant().await);
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: {FORM}\r\ncontent-length: 100\r\n\r\n",
        tenant.key
    );
    let slow = until("a second upload is too many", async || {
        // Each time a new one: the one before may have come while the second was under way, and was refused itself.
        let mut slow = TcpStream::connect(gateway.address).await.unwrap();
        slow.write_all(head.as_bytes()).await.unwrap();
        let answer = upload(&gateway, &tenant, &[file("a", "", b"x")]).await;
        (answer.status.as_u16() == 429).then(|| {
            answer.is_problem(429, "too_many_uploads");
            slow
        })
    })
    .await;
    upload(&gateway, &other, &[file("a", "", b"x")]).await.is(201);
    drop(slow);
    let full = vec![1; usize::try_from(LIMITS.max_document_bytes).unwrap()];
    until("the first one is over", async || {
        (upload(&gateway, &tenant, &[file("a", "", &full)]).await.status.as_u16() == 201).then_some(())
    })
    .await;
    upload(&gateway, &tenant, &[file("a", "", &full)]).await.is(201);
    upload(&gateway, &tenant, &[file("a", "", &full)]).await.is_problem(429, "storage_full");
    upload(&gateway, &other, &[file("a", "", &full)]).await.is(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_file_is_fetched_first() {
    let gateway = Gateway::with(Options { media_fetch_timeout_ms: 2_000, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    let media = received(&gateway, &worker, &tenant).await;
    let path = format!("/v1/media/{}", media.id);
    assert_eq!(gateway.get(&format!("{path}/info"), &tenant.key).await.is(200)["state"], "pending");
    gateway.get(&path, &tenant.key).await.is_problem(503, "unavailable");
    worker.fetch(&gateway);
    let out = gateway.get(&path, &tenant.key).await;
    assert_eq!((out.status.as_u16(), &out.body[..]), (200, &b"hello"[..]));
    let gone = received(&gateway, &worker, &tenant).await;
    worker.lose(gone.id).await;
    let answer = gateway.get(&format!("/v1/media/{}", gone.id), &tenant.key).await;
    answer.is_problem(410, "media_failed");
    assert_eq!(answer.json()["reason"], "gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_43_to_52_a_link_is_judged_before_anything_is_sent() {
    let gateway = Gateway::start().await;
    let tenant = gateway.tenant().await;
    let instance = gateway.instance(&tenant).await;
    Worker::own(&gateway, &tenant.id, &instance).await.pair("628111").await;
    let path = format!("/v1/instances/{instance}/messages");
    let send = async |image: Value| {
        gateway.post(&path, &tenant.key, json!({"to": "628123456789", "type": "image", "image": image})).await
    };
    let refused = [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/",
        "https://127.0.0.1/",
        "https://localhost:8443/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://10.0.0.1/a.png",
        "https://user:pass@files.example/a.png",
        "https://files.example:22/a.png",
        "https://metadata.google.internal/",
        "file:///etc/passwd",
        "gopher://files.example/",
        "ftp://files.example/a.png",
        "data:image/png;base64,AAAA",
        "https://files.example/\r\nx: y",
        "",
    ];
    for link in refused {
        let answer = send(json!({"link": link})).await;
        answer.is_problem(422, "url_not_allowed");
        assert_eq!(answer.json()["field"], "image.link");
        assert!(link.is_empty() || !String::from_utf8_lossy(&answer.body).contains(link));
    }
    let taken = send(json!({"link": "https://files.example/cat.png?token=canary", "caption": "a cat"})).await.is(202);
    let info = gateway.get(&format!("/v1/media/{}/info", taken["image"]["id"].as_str().unwrap()), &tenant.key).await;
    assert!(!String::from_utf8_lossy(&info.body).contains("canary"));
    let info = info.is(200);
    assert_eq!(
        (&info["state"], &info["origin"], &info["instance_id"]),
        (&json!("pending"), &json!("link"), &json!(instance))
    );
    let early = gateway.get(&format!("/v1/media/{}", taken["image"]["id"].as_str().unwrap()), &tenant.key).await;
    early.is_problem(503, "media_pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_sent_as_what_it_is() {
    let gateway = Gateway::start().await;
    let (tenant, stranger) = (gateway.tenant().await, gateway.tenant().await);
    let instance = gateway.instance(&tenant).await;
    let worker = Worker::own(&gateway, &tenant.id, &instance).await;
    worker.pair("628111").await;
    let path = format!("/v1/instances/{instance}/messages");
    let send = async |kind: &str, file: Value| {
        gateway.post(&path, &tenant.key, json!({"to": "628123456789", "type": kind, kind: file})).await
    };
    let picture = png(10, 10);
    let id = stored(&gateway, &tenant, "cat.png", "image/png", &picture).await;
    let sent = send("image", json!({"id": id, "caption": "a cat"})).await.is(202);
    let hash = hex::encode(Sha256::digest(&picture));
    let expected = json!({"id": id, "caption": "a cat", "mime_type": "image/png", "size": picture.len(), "sha256": hash});
    assert_eq!(sent["image"], expected);
    assert_eq!(send("document", json!({"id": id})).await.is(202)["document"]["filename"], "cat.png");
    let named = send("document", json!({"id": id, "filename": "a/b/../dog.png"})).await.is(202);
    assert_eq!(named["document"]["filename"], "dog.png");

    for kind in ["video", "audio", "sticker"] {
        send(kind, json!({"id": id})).await.is_problem(422, "type_mismatch");
    }
    let large = [png(10, 10), vec![0; 3 * 1024 * 1024]].concat();
    let large = stored(&gateway, &tenant, "large.png", "image/png", &large).await;
    send("image", json!({"id": large})).await.is_problem(422, "too_large");
    send("document", json!({"id": large})).await.is(202);
    let sound = stored(&gateway, &tenant, "a.mp3", "audio/mpeg", b"ID3\x03rest").await;
    send("audio", json!({"id": sound})).await.is(202);
    send("audio", json!({"id": sound, "voice": true})).await.is_problem(422, "type_mismatch");
    for wrong in [
        json!({}),
        json!({"id": id, "link": "https://files.example/a.png"}),
        json!({"id": id, "voice": true}),
        json!({"id": id, "url": "x"}),
        json!({"id": "x"}),
        json!({"id": id, "caption": "x".repeat(4_097)}),
    ] {
        send("image", wrong).await.is_problem(422, "invalid_request");
    }
    let both = json!({"to": "628123456789", "type": "image", "image": {"id": id}, "text": {"body": "x"}});
    gateway.post(&path, &tenant.key, both).await.is_problem(422, "invalid_request");

    let theirs = stored(&gateway, &stranger, "a.png", "image/png", &picture).await;
    for unknown in [theirs.as_str(), "01a2058b2e44715fa971c7b66cbd51ce"] {
        send("image", json!({"id": unknown})).await.is_problem(404, "unknown_media");
    }
    // What an instance received is fetched by that instance.
    let pending = received(&gateway, &worker, &tenant).await;
    send("image", json!({"id": pending.id})).await.is(202);
    let second = gateway.instance(&tenant).await;
    Worker::own(&gateway, &tenant.id, &second).await.pair("628222").await;
    let elsewhere = json!({"to": "628123456789", "type": "image", "image": {"id": pending.id}});
    let elsewhere = gateway.post(&format!("/v1/instances/{second}/messages"), &tenant.key, elsewhere).await;
    elsewhere.is_problem(409, "media_pending");
    gateway.delete(&format!("/v1/media/{id}"), &tenant.key).await.is(204);
    let over = send("image", json!({"id": id})).await;
    over.is_problem(409, "media_failed");
    assert_eq!(over.json()["reason"], "deleted");
}
