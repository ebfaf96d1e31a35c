//! The listener: connections with limits that `axum::serve` does not have, and an end that loses nothing.

use crate::{Options, Ports, options::InvalidOptions, router, state::Gateway};
use axum::{Router, body::Body, http::Extensions};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::Service as _;
use warren_runtime::Lifecycle;

/// The most headers a request may have; more are 431.
const HEADERS: usize = 100;
/// The most bytes a request's head may have; more are 431.
const HEAD_BYTES: usize = 32 * 1024;
/// HTTP/2: requests at once on one connection, resets that were not yet seen, local errors. A client that opens and
/// resets faster than that gets GOAWAY.
const STREAMS: u32 = 200;
const RESETS: usize = 20;
/// HTTP/2: the connection is pinged so often.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long is waited after a failure to accept that will pass only with time: no more descriptors, no memory.
const ACCEPT_PAUSES: std::ops::Range<Duration> = Duration::from_millis(10)..Duration::from_secs(1);

/// Why the gateway cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options make no sense.
    #[error(transparent)]
    Options(#[from] InvalidOptions),
    /// The listener is no listener.
    #[error("the listener is unusable: {0}")]
    Listener(#[from] io::Error),
}

/// The address of the client's end of the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Of a request; without a connection, which is so in tests only, the address of nobody.
    pub(crate) fn of(extensions: &Extensions) -> IpAddr {
        extensions.get::<Self>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0)
    }
}

/// Serves the API on `listener` until the life begins to stop. From then on nothing new is accepted and this returns;
/// requests under way are finished, and WebSockets closed with 1001 and their cursor, by tasks that the life waits for.
///
/// # Errors
/// When the options make no sense, or the listener has no address.
pub async fn run(listener: TcpListener, options: Options, ports: Ports, lifecycle: Lifecycle) -> Result<(), Error> {
    options.validate()?;
    let address = listener.local_addr()?;
    let connections = Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS)));
    let header_timeout = options.header_timeout();
    let ready = ports.health.check("gateway");
    let app = Gateway::new(options, ports, lifecycle.clone());
    let router = router::router(Arc::clone(&app));
    let server = Arc::new(Server { builder: builder(header_timeout), router, header_timeout, lifecycle: lifecycle.clone() });
    tracing::info!(port = address.port(), "the gateway is listening");
    ready.set(true);

    let mut pause = ACCEPT_PAUSES.start;
    loop {
        let accepted = tokio::select! {
            biased;
            () = lifecycle.stopping() => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, permit)) => {
                pause = ACCEPT_PAUSES.start;
                let server = Arc::clone(&server);
                lifecycle.spawn(async move { server.connection(stream, peer, permit).await });
            }
            // The client gave up before it was accepted.
            Err(error) if is_the_clients(&error) => {}
            Err(error) => {
                app.telemetry.accept_errors.inc();
                tracing::warn!(error = %error, pause_ms = pause.as_millis(), "no connection can be accepted");
                tokio::select! {
                    () = lifecycle.stopping() => break,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(ACCEPT_PAUSES.end);
            }
        }
    }
    ready.set(false);
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, Peer(address.ip()), permit))
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected | InvalidInput)
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(RESETS)
        .max_header_list_size(HEAD_BYTES as u32)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}

struct Server {
    builder: Builder<TokioExecutor>,
    router: Router,
    header_timeout: Duration,
    lifecycle: Lifecycle,
}

impl Server {
    async fn connection(&self, stream: TcpStream, peer: Peer, _permit: OwnedSemaphorePermit) {
        let asked = AtomicBool::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            let mut router = self.router.clone();
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            async move { router.call(request).await }
        });
        let connection = self.builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let mut is_stopping = false;
        // The server's own header timeout begins only once it knows which version of HTTP the client speaks.
        let first_request = tokio::time::sleep(self.header_timeout);
        tokio::pin!(first_request);
        let mut awaits_first = true;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                () = self.lifecycle.stopping(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = first_request.as_mut(), if awaits_first => {
                    awaits_first = false;
                    if !asked.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error = %error, "a connection ended early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clients_own_failures_are_passed_over() {
        assert!(is_the_clients(&io::Error::from(io::ErrorKind::ConnectionAborted)));
        // 24 is EMFILE: the loop must pause, and go on.
        assert!(!is_the_clients(&io::Error::from_raw_os_error(24)));
    }
}
