//! The listener: connections with limits, and an end at which every stream ends.

use crate::{
    api::Api,
    node::Node,
    tls::{Handshakes, Spoken},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use warren_runtime::Lifecycle;

/// Connections at once; more wait in the listener's backlog. A worker has two or three.
const CONNECTIONS: usize = 8_192;
/// The most bytes a call's head may have.
const HEAD_BYTES: usize = 16 * 1024;
/// How long a caller may take to send a call's head, and how long an idle connection is kept.
const HEAD_PATIENCE: Duration = Duration::from_secs(60);
/// How long is waited after a failure to accept that will pass only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the life begins to stop; connections end then, in tasks that the life waits for.
pub(crate) async fn serve(listener: TcpListener, node: Arc<Node>, lifecycle: Lifecycle) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let handshakes = node.seat.tls.as_ref().map(|tls| Arc::new(Handshakes::new(tls, node.figures.clone())));
    let api = Api { node, stopping: lifecycle.soft_token() };
    loop {
        let accepted = tokio::select! {
            biased;
            () = lifecycle.stopping() => return,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => lifecycle.spawn(connection(api.clone(), handshakes.clone(), stream, permit)),
            // The caller gave up before it was accepted.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(listener: &TcpListener, connections: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, permit))
}

async fn connection(api: Api, handshakes: Option<Arc<Handshakes>>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let Some(handshakes) = handshakes else { return converse(api, stream, true).await };
    let spoken = tokio::select! {
        biased;
        () = api.stopping.cancelled() => return,
        spoken = handshakes.shake(stream) => spoken,
    };
    match spoken {
        Some(Spoken::Tls(stream)) => converse(api, stream, true).await,
        Some(Spoken::Plain(stream)) => converse(api, stream, false).await,
        None => {}
    }
}

/// Answers the calls of a connection; one that speaks what this cluster does not hears that, and nothing else.
async fn converse<S>(api: Api, stream: S, is_spoken: bool)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stopping = api.stopping.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(if is_spoken { api.answer(request).await } else { api.refuse_plain() }) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
