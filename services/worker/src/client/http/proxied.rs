//! HTTP through an instance's proxy: one connection a request, over TLS, within the same limits.

use super::BODY_LIMIT;
use crate::transport::Route;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;
use url::Url;
use wacore::net::{HttpRequest, HttpResponse};

const WHOLE: Duration = Duration::from_secs(30);

pub(super) async fn execute(route: &Route, request: HttpRequest) -> anyhow::Result<HttpResponse> {
    timeout(WHOLE, exchange(route, request)).await?
}

async fn exchange(route: &Route, request: HttpRequest) -> anyhow::Result<HttpResponse> {
    let url = Url::parse(&request.url)?;
    anyhow::ensure!(url.scheme() == "https", "only https goes through a proxy");
    let host = url.host_str().ok_or_else(|| anyhow::anyhow!("no host"))?.to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = tls.connect(ServerName::try_from(host.clone())?, route.connect(&host, port).await?).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let _running = AbortOnDropHandle::new(tokio::spawn(async move {
        // How it ended shows in the answer.
        let _ = connection.await;
    }));
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let mut outgoing = Request::builder().method(request.method.as_str()).uri(path).header(HOST, host);
    for (name, value) in &request.headers {
        outgoing = outgoing.header(name, value);
    }
    let body = Full::new(request.body.unwrap_or_default());
    let answer = sender.send_request(outgoing.body(body)?).await?;
    let status_code = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), BODY_LIMIT).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    Ok(HttpResponse { status_code, body: body.to_bytes().to_vec() })
}
