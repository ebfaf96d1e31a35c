//! The HTTP client that the library asks: WhatsApp's own site for the current version, its media hosts.
//!
//! Files stream both ways: the library reads and writes them in blocking tasks, a piece at a time. Such a transfer has no
//! limit on its whole time but a generous one; what ends it is a host that stands still.

mod proxied;

use crate::{
    Endpoint,
    transport::{Route, tls},
};
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use reqwest::{Body, Certificate, RequestBuilder, Response, Url, header::CONTENT_LENGTH};
use std::{
    future::Future,
    io::{self, Read},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use wacore::net::{HttpClient, HttpRequest, HttpResponse, StreamingHttpResponse, UploadBody};
use warren_domain::{Error, Result, network::Network};

/// What an answer may hold that is read whole, bytes: the version page has under 1 MB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;
const CONNECT: Duration = Duration::from_secs(10);
/// How long an exchange takes at most that is no file.
const EXCHANGE: Duration = Duration::from_secs(30);
/// How long a host may take no byte of an upload, or send none of a download.
const IDLE: Duration = Duration::from_secs(30);
/// How long the answer to an upload may take once all of it was sent: the host looks at the whole file first.
const VERDICT: Duration = Duration::from_secs(60);
/// How long a file takes at most.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// Pieces of an upload, bytes, and how many wait for the network.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// The domains of WhatsApp's site and media hosts.
const WHATSAPP: [&str; 2] = ["whatsapp.com", "whatsapp.net"];

/// Shared by all instances without a proxy. Follows no redirects, reads no proxy settings from the environment, speaks https
/// alone.
#[derive(Clone)]
pub(crate) struct WebClient {
    http: reqwest::Client,
    /// Whether only WhatsApp's hosts are asked. A simulator names its own, and proves itself by its authority.
    whatsapp_only: bool,
    tls: TlsConnector,
    /// The one way of an instance that has a proxy.
    route: Option<Route>,
}

impl WebClient {
    /// For this network. Certificates are checked against its authority, or the public roots.
    ///
    /// # Errors
    /// `Invalid` for an authority that is none.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self> {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .connect_timeout(CONNECT);
        let builder = match &endpoint.authority {
            Some(pem) => {
                let wrong = |_| Error::invalid("invalid_authority", "The simulator's authority is no certificate in PEM.");
                builder.tls_certs_only([Certificate::from_pem(pem.as_bytes()).map_err(wrong)?])
            }
            None => builder,
        };
        let http = builder.build().map_err(Error::internal)?;
        let tls = tls(endpoint.authority.as_deref())?;
        Ok(Self { http, whatsapp_only: endpoint.network == Network::Whatsapp, tls, route: None })
    }

    /// For an instance with a proxy: nothing of it goes another way.
    pub(crate) fn through(&self, route: &Route) -> Self {
        Self { route: Some(route.clone()), ..self.clone() }
    }

    async fn send(&self, outgoing: RequestBuilder) -> anyhow::Result<Response> {
        let request = outgoing.build()?;
        match &self.route {
            None => Ok(self.http.execute(request).await?),
            Some(route) => proxied::send(route, &self.tls, request).await,
        }
    }

    fn request(&self, request: &HttpRequest) -> anyhow::Result<RequestBuilder> {
        let url = Url::parse(&request.url)?;
        anyhow::ensure!(self.may_ask(&url), "not a host of WhatsApp");
        let method = reqwest::Method::from_bytes(request.method.as_bytes())?;
        let mut outgoing = self.http.request(method, url);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        Ok(outgoing)
    }

    /// A path that a sender made up could make another host of the one it is appended to.
    fn may_ask(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let of_whatsapp = || {
            WHATSAPP
                .iter()
                .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
        };
        url.scheme() == "https"
            && url.username().is_empty()
            && url.password().is_none()
            && (!self.whatsapp_only || of_whatsapp())
    }
}

#[async_trait]
impl HttpClient for WebClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let mut outgoing = self.request(&request)?;
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        timeout(EXCHANGE, async { whole(self.send(outgoing).await?).await }).await?
    }

    fn supports_streaming(&self) -> bool {
        true
    }

    fn execute_streaming(&self, request: HttpRequest) -> anyhow::Result<StreamingHttpResponse> {
        let runtime = Handle::try_current()?;
        let answer = runtime.block_on(timeout(IDLE, self.send(self.request(&request)?)))??;
        let status_code = answer.status().as_u16();
        let body = Download { runtime, answer, piece: Bytes::new(), deadline: Instant::now() + LONGEST };
        Ok(StreamingHttpResponse { status_code, body: Box::new(body) })
    }

    fn supports_upload_streaming(&self) -> bool {
        true
    }

    fn execute_upload(
        &self,
        request: HttpRequest,
        mut body: UploadBody,
        content_length: u64,
    ) -> anyhow::Result<HttpResponse> {
        let runtime = Handle::try_current()?;
        let deadline = Instant::now() + LONGEST;
        let (pieces, waiting) = mpsc::channel::<io::Result<Bytes>>(PIECES);
        let stream = futures::stream::unfold(waiting, async |mut waiting| Some((waiting.recv().await?, waiting)));
        let outgoing =
            self.request(&request)?.header(CONTENT_LENGTH, content_length).body(Body::wrap_stream(Box::pin(stream)));
        let client = self.clone();
        let answer = AbortOnDropHandle::new(runtime.spawn(async move { whole(client.send(outgoing).await?).await }));
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            // An error of the source ends the upload here, and with it the request.
            body.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            let sent = runtime.block_on(within(IDLE, deadline, pieces.send(Ok(piece.into()))))?;
            if sent.is_err() {
                // The host answers before it has all: that answer tells why.
                break;
            }
        }
        drop(pieces);
        runtime.block_on(within(VERDICT, deadline, answer))??
    }
}

/// The answer, read whole.
async fn whole(mut answer: Response) -> anyhow::Result<HttpResponse> {
    let status_code = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        anyhow::ensure!(body.len() + piece.len() <= BODY_LIMIT, "the answer is larger than {BODY_LIMIT} bytes");
        body.extend_from_slice(&piece);
    }
    Ok(HttpResponse { status_code, body })
}

async fn within<T>(idle: Duration, deadline: Instant, step: impl Future<Output = T>) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the media host stands still");
    timeout_at(deadline.min(Instant::now() + idle), step).await.map_err(late)
}

/// The body of an answer, read in a blocking task.
struct Download {
    runtime: Handle,
    answer: Response,
    piece: Bytes,
    deadline: Instant,
}

impl Read for Download {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let next = self.runtime.block_on(within(IDLE, self.deadline, self.answer.chunk()))?;
            match next.map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(into.len());
        self.piece.copy_to_slice(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_whatsapps_hosts_are_asked() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = WebClient::new(&Endpoint::whatsapp()).unwrap();
        let asked = |url: &str| client.request(&HttpRequest::get(url)).is_ok();
        assert!(asked("https://mmg.whatsapp.net/v/t62/x.enc?auth=a"));
        assert!(asked("https://web.whatsapp.com/sw.js"));
        for url in [
            "http://mmg.whatsapp.net/x",
            "https://mmg.whatsapp.net.example.com/x",
            "https://mmg.whatsapp.net@example.com/x",
            "https://notwhatsapp.net/x",
            "https://169.254.169.254/x",
        ] {
            assert!(!asked(url), "{url}");
        }
    }
}
