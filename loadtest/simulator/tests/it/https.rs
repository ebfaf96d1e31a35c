//! What a client needs to reach the media host: HTTPS under the simulator's own authority.

use std::sync::Arc;

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use warren_simulator::Simulator;
use whatsapp_rust::wacore::net::{HttpClient, HttpRequest, HttpResponse};

/// One connection a request.
#[derive(Clone)]
pub(crate) struct Https {
    connector: TlsConnector,
}

impl Https {
    pub(crate) fn new(simulator: &Simulator) -> Self {
        Self { connector: connector(simulator) }
    }
}

/// Trusts the authority that the simulator publishes, and no other.
pub(crate) fn connector(simulator: &Simulator) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(simulator.trust().tls_ca_pem.as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[async_trait::async_trait]
impl HttpClient for Https {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let uri: hyper::Uri = request.url.parse()?;
        anyhow::ensure!(uri.scheme_str() == Some("https"), "media comes by https only");
        let authority = uri.authority().unwrap().clone();
        let stream = TcpStream::connect(authority.as_str()).await?;
        let name = ServerName::try_from(authority.host().to_owned())?;
        let stream = self.connector.connect(name, stream).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut outgoing = hyper::Request::builder()
            .method(request.method.as_str())
            .uri(uri.path_and_query().unwrap().as_str())
            .header("host", authority.as_str());
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        let answer = sender.send_request(outgoing.body(Full::new(request.body.unwrap_or_default()))?).await?;
        let status_code = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes().to_vec();
        driver.abort();
        Ok(HttpResponse { status_code, body })
    }
}
