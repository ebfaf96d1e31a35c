//! Frames and nodes over one WebSocket: buffering, Noise transport encryption, limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Message;
use wacore_binary::{Node, OwnedNodeRef};
use wacore_noise::NoiseCipher;

use crate::noise::{self, Established};
use crate::refusal::Refusal;
use crate::replay::Replays;
use crate::shape;
use crate::socket::Socket;
use crate::splitter::{self, Splitter, push_length};
use crate::trust::Keys;

/// Before the handshake nobody has a reason to send more than this in one frame.
const HELLO_LIMIT: usize = 16 * 1024;
/// All that a peer may send, with the WebSocket's own bytes, until its handshake is over.
const NEWCOMER_BYTES: usize = 64 * 1024;
const LENGTH_BYTES: usize = 3;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the peer does not speak the protocol: {0}")]
    Protocol(&'static str),
    #[error("{0} bytes, or as many parts, are over the limit")]
    TooLarge(usize),
    #[error("a frame could not be decrypted or decoded")]
    BadFrame,
    #[error("handshake: {0}")]
    Handshake(#[from] noise::Error),
    #[error("the handshake was seen before")]
    Replayed,
    #[error("the handshake took too long")]
    Slow,
    #[error("the place went to another newcomer")]
    Displaced,
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

impl From<splitter::Error> for Error {
    fn from(error: splitter::Error) -> Self {
        match error {
            splitter::Error::Header => Self::Protocol("wrong connection header"),
            splitter::Error::TooLarge(length) => Self::TooLarge(length),
        }
    }
}

impl Error {
    /// What the connection is closed for; `None` when the peer closed it, which is its right.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        use tokio_tungstenite::tungstenite::Error as Ws;
        Some(match self {
            Self::Closed => return None,
            Self::Displaced => Refusal::Displaced,
            Self::Slow => Refusal::HandshakeTimedOut,
            Self::Handshake(_) => Refusal::HandshakeBroken,
            Self::Replayed => Refusal::HandshakeReplayed,
            Self::TooLarge(_) => Refusal::FrameTooLarge,
            Self::WebSocket(error) if matches!(**error, Ws::Capacity(_)) => Refusal::FrameTooLarge,
            Self::BadFrame => Refusal::FrameBroken,
            Self::WriteTimeout => Refusal::NotReading,
            Self::Protocol(_) | Self::WebSocket(_) => Refusal::Protocol,
        })
    }
}

/// The byte side: WebSocket messages in, length-prefixed frames out of them.
pub(crate) struct Frames {
    socket: WebSocketStream<Socket>,
    inbound: Splitter,
    max_frame: usize,
    write_timeout: Duration,
}

impl Frames {
    pub(crate) fn new(socket: WebSocketStream<Socket>, max_frame: usize, write_timeout: Duration) -> Self {
        Self { socket, inbound: Splitter::default(), max_frame, write_timeout }
    }

    /// Runs the handshake; the caller bounds its time. Until it is over the peer is held to [`NEWCOMER_BYTES`].
    pub(crate) async fn handshake(mut self, keys: &Keys, replays: &Replays) -> Result<(Wire, Peer), Error> {
        self.socket.get_mut().allow(NEWCOMER_BYTES);
        while !self.inbound.header()? {
            self.fill().await?;
        }
        let hello = self.next_frame(HELLO_LIMIT).await?;
        let established = match noise::answer_hello(keys, &hello)? {
            noise::Step::Done { reply, established } => {
                if established.client_ephemeral.is_some_and(|key| !replays.is_first(key)) {
                    return Err(Error::Replayed);
                }
                self.write_frame(&reply).await?;
                *established
            }
            noise::Step::AwaitFinish { reply, pending } => {
                self.write_frame(&reply).await?;
                let finish = self.next_frame(HELLO_LIMIT).await?;
                pending.finish(&finish)?
            }
        };
        self.socket.get_mut().allow_all();
        let Established { read, write, client_static, payload, .. } = established;
        let wire = Wire { frames: self, read, write, read_counter: 0, write_counter: 0, outbound: BytesMut::new() };
        Ok((wire, Peer { client_static, payload }))
    }

    /// Reads one WebSocket message. Cancel-safe: what was read stays in the buffer.
    async fn fill(&mut self) -> Result<(), Error> {
        match self.socket.next().await {
            Some(Ok(Message::Binary(bytes))) => self.inbound.push(&bytes),
            Some(Ok(Message::Close(_))) | None => return Err(Error::Closed),
            Some(Ok(Message::Text(_))) => return Err(Error::Protocol("a text message")),
            Some(Ok(_)) => {}
            Some(Err(_)) if self.socket.get_ref().is_spent() => return Err(Error::TooLarge(NEWCOMER_BYTES)),
            Some(Err(error)) => return Err(error.into()),
        }
        Ok(())
    }

    /// Cancel-safe: a frame stays in the buffer until it is whole.
    async fn next_frame(&mut self, limit: usize) -> Result<BytesMut, Error> {
        loop {
            if let Some(frame) = self.inbound.frame(limit)? {
                return Ok(frame);
            }
            self.fill().await?;
        }
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
        decode(frame, self.frames.max_frame)
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

/// Reads the node of a decrypted frame; also the bytes it was marshaled to, without the flag byte.
pub(crate) fn decode(frame: BytesMut, limit: usize) -> Result<(OwnedNodeRef, Bytes), Error> {
    let bytes = wacore_binary::util::unpack_bytes(frame).map_err(|_| Error::BadFrame)?;
    // The library inflates up to 16 MiB.
    if bytes.len() > limit {
        return Err(Error::TooLarge(bytes.len()));
    }
    shape::check(&bytes).map_err(|error| match error {
        shape::Error::TooMany => Error::TooLarge(shape::MAX_PARTS),
        _ => Error::BadFrame,
    })?;
    let node = OwnedNodeRef::new(bytes.clone()).map_err(|_| Error::BadFrame)?;
    Ok((node, bytes))
}
