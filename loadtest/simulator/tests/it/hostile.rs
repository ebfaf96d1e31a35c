//! Peers that mean harm: each loses its connection, is counted and told of in the log, and an honest client notices nothing.

use std::time::Duration;

use crate::peer::{frame, hello, log_in, plain, receive, send};
use crate::support::{PATIENCE, Phoneless, eventually, http, paired, person, simulator};
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_libsignal::protocol::KeyPair;
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPayload;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::wacore::store::traits::DeviceStore as _;

/// So many sockets that say nothing.
const SILENT: usize = 1_000;
/// What all of a test's hostile peers together may cost the process, in bytes of address space: a single one of the nodes here
/// took more when it was decoded as it came.
const COST: u64 = 512 * 1024 * 1024;

/// Two honest people: a client and a person who talk before, during and after.
struct Honest {
    client: Phoneless,
    phone: String,
    person: String,
}

impl Honest {
    async fn new(simulator: &Simulator) -> Self {
        let (client, scanned) = paired(simulator, "").await;
        let person = person(simulator, json!({})).await;
        Self { client, phone: scanned["phone"].as_str().unwrap().to_owned(), person }
    }

    /// A text each way.
    async fn talk(&self, simulator: &Simulator, text: &str) {
        let id = self.client.send(&format!("{}@s.whatsapp.net", self.person), text).await;
        let path = format!("/admin/people/{}/inbox", self.person);
        eventually("the person has it", simulator, &path, |inbox| {
            inbox["messages"].as_array()?.iter().any(|message| message["id"] == id.as_str()).then_some(())
        })
        .await;
        let answer = format!("re: {text}");
        let path = format!("/admin/people/{}/send", self.person);
        crate::support::post(simulator, &path, json!({"to": self.phone, "text": answer})).await;
        self.client.wait_text(&answer).await;
    }

    /// It never lost its connection.
    async fn was_left_alone(self, simulator: &Simulator) {
        let (_, accounts) = http(simulator, "GET", "/admin/accounts", "").await;
        let own = accounts["accounts"].as_array().unwrap().iter().find(|account| account["phone"] == self.phone.as_str());
        assert_eq!((&own.unwrap()["devices"][0]["logins"], &own.unwrap()["devices"][0]["replaced"]), (&json!(1), &json!(0)));
        self.client.stop().await;
    }
}

async fn stats(simulator: &Simulator) -> Value {
    http(simulator, "GET", "/admin/stats", "").await.1
}

/// How much a counter grew.
fn grown(before: &Value, after: &Value, name: &str) -> u64 {
    after[name].as_u64().unwrap() - before[name].as_u64().unwrap()
}

/// Waits until a counter grew by this, and no more; a connection is counted when its end was waited for.
async fn counted(simulator: &Simulator, before: &Value, name: &str, count: u64) -> Value {
    let after =
        eventually(name, simulator, "/admin/stats", |stats| (grown(before, stats, name) >= count).then(|| stats.clone()));
    let after = after.await;
    assert_eq!(grown(before, &after, name), count, "{after}");
    after
}

/// The most address space that this process ever had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

/// Sends a node as an unpaired client; true if the connection ends then.
async fn sends(simulator: &Simulator, node: &[u8]) -> bool {
    let mut socket = plain(simulator).await;
    let (cipher, _) = log_in(simulator, &mut socket, 1, b"").await;
    send(&mut socket, frame(&cipher.encrypt_with_counter(0, node).unwrap())).await;
    receive(&mut socket).await.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_and_handshakes_are_refused_and_counted() {
    let simulator = simulator(Options::default()).await;
    let honest = Honest::new(&simulator).await;
    honest.talk(&simulator, "before").await;
    let before = stats(&simulator).await;

    let garbled = [
        b"XX\x06\x03\x00\x00\x00".to_vec(),
        [b"ED\x00\x01".as_slice(), &[0xff; 3]].concat(),
        [&WA_CONN_HEADER, frame(b"garbage").as_slice()].concat(),
        [&WA_CONN_HEADER, frame(b"").as_slice()].concat(),
        [WA_CONN_HEADER.as_slice(), &[0xff, 0xff, 0xff]].concat(),
    ];
    for bytes in garbled {
        let mut socket = plain(&simulator).await;
        send(&mut socket, bytes).await;
        assert!(receive(&mut socket).await.is_none());
    }
    honest.talk(&simulator, "during").await;
    // After the handshake: not for this key; a payload that is no protobuf; a node that is none.
    let mut socket = plain(&simulator).await;
    log_in(&simulator, &mut socket, 1, b"").await;
    send(&mut socket, frame(&[7; 40])).await;
    assert!(receive(&mut socket).await.is_none());
    let mut socket = plain(&simulator).await;
    let (_, hello) = hello(&simulator, KeyPair::generate(&mut rand::rng()), b"\xff\xff\xff\xff".to_vec());
    send(&mut socket, [WA_CONN_HEADER.as_slice(), &frame(&hello)].concat()).await;
    assert!(receive(&mut socket).await.is_some(), "the server's hello");
    assert!(receive(&mut socket).await.is_none());
    assert!(sends(&simulator, b"\x00\xf8\xff\xff").await);

    let after = counted(&simulator, &before, "protocol_errors", 6).await;
    assert_eq!(grown(&before, &after, "handshakes_failed"), 2, "{after}");
    assert_eq!(grown(&before, &after, "frames_too_large"), 2, "{after}");
    assert_eq!(grown(&before, &after, "frames_broken"), 2, "{after}");
    honest.talk(&simulator, "after").await;
    honest.was_left_alone(&simulator).await;
    simulator.shutdown().await;
}

/// Few bytes that decode to much, or to a call stack without end: without a look before decoding, each of the first three
/// ends the whole process or takes hundreds of megabytes.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_would_take_the_memory_or_the_stack_are_refused() {
    let simulator = simulator(Options::default()).await;
    let honest = Honest::new(&simulator).await;
    honest.talk(&simulator, "before").await;
    let (before, peak_before) = (stats(&simulator).await, peak());

    let addresses_without_end = [&[0_u8, 248, 2, 20][..], &vec![250; 3_000_000]].concat();
    let nodes_without_end = [&[0_u8][..], &[248, 2, 20, 248, 1].repeat(600_000)].concat();
    let claims = [&[0_u8][..], &[248, 2, 20, 249, 0xff, 0xff].repeat(120)].concat();
    let row = [&[248_u8, 2, 20, 249, 0xff, 0xff][..], &[248, 1, 20].repeat(0xffff)].concat();
    let too_many = [&[0_u8, 248, 2, 20, 248, 20][..], &row.repeat(20)].concat();
    let inflating = [&[2_u8][..], &deflated(&vec![0; 12 * 1024 * 1024])].concat();
    assert!(inflating.len() < 64 * 1024);
    for node in [&addresses_without_end, &nodes_without_end, &claims, &too_many, &inflating] {
        assert!(sends(&simulator, node).await);
        honest.talk(&simulator, &format!("after {} bytes", node.len())).await;
    }

    let after = counted(&simulator, &before, "protocol_errors", 5).await;
    assert_eq!(grown(&before, &after, "frames_broken"), 3, "{after}");
    assert_eq!(grown(&before, &after, "frames_too_large"), 2, "{after}");
    assert!(peak() - peak_before < COST, "{} MiB more than before", (peak() - peak_before) / 1024 / 1024);
    honest.was_left_alone(&simulator).await;
    simulator.shutdown().await;
}

/// Whoever recorded a login sends it again: the connection that took its place since then stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_handshake_takes_nobodys_place() {
    let simulator = simulator(Options::default()).await;
    let (client, scanned) = paired(&simulator, "").await;
    let phone = scanned["phone"].as_str().unwrap().to_owned();
    let backend = client.stop().await;
    // The login that is recorded.
    let keys = backend.load().await.unwrap().unwrap().noise_key;
    let payload = ClientPayload { username: phone.parse().ok(), device: Some(1), ..Default::default() }.encode_to_vec();
    let (_, hello) = hello(&simulator, keys, payload);
    let recorded = [WA_CONN_HEADER.as_slice(), &frame(&hello)].concat();
    let mut socket = plain(&simulator).await;
    send(&mut socket, recorded.clone()).await;
    assert!(receive(&mut socket).await.is_some() && receive(&mut socket).await.is_some(), "the server's hello, and success");
    drop(socket);

    let client = Phoneless::start(simulator.local_addr(), backend).await;
    client.wait_connected().await;
    let person = person(&simulator, json!({})).await;
    let honest = Honest { client, phone, person };
    honest.talk(&simulator, "before").await;
    let before = stats(&simulator).await;
    for _ in 0..3 {
        let mut socket = plain(&simulator).await;
        send(&mut socket, recorded.clone()).await;
        assert!(receive(&mut socket).await.is_none(), "not even a server's hello");
    }

    let after = counted(&simulator, &before, "handshakes_replayed", 3).await;
    assert_eq!((grown(&before, &after, "logins"), grown(&before, &after, "replaced")), (0, 0), "{after}");
    honest.talk(&simulator, "after").await;
    honest.client.stop().await;
    simulator.shutdown().await;
}

/// Half of them say nothing at all, half of them upgrade to a WebSocket and begin a handshake.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_sockets_are_closed_in_time_and_nobody_waits_for_it() {
    let limit = Duration::from_secs(8);
    let simulator = simulator(Options { handshake_timeout: limit, ..Options::default() }).await;
    let honest = Honest::new(&simulator).await;
    honest.talk(&simulator, "before").await;
    let before = stats(&simulator).await;

    let silent = half_open(&simulator, SILENT).await;
    honest.talk(&simulator, "during").await;
    let (newcomer, _) = paired(&simulator, "").await;
    let during = stats(&simulator).await;
    assert!(grown(&before, &during, "connections") > SILENT as u64 / 2, "{during}");

    all_closed(silent).await;
    counted(&simulator, &before, "handshakes_timed_out", SILENT as u64).await;
    honest.talk(&simulator, "after").await;
    newcomer.stop().await;
    honest.was_left_alone(&simulator).await;
    simulator.shutdown().await;
}

/// Where there are more than may be, the oldest make room: an honest client still comes in at once.
#[tokio::test(flavor = "multi_thread")]
async fn more_half_open_sockets_than_may_be_displace_each_other() {
    let hour = Duration::from_secs(3_600);
    let simulator = simulator(Options { handshake_timeout: hour, max_newcomers: 50, ..Options::default() }).await;
    let honest = Honest::new(&simulator).await;
    let before = stats(&simulator).await;

    let silent = half_open(&simulator, SILENT).await;
    let (newcomer, _) = paired(&simulator, "").await;
    honest.talk(&simulator, "during").await;
    let after = eventually("most made room", &simulator, "/admin/stats", |stats| {
        (grown(&before, stats, "connections_displaced") >= SILENT as u64 - 50).then(|| stats.clone())
    })
    .await;
    assert!(grown(&before, &after, "connections_displaced") < SILENT as u64 + 50, "{after}");
    assert_eq!(grown(&before, &after, "handshakes_timed_out"), 0, "{after}");
    newcomer.stop().await;
    honest.was_left_alone(&simulator).await;
    drop(silent);
    simulator.shutdown().await;
}

/// A peer that is not known yet cannot make the server hold much for it.
#[tokio::test(flavor = "multi_thread")]
async fn before_the_handshake_a_peer_may_send_little() {
    let simulator = simulator(Options::default()).await;
    let before = stats(&simulator).await;
    let mut socket = plain(&simulator).await;
    // One WebSocket message, well below the limit for those who are known, with a beginning that promises more.
    let message = [WA_CONN_HEADER.as_slice(), &[0x00, 0x3f, 0xff], &vec![0; 8_000]].concat();
    send(&mut socket, message).await;
    let rest = futures::SinkExt::send(&mut socket, Message::binary(vec![0; 2 * 1024 * 1024])).await;
    let ended = tokio::time::timeout(PATIENCE, socket.next()).await.expect("the server says nothing");
    assert!(rest.is_err() || ended.is_none_or(|ended| ended.map_or(true, |message| message.is_close())));
    counted(&simulator, &before, "frames_too_large", 1).await;
    let honest = Honest::new(&simulator).await;
    honest.talk(&simulator, "after").await;
    honest.was_left_alone(&simulator).await;
    simulator.shutdown().await;
}

/// One socket more than there are places is closed at once.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_an_end_to_connections() {
    let simulator = simulator(Options { max_connections: 20, ..Options::default() }).await;
    let honest = Honest::new(&simulator).await;
    let mut known = Vec::new();
    for _ in 0..19 {
        let mut socket = plain(&simulator).await;
        log_in(&simulator, &mut socket, 1, b"").await;
        known.push(socket);
    }
    let mut refused = TcpStream::connect(simulator.local_addr()).await.unwrap();
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, refused.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok() && nothing.is_empty());
    let id = honest.client.send(&format!("{}@s.whatsapp.net", honest.person), "during").await;
    drop(known);
    is_answered(&simulator).await;
    let inbox = format!("/admin/people/{}/inbox", honest.person);
    eventually("it arrived", &simulator, &inbox, |inbox| (inbox["messages"][0]["id"] == id.as_str()).then_some(())).await;
    assert!(stats(&simulator).await["connections_refused"].as_u64() >= Some(1));
    honest.talk(&simulator, "after").await;
    honest.was_left_alone(&simulator).await;
    simulator.shutdown().await;
}

/// So many sockets that do not become known: every other one upgrades and begins a frame.
async fn half_open(simulator: &Simulator, count: usize) -> Vec<TcpStream> {
    let upgrade = "GET /ws/chat HTTP/1.1\r\nhost: simulator\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut sockets = Vec::new();
    for number in 0..count {
        let mut socket = TcpStream::connect(simulator.local_addr()).await.unwrap();
        if number % 2 == 0 {
            socket.write_all(upgrade.as_bytes()).await.unwrap();
            let mut answer = [0; 12];
            socket.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"HTTP/1.1 101");
        }
        sockets.push(socket);
    }
    sockets
}

/// Waits until there is room for a connection.
async fn is_answered(simulator: &Simulator) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut socket = TcpStream::connect(simulator.local_addr()).await.unwrap();
        let asked = socket.write_all(b"GET /admin/health HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n\r\n").await;
        let mut answer = Vec::new();
        if asked.is_ok() && socket.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200") {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "there is no room again");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

async fn all_closed(sockets: Vec<TcpStream>) {
    for mut socket in sockets {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a socket that never speaks is closed");
    }
}

/// As clients compress what is large.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}
