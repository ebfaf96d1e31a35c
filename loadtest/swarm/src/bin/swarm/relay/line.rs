//! One connection: the handshake against a pinned key, and sealed frames both ways.

use anyhow::{Context, Result, bail};
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};
use wacore_binary::{Node, consts::WA_CONN_HEADER};
use wacore_libsignal::protocol::KeyPair;
use wacore_noise::{IkHandshakeState, IkServerHelloOutcome, NoiseCipher, framing};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Which server, and the static key it has.
pub(super) struct Pinned {
    key: [u8; 32],
    socket: String,
}

impl Pinned {
    pub(super) fn new(key: &str, socket: &str) -> Result<Self> {
        let key = hex::decode(key)?.try_into().ok().context("the simulator's key has not 32 bytes")?;
        Ok(Self { key, socket: socket.to_owned() })
    }

    /// Connects and says who it is.
    pub(super) async fn connect(&self, keys: KeyPair, payload: Vec<u8>) -> Result<(Reading, Writing)> {
        let (socket, _) = tokio_tungstenite::connect_async(&self.socket).await.context("connecting to the simulator")?;
        let (mut sink, mut stream) = socket.split();
        let mut state = IkHandshakeState::new(keys, self.key, payload, &WA_CONN_HEADER)?;
        let hello = framing::encode_frame(&state.build_client_hello()?, Some(&WA_CONN_HEADER))?;
        sink.send(Message::Binary(hello.into())).await?;
        let mut frames = framing::FrameDecoder::new();
        let reply = next_frame(&mut stream, &mut frames).await?;
        let IkServerHelloOutcome::Continue(outcome) = state.read_server_hello(&reply)? else {
            bail!("the simulator has another key");
        };
        let reading = Reading { stream, frames, cipher: outcome.read_cipher, count: 0 };
        Ok((reading, Writing { sink, cipher: outcome.write_cipher, count: 0 }))
    }
}

/// What comes.
pub(super) struct Reading {
    stream: SplitStream<Socket>,
    frames: framing::FrameDecoder,
    cipher: NoiseCipher,
    count: u32,
}

impl Reading {
    /// The bytes of the next stanza, without its flag.
    pub(super) async fn next(&mut self) -> Result<bytes::BytesMut> {
        let mut frame = next_frame(&mut self.stream, &mut self.frames).await?;
        self.open(&mut frame)?;
        Ok(frame)
    }

    /// One that came with the one before, if there is one.
    pub(super) fn more(&mut self) -> Result<Option<bytes::BytesMut>> {
        let Some(mut frame) = self.frames.decode_frame() else { return Ok(None) };
        self.open(&mut frame)?;
        Ok(Some(frame))
    }

    fn open(&mut self, frame: &mut bytes::BytesMut) -> Result<()> {
        self.cipher.decrypt_in_place_with_counter(self.count, frame)?;
        self.count += 1;
        // Whether it is compressed; the simulator's never are.
        let _ = frame.split_to(1);
        Ok(())
    }
}

async fn next_frame(stream: &mut SplitStream<Socket>, frames: &mut framing::FrameDecoder) -> Result<bytes::BytesMut> {
    loop {
        if let Some(frame) = frames.decode_frame() {
            return Ok(frame);
        }
        match stream.next().await.context("the simulator closed the connection")?? {
            Message::Binary(bytes) => frames.feed(&bytes),
            other => bail!("the simulator sent {} bytes that are no frame", other.len()),
        }
    }
}

/// What goes.
pub(super) struct Writing {
    sink: SplitSink<Socket, Message>,
    cipher: NoiseCipher,
    count: u32,
}

impl Writing {
    /// Sends stanzas in one message of the WebSocket.
    pub(super) async fn send(&mut self, nodes: &[Node]) -> Result<()> {
        let mut bytes = Vec::new();
        for node in nodes {
            let sealed = self.cipher.encrypt_with_counter(self.count, &wacore_binary::marshal(node)?)?;
            self.count += 1;
            bytes.extend(framing::encode_frame(&sealed, None)?);
        }
        self.sink.send(Message::Binary(bytes.into())).await.context("writing to the simulator")
    }
}
