//! Dialling WhatsApp, or the simulator.

use super::{
    proxy::{ProxyError, Route},
    socket,
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use url::{Host, Url};
use wacore::net::{Transport, TransportEvent, TransportFactory};
use warren_domain::{Error, Result};
use whatsapp_rust_tokio_transport::{Connector, TokioWebSocketTransportFactory};

/// How long it is waited for somebody who answers.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a look at a proxy waits for TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Dials one endpoint. Shared by all instances: the roots of trust are in memory once.
pub(crate) struct Dialer {
    url: String,
    host: String,
    port: u16,
    /// Without one, the endpoint speaks no TLS.
    tls: Option<tokio_rustls::TlsConnector>,
    factory: TokioWebSocketTransportFactory,
}

impl Dialer {
    /// For this `ws://` or `wss://` address. Certificates are checked against this authority (PEM), or the public roots.
    ///
    /// # Errors
    /// `Invalid` for another scheme, and for an authority that is none.
    pub(crate) fn new(url: &str, authority: Option<&str>) -> Result<Self> {
        let wrong = || Error::invalid("invalid_endpoint", "The WhatsApp endpoint starts with ws:// or wss://.");
        let parsed = Url::parse(url).map_err(|_| wrong())?;
        let tls = match parsed.scheme() {
            "ws" => None,
            "wss" => Some(tls(authority)?),
            _ => return Err(wrong()),
        };
        let host = match parsed.host().ok_or_else(wrong)? {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        };
        let port = parsed.port_or_known_default().ok_or_else(wrong)?;
        let connector = tls.clone().map_or(Connector::Plain, Connector::Rustls);
        let factory = TokioWebSocketTransportFactory::new().with_url(url).with_connector(connector);
        Ok(Self { url: url.to_owned(), host, port, tls, factory })
    }

    pub(crate) async fn dial(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        self.factory.create_transport().await
    }

    /// Whether anybody answers there, whatever is said then: after a dial that failed, whose error does not tell.
    pub(crate) async fn is_answered(&self) -> bool {
        matches!(timeout(ANSWER, TcpStream::connect((self.host.as_str(), self.port))).await, Ok(Ok(_)))
    }

    /// The same as [`Dialer::dial`], through a proxy. Only what the proxy itself is to blame for is a [`ProxyError`].
    pub(crate) async fn dial_through(
        &self,
        route: &Route,
    ) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let stream = route.connect(&self.host, self.port).await?;
        match &self.tls {
            None => socket::open(&self.url, stream).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                socket::open(&self.url, tls.connect(name, stream).await?).await
            }
        }
    }

    /// Whether a connection through a proxy is made, up to the TLS of who is at its other end.
    pub(crate) async fn check(&self, route: &Route) -> std::result::Result<(), ProxyError> {
        let stream = route.connect(&self.host, self.port).await?;
        if let Some(tls) = &self.tls {
            let name = ServerName::try_from(self.host.clone()).map_err(|_| ProxyError::NotAProxy)?;
            // Whoever cannot prove to be WhatsApp is not where the proxy was asked to connect to.
            let shaken = timeout(HANDSHAKE, tls.connect(name, stream)).await;
            shaken.map_err(|_| ProxyError::TimedOut)?.map_err(|_| ProxyError::NotAProxy)?;
        }
        Ok(())
    }
}

/// TLS whose certificates are checked against this authority (PEM), or the public roots.
pub(crate) fn tls(authority: Option<&str>) -> Result<tokio_rustls::TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    match authority {
        Some(pem) => {
            let wrong = |_| Error::invalid("invalid_authority", "The simulator's authority is no certificate in PEM.");
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(wrong)?;
            roots.add(certificate).map_err(Error::internal)?;
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt as _, net::TcpListener};

    /// Both fail to dial, and only the second is answered at all.
    #[tokio::test]
    async fn a_refusal_is_an_answer_and_a_closed_port_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = Dialer::new(&format!("ws://{}/ws", listener.local_addr().unwrap()), None).unwrap();
        drop(listener);
        assert!(dialer.dial().await.is_err() && !dialer.is_answered().await);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialer = Dialer::new(&format!("ws://{}/ws", listener.local_addr().unwrap()), None).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await;
            }
        });
        assert!(dialer.dial().await.is_err() && dialer.is_answered().await);
    }
}
