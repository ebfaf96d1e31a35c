//! The admin server over a real socket.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use warren_runtime::{Admin, Health, Lifecycle, Metrics};

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: warren\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test]
async fn shows_health_and_metrics_until_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (metrics, health, lifecycle) = (Metrics::new(), Health::new(), Lifecycle::new());
    metrics.counter("warren_test_total", "A test.").inc_by(3);
    let admin = Admin { metrics, health: health.clone(), lifecycle: lifecycle.clone(), version: "1.2.3" };
    let stop = CancellationToken::new();
    let served = tokio::spawn(admin.serve(listener, stop.clone()));

    assert_eq!(get(address, "/healthz").await, (200, r#"{"status":"ok","version":"1.2.3"}"#.to_owned()));
    let (status, body) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    assert!(body.contains("warren_test_total 3") && body.contains("process_resident_memory_bytes"), "{body}");

    let store = health.check("store");
    assert_eq!(get(address, "/readyz").await.0, 503);
    store.set(true);
    let ready = r#"{"status":"ready","draining":false,"checks":{"store":true}}"#;
    assert_eq!(get(address, "/readyz").await, (200, ready.to_owned()));
    lifecycle.begin_stop();
    let draining = r#"{"status":"not_ready","draining":true,"checks":{"store":true}}"#;
    assert_eq!(get(address, "/readyz").await, (503, draining.to_owned()));
    assert_eq!(get(address, "/nothing").await.0, 404);

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap().unwrap();
}
