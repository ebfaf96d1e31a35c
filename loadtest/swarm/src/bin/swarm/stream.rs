//! A WebSocket on the event stream, as light as a client can be.

use crate::target::Target;
use anyhow::{Context, Result};
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::ClientRequestBuilder};

/// A stream that is open.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// What a frame says, as far as it is looked at: an event, or where the stream is.
#[derive(Deserialize)]
pub(crate) struct Frame {
    pub(crate) id: Option<String>,
    pub(crate) cursor: Option<String>,
}

/// Opens one; `query` chooses what comes. It is open for everything from here on.
pub(crate) async fn open(target: &Target, query: &str) -> Result<Socket> {
    let authority = target.api.trim_start_matches("http://").trim_end_matches('/');
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let uri = format!("ws://{authority}/v1/events/stream?{query}").parse()?;
    let request = ClientRequestBuilder::new(uri).with_header("authorization", format!("Bearer {}", target.key));
    let (mut socket, _) = client_async(request, stream).await?;
    // Where the stream begins.
    socket.next().await.context("the stream ended")??;
    Ok(socket)
}
