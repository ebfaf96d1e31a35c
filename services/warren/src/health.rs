//! `warren health`: what a container's health check runs. It asks the process on this machine.

use crate::args;
use crate::failure::Failure;
use crate::{serve, settings};
use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;

/// Health checks have short limits themselves.
const LIMIT: Duration = Duration::from_secs(3);

/// Asks once.
pub(crate) async fn run(arguments: args::Health) -> Result<(), Failure> {
    let settings = settings::load(&arguments.common)?.config;
    let (listen, path) = match arguments.simulator {
        true => (settings.simulator.listen, "/admin/trust"),
        false => (settings.admin.listen, "/readyz"),
    };
    let address = reachable(listen);
    match tokio::time::timeout(LIMIT, ask(address, path)).await {
        Ok(Ok(StatusCode::OK)) => {
            serve::say("ready\n");
            Ok(())
        }
        Ok(Ok(status)) => Err(Failure::unavailable(format!("the process at {address} answers {status}: not ready"))),
        Ok(Err(error)) => Err(Failure::unavailable(format!("nothing answers at {address}: {error}"))),
        Err(_) => Err(Failure::unavailable(format!("the process at {address} does not answer"))),
    }
}

/// An address that can be connected to, also when it listens on all of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn ask(address: SocketAddr, path: &str) -> Result<StatusCode, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let request = Request::get(path).header(HOST, address.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| error.to_string())?;
    tokio::select! {
        biased;
        answer = sender.send_request(request) => answer.map(|answer| answer.status()).map_err(|error| error.to_string()),
        _ = connection => Err("it closed the connection".to_owned()),
    }
}
