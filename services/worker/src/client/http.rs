//! The HTTP client that the library asks: WhatsApp's own site for the current version, its media hosts.

mod proxied;

use crate::transport::Route;
use async_trait::async_trait;
use std::time::Duration;
use wacore::net::{HttpClient, HttpRequest, HttpResponse};

/// What an answer may hold, bytes: the version page has under 1 MB.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Follows no redirects and reads no proxy settings from the environment.
#[derive(Clone)]
pub(crate) enum WebClient {
    /// Shared by all instances that have no proxy.
    Direct(reqwest::Client),
    /// Through an instance's proxy.
    Proxied(Box<Route>),
}

impl WebClient {
    pub(crate) fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self::Direct(client))
    }

    /// For an instance with a proxy: nothing of it goes another way.
    pub(crate) fn through(route: &Route) -> Self {
        Self::Proxied(Box::new(route.clone()))
    }
}

#[async_trait]
impl HttpClient for WebClient {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        let client = match self {
            Self::Direct(client) => client,
            Self::Proxied(route) => return proxied::execute(route, request).await,
        };
        let method = reqwest::Method::from_bytes(request.method.as_bytes())?;
        let mut outgoing = client.request(method, &request.url);
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
