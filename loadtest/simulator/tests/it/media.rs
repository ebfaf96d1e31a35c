//! The media host, asked the way the published client asks it.
use crate::https::Https;
use crate::support::{Phoneless, eventually, http, paired_with_media, person, simulator};
use serde_json::{Value, json};
use warren_simulator::{Options, Simulator};
use whatsapp_rust::download::MediaType;
use whatsapp_rust::media::{DocumentOptions, ImageOptions, document_message, image_message};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::Downloadable;
use whatsapp_rust::wacore::net::{HttpClient as _, HttpRequest};
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{ErrorChainExt as _, UploadOptions};

const ALICE: &str = "6281100000001";
const BOB: &str = "6281100000002";

async fn upload(client: &Phoneless, bytes: &[u8], kind: MediaType) -> UploadResponse {
    client.client.upload(bytes.to_vec(), kind, UploadOptions::new()).await.unwrap()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|place| u8::try_from(place * 31 % 251).unwrap()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    hex::encode(sha2::Sha256::digest(bytes))
}

async fn send(client: &Phoneless, to: &str, message: Message) -> String {
    let to = format!("{to}@s.whatsapp.net").parse::<whatsapp_rust::Jid>().unwrap();
    client.client.send_message(to, message).await.unwrap().message_id
}

async fn item(simulator: &Simulator, phone: &str, id: &str) -> Value {
    eventually("the message", simulator, &format!("/admin/people/{phone}/inbox"), |inbox| {
        let items = inbox["messages"].as_array()?;
        let item = items.iter().find(|item| item["id"] == id)?;
        (item["media"]["state"] != "pending").then(|| item.clone())
    })
    .await
}

async fn trouble(simulator: &Simulator, change: Value) {
    let (status, answer) = http(simulator, "POST", "/admin/media/trouble", &change.to_string()).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_goes_from_client_to_client_and_to_a_person() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let (bob, _) = paired_with_media(&simulator, &format!("?phone={BOB}")).await;
    let budi = person(&simulator, json!({})).await;
    let picture = bytes(300_001);
    let uploaded = upload(&alice, &picture, MediaType::Image).await;
    let port = simulator.local_addr().port();
    assert!(uploaded.url.starts_with(&format!("https://127.0.0.1:{port}/v/image/")), "{}", uploaded.url);
    let options = ImageOptions { caption: Some("look".to_owned()), ..Default::default() };
    let message = image_message(uploaded, options);
    let id = send(&alice, BOB, message.clone()).await;
    let got = bob
        .wait_for("the image", |event| match event {
            whatsapp_rust::wacore::types::events::Event::Messages(batch) => {
                let found = batch.messages.iter().find(|inbound| inbound.info.id == id)?;
                Some(found.message.image_message.as_option()?.clone())
            }
            _ => None,
        })
        .await;
    assert_eq!(got.caption.as_deref(), Some("look"));
    assert_eq!(bob.client.download(&got).await.unwrap(), picture);
    let id = send(&alice, &budi, message).await;
    let item = item(&simulator, &budi, &id).await;
    assert_eq!((item["kind"].as_str(), item["caption"].as_str()), (Some("image"), Some("look")));
    assert_eq!(item["media"]["sha256"].as_str(), Some(sha256(&picture).as_str()));
    assert_eq!(item["media"]["size"], 300_001);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_is_expired_damaged_or_slow_on_demand() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let content = bytes(40_000);
    let uploaded = upload(&alice, &content, MediaType::Document).await;
    let path = uploaded.direct_path.clone();
    let message = document_message(uploaded, DocumentOptions::default());
    let document = message.document_message.as_option().unwrap();
    let fetch = || async { alice.client.download(document as &dyn Downloadable).await };
    assert_eq!(fetch().await.unwrap(), content);
    trouble(&simulator, json!({"direct_path": path, "status": 410})).await;
    let error = fetch().await.unwrap_err();
    assert_eq!(error.http_status(), Some(410));
    trouble(&simulator, json!({"direct_path": path, "status": 0, "corrupt": true})).await;
    assert!(fetch().await.is_err());
    trouble(&simulator, json!({"direct_path": path, "corrupt": false, "bytes_per_second": 100_000})).await;
    let started = std::time::Instant::now();
    assert_eq!(fetch().await.unwrap(), content);
    assert!(started.elapsed().as_millis() >= 300, "{:?}", started.elapsed());
    trouble(&simulator, json!({"upload_status": 503})).await;
    let refused = alice.client.upload(content.clone(), MediaType::Document, UploadOptions::new()).await;
    assert!(refused.is_err());
    let (status, _) = http(&simulator, "DELETE", "/admin/media/trouble", "").await;
    assert_eq!(status, 200);
    upload(&alice, &content, MediaType::Document).await;
    assert_eq!(fetch().await.unwrap(), content);
    let (_, files) = http(&simulator, "GET", "/admin/media", "").await;
    assert_eq!(files["files"].as_array().unwrap().len(), 2, "{files}");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_is_asked_about_first_and_kept_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(dir.path().to_owned()), ..Options::default() };
    let simulator = simulator(options.clone()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let content = bytes(6 * 1024 * 1024);
    let first = upload(&alice, &content, MediaType::Video).await;
    // The same bytes under the same key are the same file: the server says that it has it.
    let again = UploadOptions::new().with_media_key(first.media_key);
    let again = alice.client.upload(content.clone(), MediaType::Video, again).await.unwrap();
    assert_eq!(again.direct_path, first.direct_path);
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert_eq!(stats["media_uploads"], 1, "{stats}");
    alice.stop().await;
    simulator.shutdown().await;
    let simulator = crate::support::simulator(options).await;
    let https = Https::new(&simulator);
    let url = format!("https://{}{}", simulator.local_addr(), first.direct_path);
    let got = https.execute(HttpRequest::get(url)).await.unwrap();
    assert_eq!((got.status_code, got.body.len()), (200, content.len() + 16 + 10));
    simulator.shutdown().await;
}

/// An upload over HTTP without TLS, cut off when so many bytes of its body are written.
async fn cut_upload(simulator: &Simulator, path: &str, body: &[u8], written: usize) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(simulator.local_addr()).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: simulator\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body[..written]).await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_cut_off_goes_on_where_it_stopped() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let conn = alice.client.refresh_media_conn(false).await.unwrap();
    let body = bytes(1_000_000);
    let token = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&body));
    let path = format!("/mms/video/{token}?auth={}&token={token}", conn.auth);
    cut_upload(&simulator, &path, &body, 600_000).await;
    let https = Https::new(&simulator);
    let base = format!("https://{}{path}", simulator.local_addr());
    let asked = || async {
        let answer = https.execute(HttpRequest::post(format!("{base}&resume=1"))).await.unwrap();
        serde_json::from_slice::<Value>(&answer.body).unwrap()["resume"].as_str().unwrap().to_owned()
    };
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    while asked().await != "600000" {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    // A small one: the refusal comes before the body is read, and would cut a large one off.
    let wrong = HttpRequest::post(format!("{base}&file_offset=7")).with_body(body[7..107].to_vec());
    assert_eq!(https.execute(wrong).await.unwrap().status_code, 400);
    let rest = HttpRequest::post(format!("{base}&file_offset=600000")).with_body(body[600_000..].to_vec());
    assert_eq!(https.execute(rest).await.unwrap().status_code, 200);
    assert_eq!(asked().await, "complete");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_media_goes_when_the_store_is_full() {
    let simulator = simulator(Options { media_limit: 100_000, ..Options::default() }).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let first = upload(&alice, &bytes(60_000), MediaType::Document).await;
    let document = |uploaded| document_message(uploaded, DocumentOptions::default()).document_message;
    let first = document(first);
    let second = document(upload(&alice, &bytes(60_001), MediaType::Document).await);
    assert_eq!(alice.client.download(second.as_option().unwrap()).await.unwrap().len(), 60_001);
    let gone = alice.client.download(first.as_option().unwrap()).await.unwrap_err();
    assert_eq!(gone.http_status(), Some(404));
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn uploads_that_are_not_what_they_say_are_refused() {
    let simulator = simulator(Options::default()).await;
    let https = Https::new(&simulator);
    let token = "A".repeat(43);
    let base = format!("https://{}", simulator.local_addr());
    for (path, status) in
        [(format!("/mms/image/{token}?auth=wrong&token={token}"), 401), (format!("/mms/image/{token}"), 401)]
    {
        let answer = https.execute(HttpRequest::post(format!("{base}{path}")).with_body(vec![0_u8; 10])).await.unwrap();
        assert_eq!(answer.status_code, status, "{path}");
    }
    for path in [format!("/v/image/{token}.enc"), "/v/../x.enc".to_owned(), "/v/image/short.enc".to_owned()] {
        let answer = https.execute(HttpRequest::get(format!("{base}{path}"))).await.unwrap();
        assert_eq!(answer.status_code, 404, "{path}");
    }
    simulator.shutdown().await;
}
