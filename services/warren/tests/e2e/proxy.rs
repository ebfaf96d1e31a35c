//! An instance's proxy: everything goes through it, or nowhere.

use crate::main_path::is_sent;
use crate::media::upload;
use crate::{binary, stage};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use warren_testkit::{Answer, Draft, PATIENCE, Stage, eventually};

const USER: &str = "tenant";
const PASSWORD: &str = "canary-p@ss";

/// A proxy that speaks both ways, to whoever has the password.
struct Proxy {
    port: u16,
    tunnels: Arc<AtomicU32>,
    dead: Arc<AtomicBool>,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tunnels, dead) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, is_dead) = (tunnels.clone(), dead.clone());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if !is_dead.load(Ordering::SeqCst) {
                    let (counted, is_dead) = (counted.clone(), is_dead.clone());
                    tokio::spawn(async move {
                        let _ = serve(stream, &counted, &is_dead).await;
                    });
                }
            }
        });
        Self { port, tunnels, dead, listening }
    }

    fn url(&self, scheme: &str) -> String {
        let password = PASSWORD.replace('@', "%40");
        format!("{scheme}://{USER}:{password}@127.0.0.1:{}", self.port)
    }

    fn tunnels(&self) -> u32 {
        self.tunnels.load(Ordering::SeqCst)
    }
}

/// SOCKS begins with a 5, HTTP with a letter.
async fn serve(mut stream: TcpStream, tunnels: &AtomicU32, dead: &AtomicBool) -> std::io::Result<()> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    let target = if first[0] == 5 { socks(&mut stream).await? } else { http(&mut stream).await? };
    let Some(target) = target else { return Ok(()) };
    let mut upstream = TcpStream::connect(target).await?;
    tunnels.fetch_add(1, Ordering::SeqCst);
    let died = async {
        while !dead.load(Ordering::SeqCst) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        _ = copy_bidirectional(&mut stream, &mut upstream) => {}
        () = died => {}
    }
    Ok(())
}

async fn http(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let expected = base64(&format!("{USER}:{PASSWORD}"));
    if !head.contains(&format!("Proxy-Authorization: Basic {expected}\r\n")) {
        stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n").await?;
        return Ok(None);
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(head.split(' ').nth(1).map(str::to_owned))
}

async fn socks(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut greeting = [0; 2];
    stream.read_exact(&mut greeting).await?;
    let mut methods = vec![0; usize::from(greeting[1])];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&2) {
        stream.write_all(&[5, 0xff]).await?;
        return Ok(None);
    }
    stream.write_all(&[5, 2]).await?;
    let mut header = [0; 2];
    stream.read_exact(&mut header).await?;
    let mut user = vec![0; usize::from(header[1])];
    stream.read_exact(&mut user).await?;
    let mut password = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut password).await?;
    if (user, password) != (USER.as_bytes().to_vec(), PASSWORD.as_bytes().to_vec()) {
        stream.write_all(&[1, 1]).await?;
        return Ok(None);
    }
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => {
            let mut address = [0; 4];
            stream.read_exact(&mut address).await?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        _ => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
    };
    let port = stream.read_u16().await?;
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    Ok(Some(format!("{host}:{port}")))
}

/// RFC 4648, with padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = text.as_bytes().chunks(3).map(|group| {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        let digit = |place: usize| char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]);
        (0..4).map(|place| if place <= group.len() { digit(place) } else { '=' }).collect::<String>()
    });
    groups.collect()
}

/// A Warren whose deployment allows proxies on this machine.
async fn open_stage() -> Stage {
    Stage::start_with(binary(), |options| options.env("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#)).await.unwrap()
}

async fn set(stage: &Stage, id: &str, proxy: Value) -> Answer {
    let body = json!({"proxy": proxy});
    stage.api.request(Method::PATCH, &format!("/v1/instances/{id}"), Some(&body), &[]).await.unwrap()
}

async fn check(stage: &Stage, id: &str) -> Answer {
    stage.api.post(&format!("/v1/instances/{id}/proxy/check"), &json!({})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_pairs_and_sends_through_its_proxy() {
    let stage = open_stage().await;
    let person = stage.simulator.person(json!({})).await.unwrap();
    for scheme in ["http", "socks5"] {
        let proxy = Proxy::start().await;
        let body = json!({"name": scheme, "proxy": {"url": proxy.url(scheme)}});
        let made = stage.api.post("/v1/instances", &body).await.unwrap();
        assert_eq!(made.status, 201, "{}", made.text);
        assert_eq!(made.body["proxy"]["url"], json!(format!("{scheme}://***@127.0.0.1:{}", proxy.port)));
        let id = made.body["id"].as_str().unwrap().to_owned();
        let checked = check(&stage, &id).await;
        assert_eq!((checked.status.as_u16(), &checked.body["works"]), (200, &json!(true)), "{}", checked.text);
        assert_eq!(proxy.tunnels(), 1);
        stage.pair_as(&id, None).await.unwrap();
        // One for the pairing, one for the login.
        assert_eq!(proxy.tunnels(), 3);
        let sent = stage.api.send(&id, &Draft::text(&person.phone, scheme).wait()).await.unwrap();
        assert!(is_sent(&sent), "{sent:?}");
        let shown = stage.api.get(&format!("/v1/instances/{id}")).await.unwrap();
        for text in [made.text, shown.text, stage.warren.last_lines(1_000)] {
            assert!(!text.contains("canary") && !text.contains(USER), "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_through_the_proxy_both_ways() {
    let stage = open_stage().await;
    let person = stage.simulator.person(json!({})).await.unwrap();
    for scheme in ["http", "socks5"] {
        let proxy = Proxy::start().await;
        let made = stage.api.post("/v1/instances", &json!({"proxy": {"url": proxy.url(scheme)}})).await.unwrap();
        let id = made.body["id"].as_str().unwrap().to_owned();
        let phone = stage.pair_as(&id, None).await.unwrap();
        let before = proxy.tunnels();

        let media = upload(&stage, "a.pdf", "application/pdf", b"%PDF-1.7\nthrough a proxy").await;
        let body = json!({"to": person.phone, "type": "document", "document": {"id": media["id"]}});
        let sent = stage.api.post(&format!("/v1/instances/{id}/messages?wait=sent"), &body).await.unwrap();
        assert_eq!((sent.status.as_u16(), &sent.body["reason"]), (200, &Value::Null), "{}", sent.text);
        let uploaded = proxy.tunnels();
        assert!(uploaded > before, "the file went around the proxy");

        let body = json!({"to": phone, "message": {"kind": "document", "media": {"size": 50_000}}});
        stage.simulator.request(Method::POST, &format!("/people/{}/send", person.phone), Some(&body)).await.unwrap();
        let event = eventually("the document", PATIENCE, async || {
            let log = stage.api.events(&id).await?;
            Ok(log.into_iter().find(|event| event.kind == "message.received"))
        })
        .await
        .unwrap();
        let file = format!("/v1/media/{}", event.text("/document/id"));
        assert_eq!(stage.api.get(&file).await.unwrap().status, 200);
        assert!(proxy.tunnels() > uploaded, "the file came around the proxy");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_proxy_is_said_and_never_gone_around() {
    let stage = open_stage().await;
    let a = stage.pair("a").await.unwrap();
    let proxy = Proxy::start().await;
    let changed = set(&stage, &a.id, json!({"url": proxy.url("socks5")})).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    eventually("it is online through the proxy", PATIENCE, async || {
        Ok((proxy.tunnels() == 1 && stage.api.instance(&a.id).await?.state == "online").then_some(()))
    })
    .await
    .unwrap();

    proxy.dead.store(true, Ordering::SeqCst);
    eventually("the reason is shown", PATIENCE, async || {
        let shown = stage.api.instance(&a.id).await?;
        Ok((shown.state == "connecting" && shown.reason.as_deref() == Some("proxy_failed")).then_some(()))
    })
    .await
    .unwrap();
    let checked = check(&stage, &a.id).await;
    assert_eq!(checked.body["works"], false, "{}", checked.text);
    assert!(!stage.simulator.is_connected(&a.phone).await.unwrap(), "it went around its proxy");

    proxy.dead.store(false, Ordering::SeqCst);
    stage.state(&a.id, "online").await.unwrap();
    assert!(proxy.tunnels() >= 2);
    // Without one, it connects directly.
    let before = proxy.tunnels();
    assert_eq!(set(&stage, &a.id, Value::Null).await.body["proxy"], Value::Null);
    proxy.dead.store(true, Ordering::SeqCst);
    stage.state(&a.id, "online").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let sent = stage.api.send(&a.id, &Draft::text(&person.phone, "directly").wait()).await.unwrap();
    assert!(is_sent(&sent), "{sent:?}");
    assert_eq!(proxy.tunnels(), before);
    assert_eq!(check(&stage, &a.id).await.code(), "no_proxy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_is_wrong() {
    let stage = open_stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    let proxy = Proxy::start().await;
    let port = proxy.port;
    // A port that nobody listens to, and a server that is no proxy.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let warren = stage.api.base().rsplit(':').next().unwrap().to_owned();
    for (url, reason) in [
        (format!("socks5://127.0.0.1:{port}"), "credentials_refused"),
        (format!("socks5://{USER}:wrong@127.0.0.1:{port}"), "credentials_refused"),
        (format!("http://{USER}:wrong@127.0.0.1:{port}"), "credentials_refused"),
        (format!("http://127.0.0.1:{closed}"), "unreachable"),
        (format!("socks5://127.0.0.1:{warren}"), "no_proxy"),
    ] {
        assert_eq!(set(&stage, &id, json!({"url": url})).await.status, 200);
        let checked = check(&stage, &id).await;
        assert_eq!((&checked.body["works"], &checked.body["reason"]), (&json!(false), &json!(reason)), "{url}");
    }
    // Pairing through it says so at once.
    stage.api.start_pairing(&id).await.unwrap();
    let failed = eventually("the pairing fails", PATIENCE, async || {
        Ok(Some(stage.api.pairing(&id).await?).filter(|pairing| pairing.state == "failed"))
    })
    .await
    .unwrap();
    assert_eq!(failed.reason.as_deref(), Some("proxy_failed"));
}

/// Rows 44 to 47 of the bad inputs, for proxies; nothing is changed by a refused one.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_inside_the_network_is_refused() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "10.0.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        "redis.default.svc.cluster.local",
        "0x7f000001",
        "2130706433",
        "intranet",
    ] {
        let refused = set(&stage, &id, json!({"url": format!("socks5://{host}:1080")})).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "url_not_allowed"), "{host}: {}", refused.text);
        assert!(!refused.text.contains(host));
    }
    for url in ["", "proxy.example.com:1080", "https://h.example:1", "http://h.example", "http://u:p%0d%0a@h.example:1"] {
        let refused = set(&stage, &id, json!({"url": url})).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_proxy"), "{url}: {}", refused.text);
    }
    assert_eq!(set(&stage, &id, json!("http://h.example:1")).await.status, 422);
    assert_eq!(set(&stage, &id, json!({"url": "http://h.example:1", "kind": "http"})).await.status, 422);
    let refused = stage.api.post("/v1/instances", &json!({"proxy": {"url": "http://127.0.0.1:1"}})).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "url_not_allowed"));
    assert_eq!(stage.api.get(&format!("/v1/instances/{id}")).await.unwrap().body["proxy"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_has_a_name() {
    let stage = stage().await;
    let made = stage.api.post("/v1/instances", &json!({"device_name": "Kasir 1"})).await.unwrap();
    assert_eq!((made.status.as_u16(), &made.body["device_name"]), (201, &json!("Kasir 1")), "{}", made.text);
    let path = format!("/v1/instances/{}", made.body["id"].as_str().unwrap());
    let change =
        async |name: Value| stage.api.request(Method::PATCH, &path, Some(&json!({"device_name": name})), &[]).await.unwrap();
    assert_eq!(change(json!("Kasir 2")).await.body["device_name"], "Kasir 2");
    for name in [json!(""), json!("  "), json!("x".repeat(51)), json!("a\nb"), json!(1)] {
        assert_eq!(change(name.clone()).await.status, 422, "{name}");
    }
    assert_eq!(change(Value::Null).await.body["device_name"], Value::Null);
}
