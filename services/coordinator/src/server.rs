//! The listener: connections with limits, and an end at which every stream ends.
//!
//! TLS would be accepted between the stream and the connection here.

use crate::{api::Api, node::Node};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, sync::Arc, time::Duration};
use tokio::{
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
    let api = Api { node, stopping: lifecycle.soft_token() };
    loop {
        let accepted = tokio::select! {
            biased;
            () = lifecycle.stopping() => return,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => lifecycle.spawn(connection(api.clone(), stream, permit)),
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

async fn connection(api: Api, stream: TcpStream, _permit: OwnedSemaphorePermit) {
    let stopping = api.stopping.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let api = api.clone();
        async move { Ok::<_, Infallible>(api.answer(request).await) }
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
