//! A peer by hand: it speaks the protocol as far as it likes.

use crate::support::PATIENCE;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{IkHandshakeState, IkServerHelloOutcome, NoiseCipher};
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPayload;
use warren_simulator::Simulator;

pub(crate) async fn web_socket<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> WebSocketStream<S> {
    let (socket, _) = tokio_tungstenite::client_async("ws://localhost/ws/chat?ED=abc", stream).await.unwrap();
    socket
}

pub(crate) async fn plain(simulator: &Simulator) -> WebSocketStream<TcpStream> {
    web_socket(TcpStream::connect(simulator.local_addr()).await.unwrap()).await
}

pub(crate) fn frame(payload: &[u8]) -> Vec<u8> {
    let length = payload.len().to_be_bytes();
    [&length[5..], payload].concat()
}

pub(crate) async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>, bytes: Vec<u8>) {
    socket.send(Message::Binary(bytes.into())).await.unwrap();
}

/// The payload of the next frame; `None` when the server closed.
pub(crate) async fn receive<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) -> Option<Vec<u8>> {
    let next = tokio::time::timeout(PATIENCE, socket.next()).await.expect("the server says nothing");
    match next? {
        Ok(Message::Binary(bytes)) => Some(bytes[3..].to_vec()),
        _ => None,
    }
}

/// The first message of an IK login with these keys and this payload, and what goes on from there.
pub(crate) fn hello(simulator: &Simulator, keys: KeyPair, payload: Vec<u8>) -> (IkHandshakeState, Vec<u8>) {
    let pinned = simulator.trust().static_public_key;
    let mut state = IkHandshakeState::new(keys, pinned, payload, &WA_CONN_HEADER).unwrap();
    let hello = state.build_client_hello().unwrap();
    (state, hello)
}

/// An IK login as `username`; returns the ciphers and what the client was told first.
pub(crate) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    simulator: &Simulator,
    socket: &mut WebSocketStream<S>,
    username: u64,
    preface: &[u8],
) -> (NoiseCipher, wacore_binary::Node) {
    let payload = ClientPayload { username: Some(username), device: Some(0), ..Default::default() }.encode_to_vec();
    let (state, hello) = hello(simulator, KeyPair::generate(&mut rand::rng()), payload);
    send(socket, [preface, &WA_CONN_HEADER, &frame(&hello)].concat()).await;
    let reply = receive(socket).await.unwrap();
    let IkServerHelloOutcome::Continue(outcome) = state.read_server_hello(&reply).unwrap() else {
        panic!("the pinned key was not accepted");
    };
    let mut first = receive(socket).await.unwrap();
    outcome.read_cipher.decrypt_in_place_with_counter(0, &mut first).unwrap();
    let node = wacore_binary::marshal::unmarshal_ref(&first[1..]).unwrap().to_owned();
    (outcome.write_cipher, node)
}
