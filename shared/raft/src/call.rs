//! A call to a coordinator.

use crate::{
    credential::{
        CLUSTER_HEADER, Credential, DIGEST_HEADER, PROTOCOL_HEADER, SENDER_HEADER, SIGNATURE_HEADER, Signed, TARGET_HEADER,
        digest,
    },
    tls::{Trust, distrust},
    wire::{NodeId, PROTOCOL, Refusal},
};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, StatusCode, body::Incoming, header::CONTENT_TYPE};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        Client, ResponseFuture,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{error::Error as _, fmt, time::Duration};
use tokio::time::timeout;

/// The longest answer that is read whole, bytes: the status of a cluster, or a snapshot of its state.
const LONGEST_ANSWER: usize = 16 << 20;
/// The longest refusal that is read.
const LONGEST_REFUSAL: usize = 64 << 10;
/// How long it may take to reach a coordinator's machine.
const CONNECT: Duration = Duration::from_millis(500);
/// Connections to one coordinator that are kept for the next call.
const IDLE: usize = 4;
/// How long they are kept.
const IDLE_FOR: Duration = Duration::from_secs(30);
/// What was sent and is not acknowledged by the other machine for so long ends the connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Makes signed calls. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Caller {
    way: Way,
    credential: Credential,
}

/// How coordinators are spoken to.
#[derive(Clone)]
enum Way {
    Plain(Client<HttpConnector, Full<Bytes>>),
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
}

impl Way {
    fn new(trust: Option<&Trust>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        match trust {
            None => Self::Plain(client(connector)),
            Some(trust) => Self::Tls(client(trust.connector(connector))),
        }
    }

    const fn scheme(&self) -> &'static str {
        match self {
            Self::Plain(_) => "http",
            Self::Tls(_) => "https",
        }
    }

    fn request(&self, call: hyper::Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Plain(client) => client.request(call),
            Self::Tls(client) => client.request(call),
        }
    }
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_FOR)
        .pool_max_idle_per_host(IDLE)
        .build(connector)
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("credential", &self.credential).finish_non_exhaustive()
    }
}

/// Whom to call, and where.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// The path.
    pub path: &'a str,
    /// The coordinator that calls; 0 for everybody else.
    pub sender: NodeId,
    /// The coordinator that is called; 0 for any.
    pub target: NodeId,
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The coordinator cannot be reached.
    #[error("it cannot be reached ({0})")]
    Unreachable(String),
    /// It does not prove that it is a coordinator of this cluster: it speaks no TLS, or has a certificate of another authority,
    /// for another host, or of another time.
    #[error("it does not prove itself as cluster.tls_authority has it ({0})")]
    Untrusted(String),
    /// It did not answer in time. What was asked may have been done.
    #[error("it does not answer in time")]
    Late,
    /// It refuses.
    #[error("{}", .0.code)]
    Refused(Refusal),
    /// It answers something that makes no sense.
    #[error("what answers there is no coordinator of this version")]
    Malformed,
}

impl Caller {
    /// A caller of this cluster, over plain HTTP.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self::trusting(credential, None)
    }

    /// A caller of this cluster; over TLS and nothing else, if it is said whom it trusts.
    #[must_use]
    pub fn trusting(credential: Credential, trust: Option<&Trust>) -> Self {
        Self { way: Way::new(trust), credential }
    }

    /// Says something, and reads the answer.
    ///
    /// # Errors
    /// [`Failure`]; after `within` at the latest.
    pub async fn post<T: DeserializeOwned>(
        &self,
        request: Request<'_>,
        said: &impl Serialize,
        within: Duration,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(said).map_err(|_| Failure::Malformed)?;
        timeout(within, self.whole(Method::POST, request, body.into())).await.unwrap_or(Err(Failure::Late))
    }

    /// Asks for something.
    ///
    /// # Errors
    /// [`Failure`]; after `within` at the latest.
    pub async fn get<T: DeserializeOwned>(&self, request: Request<'_>, within: Duration) -> Result<T, Failure> {
        timeout(within, self.whole(Method::GET, request, Bytes::new())).await.unwrap_or(Err(Failure::Late))
    }

    /// Says something to which the answer is a stream that begins `within`.
    ///
    /// # Errors
    /// [`Failure`]; after `within` at the latest.
    pub async fn open(&self, request: Request<'_>, said: &impl Serialize, within: Duration) -> Result<Incoming, Failure> {
        let body = serde_json::to_vec(said).map_err(|_| Failure::Malformed)?;
        timeout(within, self.send(Method::POST, request, body.into())).await.unwrap_or(Err(Failure::Late))
    }

    async fn whole<T: DeserializeOwned>(&self, method: Method, request: Request<'_>, body: Bytes) -> Result<T, Failure> {
        let answer = self.send(method, request, body).await?;
        let answer = Limited::new(answer, LONGEST_ANSWER).collect().await.map_err(|_| Failure::Malformed)?.to_bytes();
        serde_json::from_slice(&answer).map_err(|_| Failure::Malformed)
    }

    async fn send(&self, method: Method, request: Request<'_>, body: Bytes) -> Result<Incoming, Failure> {
        let digest = digest(&body);
        let signed = Signed {
            method: method.as_str(),
            path: request.path,
            sender: request.sender,
            target: request.target,
            digest: &digest,
        };
        let signature = self.credential.sign(signed);
        let call = hyper::Request::builder()
            .method(&method)
            .uri(format!("{}://{}{}", self.way.scheme(), request.address, request.path))
            .header(CONTENT_TYPE, "application/json")
            .header(PROTOCOL_HEADER, PROTOCOL)
            .header(CLUSTER_HEADER, self.credential.cluster())
            .header(SENDER_HEADER, request.sender)
            .header(TARGET_HEADER, request.target)
            .header(DIGEST_HEADER, &digest)
            .header(SIGNATURE_HEADER, signature)
            .body(Full::new(body))
            .map_err(|_| Failure::Unreachable("its address makes no sense".to_owned()))?;
        let answer = self.way.request(call).await.map_err(|error| unanswered(&error))?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let refusal = Limited::new(answer.into_body(), LONGEST_REFUSAL).collect().await.map_err(|_| Failure::Malformed)?;
        serde_json::from_slice(&refusal.to_bytes()).map(Failure::Refused).map_or(Err(Failure::Malformed), Err)
    }
}

/// By the innermost cause: "connection refused", and not "client error".
fn unanswered(error: &hyper_util::client::legacy::Error) -> Failure {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
        if let Some(reason) = distrust(innermost) {
            return Failure::Untrusted(reason);
        }
    }
    Failure::Unreachable(if error.source().is_none() { "the connection broke".to_owned() } else { innermost.to_string() })
}
