//! Dialling WhatsApp, or the simulator.

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::sync::Arc;
use wacore::net::{Transport, TransportEvent, TransportFactory};
use warren_domain::{Error, Result};
use whatsapp_rust_tokio_transport::{Connector, TokioWebSocketTransportFactory};

/// Dials one endpoint. Shared by all instances: the roots of trust are in memory once.
pub(crate) struct Dialer {
    factory: TokioWebSocketTransportFactory,
}

impl Dialer {
    /// For this `ws://` or `wss://` address. Certificates are checked against this authority (PEM), or the public roots.
    ///
    /// # Errors
    /// `Invalid` for another scheme, and for an authority that is none.
    pub(crate) fn new(url: &str, authority: Option<&str>) -> Result<Self> {
        let connector = match url.split_once("://") {
            Some(("ws", _)) => Connector::Plain,
            Some(("wss", _)) => Connector::Rustls(tls(authority)?),
            _ => return Err(Error::invalid("invalid_endpoint", "The WhatsApp endpoint starts with ws:// or wss://.")),
        };
        Ok(Self { factory: TokioWebSocketTransportFactory::new().with_url(url).with_connector(connector) })
    }

    pub(crate) async fn dial(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        self.factory.create_transport().await
    }
}

fn tls(authority: Option<&str>) -> Result<tokio_rustls::TlsConnector> {
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
