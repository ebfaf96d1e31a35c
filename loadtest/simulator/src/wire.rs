//! Frames and nodes over one WebSocket: buffering, Noise transport encryption, limits.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;
use wacore_binary::consts::WA_CONN_HEADER;
use wacore_binary::{Node, OwnedNodeRef};
use wacore_noise::NoiseCipher;

use crate::noise::{self, Established};
use crate::socket::Socket;
use crate::trust::Keys;

/// Before the handshake nobody has a reason to send more than this in one frame.
const HELLO_LIMIT: usize = 16 * 1024;
/// `ED` 0 1, a three byte length, then routing data that is of no use here.
const ROUTING_PREFACE: &[u8; 4] = b"ED\x00\x01";
const LENGTH_BYTES: usize = 3;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the peer does not speak the protocol: {0}")]
    Protocol(&'static str),
    #[error("a frame of {0} bytes is over the limit")]
    TooLarge(usize),
    #[error("a frame could not be decrypted or decoded")]
    BadFrame,
    #[error("handshake: {0}")]
    Handshake(#[from] noise::Error),
    #[error("the peer did not take bytes in time")]
    WriteTimeout,
    #[error("websocket: {0}")]
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
}

impl From<tokio_tungstenite::tungstenite::Error> for Error {
    fn from(error: tokio_tungstenite::tungstenite::Error) -> Self {
        use tokio_tungstenite::tungstenite::Error as Ws;
        use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
        match error {
            Ws::ConnectionClosed | Ws::AlreadyClosed | Ws::Io(_) | Ws::Protocol(ResetWithoutClosingHandshake) => {
                Self::Closed
            }
            other => Self::WebSocket(Box::new(other)),
        }
    }
}

/// The byte side: WebSocket messages in, length-prefixed frames out of them.
pub(crate) struct Frames {
    socket: WebSocketStream<Socket>,
    inbound: BytesMut,
    max_frame: usize,
    write_timeout: Duration,
}

impl Frames {
    pub(crate) fn new(socket: WebSocketStream<Socket>, max_frame: usize, write_timeout: Duration) -> Self {
        Self { socket, inbound: BytesMut::new(), max_frame, write_timeout }
    }

    /// Runs the handshake; the caller bounds its time.
    pub(crate) async fn handshake(mut self, keys: &Keys) -> Result<(Wire, Peer), Error> {
        self.read_preface().await?;
        let hello = self.next_frame(HELLO_LIMIT).await?;
        let established = match noise::answer_hello(keys, &hello)? {
            noise::Step::Done { reply, established } => {
                self.write_frame(&reply).await?;
                *established
            }
            noise::Step::AwaitFinish { reply, pending } => {
                self.write_frame(&reply).await?;
                let finish = self.next_frame(HELLO_LIMIT).await?;
                pending.finish(&finish)?
            }
        };
        let Established { read, write, client_static, payload } = established;
        let wire = Wire { frames: self, read, write, read_counter: 0, write_counter: 0, outbound: BytesMut::new() };
        Ok((wire, Peer { client_static, payload }))
    }

    async fn read_preface(&mut self) -> Result<(), Error> {
        self.fill(WA_CONN_HEADER.len()).await?;
        if self.inbound.starts_with(ROUTING_PREFACE) {
            self.inbound.advance(ROUTING_PREFACE.len());
            let routing = self.read_length().await?;
            if routing > HELLO_LIMIT {
                return Err(Error::TooLarge(routing));
            }
            self.fill(routing).await?;
            self.inbound.advance(routing);
            self.fill(WA_CONN_HEADER.len()).await?;
        }
        if !self.inbound.starts_with(&WA_CONN_HEADER) {
            return Err(Error::Protocol("wrong connection header"));
        }
        self.inbound.advance(WA_CONN_HEADER.len());
        Ok(())
    }

    async fn read_length(&mut self) -> Result<usize, Error> {
        self.fill(LENGTH_BYTES).await?;
        let length = frame_length(&self.inbound).ok_or(Error::BadFrame)?;
        self.inbound.advance(LENGTH_BYTES);
        Ok(length)
    }

    /// Reads until `needed` bytes are buffered. Cancel-safe: what was read stays in the buffer.
    async fn fill(&mut self, needed: usize) -> Result<(), Error> {
        while self.inbound.len() < needed {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => self.inbound.extend_from_slice(&bytes),
                Some(Ok(Message::Close(_))) | None => return Err(Error::Closed),
                Some(Ok(Message::Text(_))) => return Err(Error::Protocol("a text message")),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Cancel-safe: the length stays in the buffer until the whole frame is there.
    async fn next_frame(&mut self, limit: usize) -> Result<BytesMut, Error> {
        self.fill(LENGTH_BYTES).await?;
        let length = frame_length(&self.inbound).ok_or(Error::BadFrame)?;
        if length > limit {
            return Err(Error::TooLarge(length));
        }
        self.fill(LENGTH_BYTES + length).await?;
        self.inbound.advance(LENGTH_BYTES);
        let frame = self.inbound.split_to(length);
        if self.inbound.is_empty() {
            // An idle connection keeps no buffer.
            self.inbound = BytesMut::new();
        }
        Ok(frame)
    }

    async fn write_frame(&mut self, frame: &[u8]) -> Result<(), Error> {
        let mut out = BytesMut::with_capacity(LENGTH_BYTES + frame.len());
        push_length(&mut out, frame.len());
        out.extend_from_slice(frame);
        self.send(out.freeze()).await
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Error> {
        tokio::time::timeout(self.write_timeout, self.socket.send(Message::Binary(bytes)))
            .await
            .map_err(|_| Error::WriteTimeout)??;
        Ok(())
    }
}

/// Who finished the handshake, and with what payload.
pub(crate) struct Peer {
    pub(crate) client_static: [u8; 32],
    pub(crate) payload: Vec<u8>,
}

/// The node side of an established connection.
pub(crate) struct Wire {
    frames: Frames,
    read: NoiseCipher,
    write: NoiseCipher,
    read_counter: u32,
    write_counter: u32,
    outbound: BytesMut,
}

impl Wire {
    /// The next node, with the bytes it was marshaled to (without the leading flag byte). Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<(OwnedNodeRef, Bytes), Error> {
        let mut frame = self.frames.next_frame(self.frames.max_frame).await?;
        self.read.decrypt_in_place_with_counter(self.read_counter, &mut frame).map_err(|_| Error::BadFrame)?;
        self.read_counter = self.read_counter.checked_add(1).ok_or(Error::Protocol("counter spent"))?;
        let bytes = wacore_binary::util::unpack_bytes(frame).map_err(|_| Error::BadFrame)?;
        let node = OwnedNodeRef::new(bytes.clone()).map_err(|_| Error::BadFrame)?;
        Ok((node, bytes))
    }

    /// Adds a node to the next [`Wire::flush`].
    pub(crate) fn queue(&mut self, node: &Node) -> Result<(), Error> {
        let bytes = wacore_binary::marshal(node).map_err(|_| Error::BadFrame)?;
        self.queue_marshaled(&bytes)
    }

    /// Adds an already marshaled node (with its flag byte) to the next [`Wire::flush`].
    pub(crate) fn queue_marshaled(&mut self, marshaled: &[u8]) -> Result<(), Error> {
        let mut sealed = Vec::with_capacity(marshaled.len() + 16);
        sealed.extend_from_slice(marshaled);
        self.write.encrypt_in_place_with_counter(self.write_counter, &mut sealed).map_err(|_| Error::BadFrame)?;
        self.write_counter = self.write_counter.checked_add(1).ok_or(Error::Protocol("counter spent"))?;
        push_length(&mut self.outbound, sealed.len());
        self.outbound.extend_from_slice(&sealed);
        Ok(())
    }

    /// Bytes waiting for a flush.
    pub(crate) fn pending(&self) -> usize {
        self.outbound.len()
    }

    /// Sends what was queued as one WebSocket message.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        if self.outbound.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::take(&mut self.outbound).freeze();
        self.frames.send(bytes).await
    }

    /// Sends one node now.
    pub(crate) async fn send(&mut self, node: &Node) -> Result<(), Error> {
        self.queue(node)?;
        self.flush().await
    }

    /// Closes the WebSocket; a peer that does not answer is left behind.
    ///
    /// What the peer still sends is read and left: a socket that is dropped with something unread is reset, and the peer loses
    /// what it has not read yet, such as why it is closed.
    pub(crate) async fn close(mut self) {
        let closing = async {
            let _ = self.flush().await;
            let _ = self.frames.socket.close(None).await;
            while let Some(Ok(_)) = self.frames.socket.next().await {}
        };
        if tokio::time::timeout(Duration::from_secs(1), closing).await.is_err() {
            tracing::debug!("connection.close.timed_out");
        }
    }
}

fn frame_length(bytes: &[u8]) -> Option<usize> {
    let [high, middle, low] = *bytes.first_chunk::<LENGTH_BYTES>()?;
    Some(usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low))
}

/// Callers stay below 2^24 bytes: what is relayed came in under the same limit.
fn push_length(out: &mut BytesMut, length: usize) {
    let [.., high, middle, low] = length.to_be_bytes();
    out.extend_from_slice(&[high, middle, low]);
}
