//! Files behind links: fetched through the egress guard by the owner, before it sends.

use super::{Desk, KINDS, file, mime_type, sha256};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use warren_testkit::Options;

/// A web server for as long as the test runs; its address.
pub(crate) async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Answers by the first part of the path.
async fn serve(mut stream: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.is_ok_and(|count| count > 0) {}
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let head =
        |mime: &str, more: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {mime}\r\nconnection: close\r\n{more}\r\n");
    let sent = match path.as_str() {
        "redirect" => {
            stream.write_all(b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/secret\r\nconnection: close\r\n\r\n").await
        }
        "endless" => endless(&mut stream, &head("image/png", "")).await,
        "html" => {
            let page = head("image/png", "") + "<html><body>no picture at all</body></html>";
            stream.write_all(page.as_bytes()).await
        }
        "missing" => stream.write_all(b"HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n").await,
        kind => {
            let bytes = file(kind, 300_000);
            let length = format!("content-length: {}\r\n", bytes.len());
            let mut answer = head(mime_type(kind), &length).into_bytes();
            answer.extend_from_slice(&bytes);
            stream.write_all(&answer).await
        }
    };
    // Whoever hung up has seen enough.
    let _ = (sent, stream.shutdown().await);
}

async fn endless(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&file("image", 0)).await?;
    loop {
        stream.write_all(&[7; 16 * 1024]).await?;
    }
}

/// What lets the test's own server be asked, and nothing else that is not public.
pub(crate) fn allowing(server: &str) -> impl FnOnce(Options) -> Options {
    let port = server.rsplit(':').next().unwrap().to_owned();
    move |options| {
        options
            .env("WARREN_EGRESS__ALLOW_HTTP", "true")
            .env("WARREN_EGRESS__PORTS", &format!("[80, 443, {port}]"))
            .env("WARREN_EGRESS__NETWORKS", "[\"127.0.0.1/32\"]")
            .env("WARREN_MEDIA__MAX_IMAGE_BYTES", "1000000")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_goes_out_by_link() {
    let server = server().await;
    let desk = Desk::with(allowing(&server)).await;
    for (kind, seen_as) in KINDS {
        let mut given = json!({"link": format!("http://{server}/{kind}")});
        if seen_as == "voice" {
            given["voice"] = json!(true);
        }
        let message = desk.send(&desk.person.phone, kind, given).await;
        let seen = desk.seen(&message).await;
        assert_eq!((&seen["kind"], &seen["media"]["state"]), (&json!(seen_as), &json!("ready")), "{seen}");
        let expected = sha256(&file(kind, 300_000));
        assert_eq!((&seen["media"]["sha256"], &seen["media"]["mime_type"]), (&json!(expected), &json!(mime_type(kind))));
        let media = message[kind]["id"].as_str().unwrap();
        let info = desk.info(media).await;
        assert_eq!((&info["state"], &info["sha256"]), (&json!("ready"), &json!(expected)), "{info}");
        let event = desk.event("media.updated", |event| event.text("/media_id") == media).await;
        assert_eq!((event.text("/state"), event.text("/message_id")), ("ready", message["id"].as_str().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_nowhere_good_fails_its_message_and_says_why() {
    let server = server().await;
    let desk = Desk::with(allowing(&server)).await;
    for (path, reason) in
        [("redirect", "redirect_blocked"), ("endless", "too_large"), ("html", "type_mismatch"), ("missing", "media_fetch")]
    {
        let link = json!({"link": format!("http://{server}/{path}")});
        let message = desk.send(&desk.person.phone, "image", link).await;
        let media = message["image"]["id"].as_str().unwrap();
        assert_eq!(desk.failed(&message).await["reason"], "media", "{path}");
        let info = desk.info(media).await;
        assert_eq!((&info["state"], &info["reason"]), (&json!("failed"), &json!(reason)), "{path}: {info}");
        let event = desk.event("media.updated", |event| event.text("/media_id") == media).await;
        assert_eq!((event.text("/state"), event.text("/reason")), ("failed", reason));
    }
    assert!(desk.inbox(&desk.person.phone).await.unwrap().is_empty());
    // What was cut off left nothing.
    assert_eq!(desk.kept(), 0, "files of refused links were kept");
}
