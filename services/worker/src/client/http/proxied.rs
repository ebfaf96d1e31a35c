//! HTTP through an instance's proxy: one connection a request, over TLS. Its limits are those of whoever waits for it.

use crate::transport::Route;
use hyper::{
    Request,
    client::conn::http1,
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use reqwest::{Body, Response, Url};
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

/// Sends a request; the answer's body streams, and holds the connection until it is read or dropped.
pub(super) async fn send(route: &Route, tls: &TlsConnector, request: reqwest::Request) -> anyhow::Result<Response> {
    let url = request.url().clone();
    let host = url.host_str().ok_or_else(|| anyhow::anyhow!("no host"))?;
    let port = url.port_or_known_default().unwrap_or(443);
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    let stream = tls.connect(name, route.connect(host, port).await?).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer's body, or when nobody waits for the answer any more.
    tokio::spawn(connection);
    let mut outgoing = Request::<Body>::try_from(request)?;
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    *outgoing.uri_mut() = path.parse()?;
    outgoing.headers_mut().insert(HOST, HeaderValue::from_str(&authority(&url, host))?);
    let answer = sender.send_request(outgoing).await?;
    Ok(answer.map(Body::wrap).into())
}

fn authority(url: &Url, host: &str) -> String {
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
