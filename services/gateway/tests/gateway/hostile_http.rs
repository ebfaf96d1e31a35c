//! Rows 30, 31, 34 and 35 of the bad inputs: what is wrong below the routes. And request ids.

use crate::{
    messages::{online, text},
    support::{Gateway, PATIENCE},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use warren_gateway::Options;

/// Writes bytes and reads until the server closes.
async fn raw(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    // The server may close before everything is written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection is closed");
    String::from_utf8_lossy(&answer).into_owned()
}

fn head(gateway_key: &str, path: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: warren\r\nAuthorization: Bearer {gateway_key}\r\nContent-Type: application/json\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn row_30_a_byte_too_much() {
    let gateway = Gateway::with(Options { body_limit_bytes: 10_000, ..Options::default() }).await;
    let (tenant, _, path) = online(&gateway).await;
    let fits = format!("{:<10000}", text("x").to_string());
    gateway.call("POST", &path, &tenant.key, &[], fits.clone()).await.is(202);
    let body = format!("{fits} ");
    let declared = head(&tenant.key, &path, &format!("Content-Length: {}\r\n", body.len())) + &body;
    let chunked =
        head(&tenant.key, &path, "Transfer-Encoding: chunked\r\n") + &format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for request in [declared, chunked] {
        let answer = raw(&gateway, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        assert!(answer.contains("body_too_large") && answer.to_lowercase().contains("connection: close"));
    }
    // Declared and never sent: refused without waiting for it.
    let lie = head(&tenant.key, &path, "Content-Length: 999999999999\r\n");
    assert!(raw(&gateway, lie.as_bytes()).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn row_31_smuggling() {
    let gateway = Gateway::start().await;
    let (tenant, _, path) = online(&gateway).await;
    let body = text("x").to_string();
    let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for (headers, body) in [
        ("Transfer-Encoding: chunked\r\n".to_owned(), "zz\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("Transfer-Encoding: chunked\r\n".to_owned(), "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n".to_owned()),
        ("Transfer-Encoding: identity, gzip\r\n".to_owned(), chunk.clone()),
        ("Content-Length: 3\r\nContent-Length: 5\r\n".to_owned(), "abcde".to_owned()),
        ("Content-Length: -1\r\n".to_owned(), String::new()),
        ("Content-Length: 1 1\r\n".to_owned(), String::new()),
        ("X: a\r\n b\r\n".to_owned(), String::new()),
        ("X : a\r\n".to_owned(), String::new()),
    ] {
        let answer = raw(&gateway, (head(&tenant.key, &path, &headers) + &body).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "closed after the first");
    }
    // Both lengths: the chunked one holds, the connection is closed, and what follows is never read as a request.
    let both = head(&tenant.key, &path, &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", body.len()));
    let smuggled = format!("{both}{chunk}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = raw(&gateway, smuggled.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(!answer.contains("\"ok\""));
}

#[tokio::test]
async fn row_34_too_many_and_too_large_headers() {
    let gateway = Gateway::start().await;
    let many: String = (0..10_000).map(|n| format!("X-{n}: a\r\n")).collect();
    let large = format!("X: {}\r\n", "a".repeat(64 * 1024));
    let uri = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    for headers in [many, large] {
        let answer = raw(&gateway, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let answer = raw(&gateway, uri.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let hundred_and_one: String = (0..101).map(|n| format!("X-{n}: a\r\n")).collect();
    let answer = raw(&gateway, format!("GET /healthz HTTP/1.1\r\n{hundred_and_one}\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    gateway.get("/healthz", "").await.is(200);
}

#[tokio::test]
async fn row_35_http_2_rapid_reset() {
    let gateway = Gateway::start().await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (client, connection) = hyper::client::conn::http2::handshake::<_, _, http_body_util::Empty<hyper::body::Bytes>>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    let connection = tokio::spawn(connection);
    let flood = async {
        loop {
            let request = hyper::Request::get(format!("http://{}/healthz", gateway.address))
                .body(http_body_util::Empty::new())
                .unwrap();
            let mut client = client.clone();
            if client.ready().await.is_err() {
                break;
            }
            let asked = client.send_request(request);
            tokio::pin!(asked);
            // Polled once, so that it is sent; then dropped, so that it is reset.
            let _ = futures::poll!(&mut asked);
            tokio::task::yield_now().await;
        }
    };
    let others = async {
        for _ in 0..20 {
            // While that goes on, others are served at once.
            tokio::time::timeout(Duration::from_secs(2), gateway.get("/healthz", "")).await.unwrap().is(200);
        }
    };
    tokio::join!(tokio::time::timeout(Duration::from_secs(3), flood), others).1;
    connection.abort();
    gateway.get("/healthz", "").await.is(200);
}

#[tokio::test]
async fn row_35_http_2_continuation_flood() {
    /// A frame of HTTP/2 without flags.
    fn frame(kind: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, stream], payload].concat()
    }
    let gateway = Gateway::start().await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, &[]));
    // A request whose headers never end: HEADERS, and nothing but CONTINUATION.
    bytes.extend(frame(1, 1, &[0x82, 0x86, 0x84]));
    for _ in 0..2_000 {
        bytes.extend(frame(9, 1, &[0x40, 1, b'a', 1, b'b'].repeat(1_000)));
    }
    let answer = raw(&gateway, &bytes).await;
    assert!(!answer.contains("\"ok\""), "closed, and not answered");
    gateway.get("/healthz", "").await.is(200);
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed() {
    let gateway = Gateway::with(Options { header_timeout_ms: 200, ..Options::default() }).await;
    for opening in [&b""[..], b"PRI * HTTP/2", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow:"] {
        let answer = raw(&gateway, opening).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let gateway = Gateway::with(Options { body_timeout_ms: 200, ..Options::default() }).await;
    let tenant = gateway.tenant().await;
    let answer = raw(&gateway, (head(&tenant.key, "/v1/instances", "Content-Length: 100\r\n") + "{").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_timeout"), "{answer}");
}

#[tokio::test]
async fn connections_are_limited_and_served_in_turn() {
    let gateway = Gateway::with(Options { connections: 1, header_timeout_ms: 300, ..Options::default() }).await;
    let holder = TcpStream::connect(gateway.address).await.unwrap();
    // Waits until the silent one is closed, and is served then.
    gateway.get("/healthz", "").await.is(200);
    drop(holder);
}

#[tokio::test]
async fn requests_carry_an_id() {
    let gateway = Gateway::start().await;
    let given = gateway.call("GET", "/v1/nothing", "", &[("x-request-id", "abc-123.x_Y")], "").await;
    given.is_problem(404, "not_found");
    assert_eq!(given.header("x-request-id"), Some("abc-123.x_Y"));
    for id in ["with space", "", &"x".repeat(129), "ü", "a\"b"] {
        let answer = gateway.call("GET", "/healthz", "", &[("x-request-id", id)], "").await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 32, "{id}: replaced");
    }
    let refused = gateway.call("DELETE", "/healthz", "", &[], "").await;
    refused.is_problem(405, "method_not_allowed");
    assert!(refused.header("allow").unwrap().contains("GET"));
    gateway.call("BREW", "/healthz", "", &[], "").await.is_problem(405, "method_not_allowed");
}
