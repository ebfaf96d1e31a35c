//! A WebSocket over a connection that was made elsewhere, as the library wants its transports.

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Mutex, watch},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        http::{HeaderValue, header::ORIGIN},
        protocol::WebSocketConfig,
    },
};
use wacore::net::{DisconnectReason, Transport, TransportEvent, WHATSAPP_WEB_ORIGIN};

/// What waits for the library; the library's own transport has as much.
const EVENTS: usize = 64;
/// The largest frame, bytes.
const FRAME: usize = 32 * 1024 * 1024;

/// Opens a WebSocket for `url` over a stream that leads there.
pub(super) async fn open<S>(
    url: &str,
    stream: S,
) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut request = url.into_client_request()?;
    request.headers_mut().insert(ORIGIN, HeaderValue::from_static(WHATSAPP_WEB_ORIGIN));
    let limits = WebSocketConfig::default().max_message_size(Some(FRAME)).max_frame_size(Some(FRAME));
    let (socket, _) = client_async_with_config(request, stream, Some(limits)).await?;
    let (sink, messages) = socket.split();
    let (events, received) = async_channel::bounded(EVENTS);
    let (closing, closed) = watch::channel(false);
    // The first of all: there is room.
    let _ = events.try_send(TransportEvent::Connected);
    tokio::spawn(read(messages, events, closed));
    Ok((Arc::new(Socket { sink: Mutex::new(Some(sink)), closing }), received))
}

/// The write half.
struct Socket<S> {
    sink: Mutex<Option<SplitSink<WebSocketStream<S>, Message>>>,
    closing: watch::Sender<bool>,
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for Socket<S> {
    async fn send(&self, data: Bytes) -> Result<(), anyhow::Error> {
        let mut sink = self.sink.lock().await;
        let sink = sink.as_mut().ok_or_else(|| anyhow::anyhow!("the socket is closed"))?;
        Ok(sink.send(Message::Binary(data)).await?)
    }

    async fn disconnect(&self) {
        let _ = self.closing.send(true);
        if let Some(mut sink) = self.sink.lock().await.take() {
            // A dead socket is closed already.
            let _ = sink.close().await;
        }
    }
}

/// Hands on what comes, until the socket or its user is gone.
async fn read<S>(
    mut messages: SplitStream<WebSocketStream<S>>,
    events: async_channel::Sender<TransportEvent>,
    mut closed: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let reason = loop {
        let message = tokio::select! {
            biased;
            _ = closed.changed() => break DisconnectReason::Unknown,
            message = messages.next() => message,
        };
        match message {
            Some(Ok(Message::Binary(data))) => tokio::select! {
                biased;
                _ = closed.changed() => break DisconnectReason::Unknown,
                sent = events.send(TransportEvent::DataReceived(data)) => if sent.is_err() { return },
            },
            Some(Ok(Message::Close(frame))) => {
                let (code, reason) =
                    frame.map_or((None, String::new()), |frame| (Some(u16::from(frame.code)), frame.reason.to_string()));
                break DisconnectReason::ServerClose { code, reason };
            }
            // Pings are answered below this.
            Some(Ok(_)) => {}
            Some(Err(error)) => break DisconnectReason::ReadError(error.to_string()),
            None => break DisconnectReason::StreamEnded,
        }
    };
    let _ = events.send(TransportEvent::Disconnected(reason)).await;
}
