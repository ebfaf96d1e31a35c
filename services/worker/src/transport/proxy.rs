//! Through an instance's proxy: a connection to the proxy that the egress guard allows, and through it one to WhatsApp. There
//! is no way around a proxy that does not work.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::BoxFuture;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_socks::tcp::Socks5Stream;
use warren_domain::proxy::{Proxy, ProxyKind};
use warren_egress::{ConnectError, Guard};

/// How long the proxy may take to answer, and to reach what it is asked for.
const CONNECT: Duration = Duration::from_secs(10);
const TUNNEL: Duration = Duration::from_secs(15);
/// The longest head of a proxy's answer, bytes.
const HEAD: usize = 8 * 1024;

/// Why a proxy does not work: stable, and safe to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error("not_allowed")]
    NotAllowed,
    #[error("unreachable")]
    Unreachable,
    #[error("timed_out")]
    TimedOut,
    #[error("credentials_refused")]
    CredentialsRefused,
    #[error("refused")]
    Refused,
    #[error("no_proxy")]
    NotAProxy,
}

/// An instance's way to WhatsApp, where it has a proxy.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) guard: Guard,
    pub(crate) proxy: Proxy,
}

impl Route {
    /// A connection to `host`, whose name the proxy resolves.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let connected = self.guard.connect(self.proxy.host(), self.proxy.port(), CONNECT).await;
        let stream = connected.map_err(|error| match error {
            ConnectError::Refused(_) => ProxyError::NotAllowed,
            ConnectError::Unreachable(_) => ProxyError::Unreachable,
            ConnectError::TimedOut => ProxyError::TimedOut,
        })?;
        let tunnel: BoxFuture<'_, _> = match self.proxy.kind() {
            ProxyKind::Http => Box::pin(http(&self.proxy, stream, host, port)),
            ProxyKind::Socks5 => Box::pin(socks(&self.proxy, stream, host, port)),
        };
        let stream = timeout(TUNNEL, tunnel).await.unwrap_or(Err(ProxyError::TimedOut))?;
        // Small frames are the rule.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

async fn socks(proxy: &Proxy, stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
    let connected = match proxy.credentials() {
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(stream, (host, port), &user, &password).await
        }
        None => Socks5Stream::connect_with_socket(stream, (host, port)).await,
    };
    connected.map(Socks5Stream::into_inner).map_err(|error| match error {
        tokio_socks::Error::PasswordAuthFailure(_)
        | tokio_socks::Error::AuthorizationRequired
        | tokio_socks::Error::NoAcceptableAuthMethods
        | tokio_socks::Error::UnknownAuthMethod => ProxyError::CredentialsRefused,
        tokio_socks::Error::Io(_)
        | tokio_socks::Error::InvalidResponseVersion
        | tokio_socks::Error::InvalidReservedByte
        | tokio_socks::Error::UnknownAddressType
        | tokio_socks::Error::UnknownError => ProxyError::NotAProxy,
        _ => ProxyError::Refused,
    })
}

async fn http(proxy: &Proxy, mut stream: TcpStream, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
    let target = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some((user, password)) = proxy.credentials() {
        request.push_str("Proxy-Authorization: Basic ");
        STANDARD.encode_string(format!("{user}:{password}"), &mut request);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|_| ProxyError::NotAProxy)?;
    // Byte by byte: what follows the head belongs to whom the proxy connected us to.
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= HEAD {
            return Err(ProxyError::NotAProxy);
        }
        head.push(stream.read_u8().await.map_err(|_| ProxyError::NotAProxy)?);
    }
    match status(&head) {
        Some(200..=299) => Ok(stream),
        Some(401 | 407) => Err(ProxyError::CredentialsRefused),
        Some(_) => Err(ProxyError::Refused),
        None => Err(ProxyError::NotAProxy),
    }
}

/// The status of an answer's head.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next().filter(|code| code.len() == 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_status_line() {
        assert_eq!(status(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status(b"HTTP/1.0 407\r\nX: y\r\n\r\n"), Some(407));
        for head in [&b"SSH-2.0-OpenSSH\r\n\r\n"[..], b"HTTP/1.1 2000 x\r\n\r\n", b"\r\n\r\n", b"HTTP/1.1\r\n\r\n"] {
            assert_eq!(status(head), None);
        }
    }
}
