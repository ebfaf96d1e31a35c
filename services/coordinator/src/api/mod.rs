//! What others may ask of a coordinator: the router, and how a call is answered or refused.

mod admission;
mod coordinators;
mod status;
mod workers;

use crate::{
    network::{APPEND, NEW, SNAPSHOT, VOTE},
    node::Node,
};
use admission::Admitted;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{Method, Response, StatusCode, body::Incoming, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};
use std::{convert::Infallible, sync::Arc};
use tokio_util::sync::CancellationToken;
use warren_raft::wire::{ATTACH, Code, LEAVE, REPORT, Refusal, STATUS};

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers calls.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) node: Arc<Node>,
    /// Cancelled when streams are to end.
    pub(crate) stopping: CancellationToken,
}

impl Api {
    /// Answers one call; a refusal is counted.
    pub(crate) async fn answer(&self, request: hyper::Request<Incoming>) -> Response<Body> {
        let answered = match admission::admit(&self.node, request).await {
            Ok(call) => self.route(call).await,
            Err(code) => Err(code.into()),
        };
        answered.unwrap_or_else(|refusal| self.refuse(refusal))
    }

    /// Answers any call over plain HTTP where TLS is spoken. Nothing of it is looked at.
    pub(crate) fn refuse_plain(&self) -> Response<Body> {
        self.refuse(Code::PlainHttp.into())
    }

    fn refuse(&self, refusal: Refusal) -> Response<Body> {
        self.node.figures.refuse(refusal.code);
        refuse(refusal)
    }

    async fn route(&self, call: Admitted) -> Result<Response<Body>, Refusal> {
        match (&call.method, call.path.as_str()) {
            (&Method::POST, APPEND) => coordinators::append(self, &call).await,
            (&Method::POST, VOTE) => coordinators::vote(self, &call).await,
            (&Method::POST, SNAPSHOT) => coordinators::snapshot(self, &call).await,
            (&Method::POST, NEW) => coordinators::new(self, &call),
            (&Method::POST, ATTACH) => workers::attach(self, &call).await,
            (&Method::POST, REPORT) => workers::report(self, &call).await,
            (&Method::POST, LEAVE) => workers::leave(self, &call).await,
            (&Method::GET, STATUS) => status::get(self).await,
            _ => Err(Code::NotFound.into()),
        }
    }
}

impl Admitted {
    fn said<T: DeserializeOwned>(&self) -> Result<T, Code> {
        serde_json::from_slice(&self.body).map_err(|_| Code::Malformed)
    }
}

/// 200.
fn say(said: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let body = serde_json::to_vec(said).map_err(|_| Code::Malformed)?;
    Ok(json(StatusCode::OK, Full::from(body).boxed_unsync()))
}

fn refuse(refusal: Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code.status()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let body = serde_json::to_vec(&refusal).unwrap_or_default();
    json(status, Full::from(body).boxed_unsync())
}

fn json(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    response
}
