//! Dialling WhatsApp, or the simulator.

use super::{
    proxy::{ProxyError, Route},
    socket,
};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use url::{Host, Url};
use wacore::net::{Transport, TransportEvent, TransportFactory};
use warren_domain::{Error, Result};
use whatsapp_rust_tokio_transport::{Connector, TokioWebSocketTransportFactory};

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

    /// The same, through a proxy. Only what the proxy itself is to blame for is a [`ProxyError`].
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
