//! The one port: TLS or not is told from the first byte; WebSocket, admin request, media or page from the path.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_util::task::TaskTracker;
use tower::Service as _;

use crate::gate::{Gate, Place};
use crate::refusal::Refusal;
use crate::socket::Socket;
use crate::world::World;
use crate::{admin, connection, media, page};

const WEB_SOCKET_PATH: &str = "/ws/chat";
/// The first byte of a TLS ClientHello's record.
const TLS_HANDSHAKE: u8 = 0x16;
/// Ten thousand idle connections are to fit into little memory.
const READ_BUFFER: usize = 4 * 1024;
/// Headers of one HTTP request.
const HTTP_BUFFER: usize = 64 * 1024;
/// One admin request, whose body may come slowly.
const ADMIN_LIMIT: Duration = Duration::from_secs(60);
/// One upload.
const MEDIA_LIMIT: Duration = Duration::from_secs(900);
/// After an accept error (no file descriptors left), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until the server stops.
pub(crate) async fn serve(listener: TcpListener, world: Arc<World>, tasks: TaskTracker) {
    let router = admin::router(Arc::clone(&world)).merge(media::http::router(Arc::clone(&world))).merge(page::router());
    let tls = TlsAcceptor::from(Arc::clone(&world.keys.tls));
    let gate = Gate::new(world.options.max_connections, world.options.max_newcomers);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = world.stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "listener.accept.failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "listener.nodelay.failed");
        }
        let Some(place) = gate.admit() else {
            world.refuse(Refusal::NoPlace);
            continue;
        };
        let guest =
            Guest { world: Arc::clone(&world), router: router.clone(), tasks: tasks.clone(), place: Arc::new(place) };
        let tls = tls.clone();
        let stop = world.stop.clone();
        let (world, place) = (Arc::clone(&world), Arc::clone(&guest.place));
        tasks.spawn(async move {
            tokio::select! {
                () = guest.greet(stream, tls) => {}
                () = place.displaced() => world.refuse(Refusal::Displaced),
                () = stop.cancelled() => {}
            }
        });
    }
}

/// What one accepted connection needs. The place is given back when the last part of it is gone.
#[derive(Clone)]
struct Guest {
    world: Arc<World>,
    router: axum::Router,
    tasks: TaskTracker,
    place: Arc<Place>,
}

impl Guest {
    async fn greet(self, stream: TcpStream, tls: TlsAcceptor) {
        let limit = self.world.options.handshake_timeout;
        let socket = match tokio::time::timeout(limit, open(stream, tls)).await {
            Ok(Ok(Some(socket))) => socket,
            Ok(Ok(None)) => return,
            Ok(Err(error)) => {
                tracing::debug!(%error, "listener.tls.failed");
                return self.world.refuse(Refusal::HandshakeBroken);
            }
            Err(_) => return self.world.refuse(Refusal::HandshakeTimedOut),
        };
        let (world, place) = (Arc::clone(&self.world), Arc::clone(&self.place));
        let service = service_fn(move |request: Request<Incoming>| self.clone().answer(request));
        let http = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limit)
            .max_buf_size(HTTP_BUFFER)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        if let Err(error) = http.await {
            tracing::debug!(%error, "listener.http.ended");
            // Who has asked something before is only idle.
            if error.is_timeout() && place.is_newcomer() {
                world.refuse(Refusal::HandshakeTimedOut);
            }
        }
    }

    async fn answer(mut self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if request.uri().path() == WEB_SOCKET_PATH {
            return Ok(upgrade(request, self));
        }
        self.place.known();
        let media = media::http::PREFIXES.iter().any(|prefix| request.uri().path().starts_with(prefix));
        let limit = if media { MEDIA_LIMIT } else { ADMIN_LIMIT };
        let answered = self.router.call(request.map(Body::new));
        match tokio::time::timeout(limit, answered).await {
            Ok(response) => response,
            Err(_) => Ok(plain(StatusCode::GATEWAY_TIMEOUT)),
        }
    }
}

/// The byte stream of a connection; `None` when it was closed without a word.
async fn open(stream: TcpStream, tls: TlsAcceptor) -> io::Result<Option<Socket>> {
    let mut first = [0_u8; 1];
    if !stream.peek(&mut first).await.is_ok_and(|length| length > 0) {
        return Ok(None);
    }
    if first == [TLS_HANDSHAKE] {
        return Ok(Some(Socket::tls(tls.accept(stream).await?)));
    }
    Ok(Some(Socket::plain(stream)))
}

/// Answers 101 and hands the socket to a task of its own.
fn upgrade(mut request: Request<Incoming>, guest: Guest) -> Response<Body> {
    let wants_web_socket =
        request.headers().get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let (true, Some(accept)) = (wants_web_socket, key) else {
        return plain(StatusCode::UPGRADE_REQUIRED);
    };
    let reached = request.headers().get(header::HOST).and_then(|name| name.to_str().ok()).map(ToOwned::to_owned);
    let upgraded = hyper::upgrade::on(&mut request);
    let Guest { world, tasks, place, .. } = guest;
    tasks.spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<Socket>>() else { return };
        let limit = world.options.max_frame_bytes;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(4 * limit.max(READ_BUFFER))
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let socket = parts.io.into_inner();
        let stream = WebSocketStream::from_partially_read(socket, parts.read_buf.to_vec(), Role::Server, Some(config)).await;
        connection::run(world, stream, reached, &place).await;
    });
    let switched = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept)
        .body(Body::empty());
    switched.unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
