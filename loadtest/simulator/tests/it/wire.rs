//! The protocol from below: handshakes, the certificate chain, TLS, broken and hostile peers, codes nobody shows.
use std::time::Duration;

use crate::https::connector;
use crate::peer::{frame, log_in, plain, receive, send, web_socket};
use crate::support::{PATIENCE, eventually, http, simulator};
use futures::SinkExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use wacore_binary::consts::{NOISE_PATTERN_XX, WA_CONN_HEADER};
use wacore_libsignal::protocol::{KeyPair, PublicKey};
use wacore_noise::{HandshakeUtils, NoiseHandshake};
use waproto::buffa::Message as _;
use waproto::whatsapp::CertChain;
use waproto::whatsapp::cert_chain::noise_certificate::Details;
use warren_simulator::{Options, Simulator};

async fn still_serves(simulator: &Simulator) {
    let mut socket = plain(simulator).await;
    let (_, node) = log_in(simulator, &mut socket, 1, b"").await;
    assert_eq!(node.tag, "iq");
}

#[tokio::test]
async fn an_unpaired_login_gets_six_references_even_behind_a_routing_preface() {
    let simulator = simulator(Options::default()).await;
    let mut socket = plain(&simulator).await;
    let preface = [b"ED\x00\x01".as_slice(), &frame(b"routing")].concat();
    let (_, node) = log_in(&simulator, &mut socket, 1, &preface).await;
    let references = node.get_optional_child_by_tag(&["pair-device"]).unwrap().children().unwrap().len();
    assert_eq!(references, 6);
    drop(socket);
    eventually("references void", &simulator, "/admin/stats", |stats| (stats["pairing_refs"] == 0).then_some(())).await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_stranger_is_refused_with_401() {
    let simulator = simulator(Options::default()).await;
    let mut socket = plain(&simulator).await;
    let (_, node) = log_in(&simulator, &mut socket, 6_281_100_000_001, b"").await;
    assert_eq!(node.tag, "failure");
    assert_eq!(node.attrs.get("reason").unwrap().to_string(), "401");
    assert!(receive(&mut socket).await.is_none(), "the socket is closed afterwards");
    simulator.shutdown().await;
}

/// XX by hand, because the library's own initiator accepts WhatsApp's root alone.
#[tokio::test]
async fn the_certificate_chain_leads_to_the_published_root() {
    let simulator = simulator(Options::default()).await;
    let trust = simulator.trust();
    let mut socket = plain(&simulator).await;
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let mut noise = NoiseHandshake::new(NOISE_PATTERN_XX, &WA_CONN_HEADER).unwrap();
    noise.authenticate(ephemeral.public_key.public_key_bytes());
    let hello = HandshakeUtils::build_client_hello(ephemeral.public_key.public_key_bytes()).encode_to_vec();
    send(&mut socket, [WA_CONN_HEADER.as_slice(), &frame(&hello)].concat()).await;
    let reply = receive(&mut socket).await.unwrap();
    let (server_ephemeral, sealed_static, sealed_chain) = HandshakeUtils::parse_server_hello(&reply).unwrap();
    noise.authenticate(&server_ephemeral);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &server_ephemeral).unwrap();
    let server_static = noise.decrypt(&sealed_static).unwrap();
    assert_eq!(server_static, trust.static_public_key);
    noise.mix_shared_secret(ephemeral.private_key.serialize(), &server_static).unwrap();
    let chain = CertChain::decode_from_slice(&noise.decrypt(&sealed_chain).unwrap()).unwrap();

    let intermediate = chain.intermediate.into_option().unwrap();
    let leaf = chain.leaf.into_option().unwrap();
    let root = PublicKey::from_djb_public_key_bytes(&trust.root_public_key).unwrap();
    assert!(root.verify_signature(intermediate.details.as_ref().unwrap(), intermediate.signature.as_ref().unwrap()));
    let details = Details::decode_from_slice(intermediate.details.as_ref().unwrap()).unwrap();
    assert_eq!(details.issuer_serial, Some(0));
    let issuer = PublicKey::from_djb_public_key_bytes(details.key.as_ref().unwrap()).unwrap();
    assert!(issuer.verify_signature(leaf.details.as_ref().unwrap(), leaf.signature.as_ref().unwrap()));
    let leaf = Details::decode_from_slice(leaf.details.as_ref().unwrap()).unwrap();
    assert_eq!(leaf.key.unwrap(), trust.static_public_key);
    assert_eq!(leaf.issuer_serial, details.serial);
    simulator.shutdown().await;
}

#[tokio::test]
async fn the_same_port_speaks_tls_under_the_published_authority() {
    let simulator = simulator(Options::default()).await;
    let connector = connector(&simulator);
    let open = || async {
        let stream = TcpStream::connect(simulator.local_addr()).await.unwrap();
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    };
    let mut stream = open().await;
    stream.write_all(b"GET /admin/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut socket = web_socket(open().await).await;
    let (_, node) = log_in(&simulator, &mut socket, 1, b"").await;
    assert_eq!(node.tag, "iq");
    simulator.shutdown().await;
}

#[tokio::test]
async fn broken_peers_are_dropped_and_the_rest_is_served() {
    let options =
        Options { handshake_timeout: Duration::from_millis(300), max_frame_bytes: 64 * 1024, ..Options::default() };
    let simulator = simulator(options).await;

    // A wrong header, garbage for a hello, a hello over the limit.
    for bytes in [b"XX\x06\x03\x00\x00\x00".to_vec(), [&WA_CONN_HEADER, frame(b"garbage").as_slice()].concat(), {
        let mut big = WA_CONN_HEADER.to_vec();
        big.extend_from_slice(&[0xff, 0xff, 0xff]);
        big
    }] {
        let mut socket = plain(&simulator).await;
        send(&mut socket, bytes).await;
        assert!(receive(&mut socket).await.is_none());
    }
    // A text message, and a peer that says nothing at all: before and after the upgrade.
    let mut socket = plain(&simulator).await;
    socket.send(Message::text("hello")).await.unwrap();
    assert!(receive(&mut socket).await.is_none());
    let mut silent = plain(&simulator).await;
    assert!(receive(&mut silent).await.is_none());
    let mut mute = TcpStream::connect(simulator.local_addr()).await.unwrap();
    let mut nothing = Vec::new();
    let closed = tokio::time::timeout(PATIENCE, mute.read_to_end(&mut nothing)).await;
    assert!(closed.is_ok(), "a socket that never speaks is closed");
    // After the handshake: a frame that does not decrypt, a node that does not decode, a frame over the limit.
    let mut socket = plain(&simulator).await;
    log_in(&simulator, &mut socket, 1, b"").await;
    send(&mut socket, frame(&[7; 40])).await;
    assert!(receive(&mut socket).await.is_none());
    let mut socket = plain(&simulator).await;
    let (cipher, _) = log_in(&simulator, &mut socket, 1, b"").await;
    send(&mut socket, frame(&cipher.encrypt_with_counter(0, b"\x00\xf8\xff\xff").unwrap())).await;
    assert!(receive(&mut socket).await.is_none());
    let mut socket = plain(&simulator).await;
    log_in(&simulator, &mut socket, 1, b"").await;
    send(&mut socket, vec![0x02, 0x00, 0x00, 0x00]).await;
    assert!(receive(&mut socket).await.is_none());

    still_serves(&simulator).await;
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert!(stats["handshakes_failed"].as_u64() >= Some(3), "{stats}");
    assert!(stats["protocol_errors"].as_u64() >= Some(3), "{stats}");
    simulator.shutdown().await;
}

#[tokio::test]
async fn codes_nobody_shows_and_requests_nobody_understands_are_refused() {
    let simulator = simulator(Options::default()).await;
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let code = format!("2@nobody,{key},{key},{key},1");
    for (method, path, body, status) in [
        ("POST", "/admin/mock-phone/scan-qr", code.as_str(), 404),
        ("POST", "/admin/mock-phone/scan-qr", "not a code", 422),
        ("POST", "/admin/mock-phone/scan-qr?phone=abc", code.as_str(), 404),
        ("POST", "/admin/people", r#"{"count":0}"#, 422),
        ("POST", "/admin/people", "{", 422),
        ("POST", "/admin/people", r#"{"nmae":"x"}"#, 422),
        ("GET", "/admin/people/6281100000001/inbox", "", 404),
        ("POST", "/admin/accounts/6281100000001/drop", "", 404),
        ("GET", "/admin/nothing", "", 404),
        ("DELETE", "/admin/health", "", 405),
        ("GET", "/ws/chat", "", 426),
    ] {
        let (got, answer) = http(&simulator, method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
        if status != 426 {
            assert!(answer["code"].is_string() && answer["detail"].is_string(), "{answer}");
        }
    }
    let (status, trust) = http(&simulator, "GET", "/admin/trust", "").await;
    assert_eq!(status, 200);
    assert_eq!(trust["static_public_key"].as_str().unwrap().len(), 64);
    simulator.shutdown().await;
}
