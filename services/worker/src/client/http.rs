//! The HTTP client that the library asks: WhatsApp's own site for the current version, its media hosts.

use async_trait::async_trait;
use std::time::Duration;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};

/// What an answer may hold, bytes: the version page has under 1 MB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Shared by all instances. Follows no redirects and reads no proxy settings from the environment.
#[derive(Debug, Clone)]
pub(crate) struct WebClient(reqwest::Client);

impl WebClient {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self(client))
    }
}

#[async_trait]
impl HttpClient for WebClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let method = reqwest::Method::from_bytes(request.method.as_bytes())?;
        let mut outgoing = self.0.request(method, &request.url);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(name, value);
        }
        if let Some(body) = request.body {
            outgoing = outgoing.body(body);
        }
        let mut answer = outgoing.send().await?;
        let status_code = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await? {
            anyhow::ensure!(body.len() + chunk.len() <= BODY_LIMIT, "the answer is larger than {BODY_LIMIT} bytes");
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status_code, body })
    }
}
