//! `Idempotency-Key` on mutating routes: the same key and body again gets the same answer, a second one in flight waits.
//!
//! Sends carry their key into the ledger's `accept`. Every other mutating route goes through [`Mutation::once`]: reserve,
//! carry out with the reserved resource id, store the answer. Without a key the request is simply carried out.

use crate::{
    json,
    problem::{Problem, Result},
    state::App,
};
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::{future::Future, time::Duration};
use tokio::{sync::oneshot, time::Instant};
use warren_domain::{ErrorKind, MessageId, TenantId};
use warren_ports::ledger::{IdempotencyKey, Reservation, Reserved, StoredResponse};

/// The header of a request's key.
const KEY: &str = "idempotency-key";
/// The header of an answer that was given before.
pub(crate) const REPLAYED: &str = "idempotent-replayed";
/// How long carrying out a request may take.
const WORK: Duration = Duration::from_secs(20);
/// After this long a reservation without an answer belonged to a process that died. Longer than any work.
const ABANDONED: Duration = Duration::from_secs(30);
/// How often a request that waits for another one looks.
const LOOKS: std::ops::Range<Duration> = Duration::from_millis(10)..Duration::from_millis(250);

/// Under which tenant the operator's keys are.
pub(crate) const OPERATOR: TenantId = TenantId::from_bytes([0; 16]);

/// A mutating request: its body, and its key if it has one.
pub(crate) struct Mutation<T> {
    /// The body.
    pub(crate) body: T,
    /// The key with the request's fingerprint.
    pub(crate) key: Option<IdempotencyKey>,
}

/// What repeating a request does that failed without a known outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The same again: it may be tried at once.
    Harmless,
    /// It could make a second thing: the reservation is kept, and the retry that takes it over gets the first one's id.
    MakesAnother,
}

/// An answer as it can be given again.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: StatusCode,
    location: Option<String>,
    shown: Option<String>,
    /// What a replay shows instead, if the answer holds a secret.
    replayed: Option<String>,
}

/// An answer as the ledger keeps it.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

impl Answer {
    /// A status without a body.
    pub(crate) const fn empty(status: StatusCode) -> Self {
        Self { status, location: None, shown: None, replayed: None }
    }

    /// A status with a JSON body.
    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Result<Self> {
        let shown = serde_json::to_string(body).map_err(Problem::internal)?;
        Ok(Self { status, location: None, shown: Some(shown), replayed: None })
    }

    /// The same answer with what a replay shows instead, because this one holds a secret that is shown once.
    pub(crate) fn shown_once(mut self, replayed: &impl Serialize) -> Result<Self> {
        self.replayed = Some(serde_json::to_string(replayed).map_err(Problem::internal)?);
        Ok(self)
    }

    /// The same answer, saying where the thing is.
    #[must_use]
    pub(crate) fn at(mut self, location: String) -> Self {
        self.location = Some(location);
        self
    }

    fn stored(&self) -> Result<StoredResponse> {
        let body = self.replayed.clone().or_else(|| self.shown.clone());
        let body = body.map(RawValue::from_string).transpose().map_err(Problem::internal)?;
        let kept = Kept { location: self.location.clone(), body };
        let body = serde_json::to_vec(&kept).map_err(Problem::internal)?;
        Ok(StoredResponse { status: self.status.as_u16(), body })
    }

    fn replay(stored: &StoredResponse) -> Result<Response> {
        let kept: Kept = serde_json::from_slice(&stored.body).map_err(Problem::internal)?;
        let status = StatusCode::from_u16(stored.status).map_err(Problem::internal)?;
        let answer =
            Self { status, location: kept.location, shown: kept.body.map(|body| body.get().to_owned()), replayed: None };
        let mut response = answer.into_response();
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(response)
    }

    /// The response.
    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(self.shown.map_or_else(Body::empty, Body::from));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(location) = self.location.and_then(|location| HeaderValue::try_from(location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        response
    }
}

impl<T: DeserializeOwned> FromRequest<App> for Mutation<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        Self::read(request, app, app.options.body_limit_bytes).await
    }
}

impl<T: DeserializeOwned> Mutation<T> {
    /// Reads a request with a body of at most `limit` bytes.
    pub(crate) async fn read(request: Request, app: &App, limit: usize) -> Result<Self> {
        let key = header_key(request.headers())?;
        let subject = format!("{} {}\n", request.method(), request.uri().path());
        let bytes = json::read_up_to(request, app, limit).await?;
        let key = key.map(|key| {
            let fingerprint = Sha256::new().chain_update(subject).chain_update(&bytes).finalize().into();
            IdempotencyKey { key, fingerprint }
        });
        Ok(Self { body: json::parse(&bytes)?, key })
    }
}

pub(crate) fn header_key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_well_formed = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_well_formed || values.next().is_some() {
        return Err(Problem::http(
            StatusCode::BAD_REQUEST,
            "invalid_idempotency_key",
            "An Idempotency-Key is given once and has 1 to 255 visible ASCII characters.",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// The answer to a key that was used for another request.
pub(crate) fn mismatch() -> Problem {
    Problem::invalid("idempotency_mismatch", "This Idempotency-Key was used for another request; take a new one.")
}

impl<T> Mutation<T> {
    /// Carries out `work` once for this key. `work` gets the id for whatever it makes. It is finished even if the caller
    /// hangs up, so that a retry finds the answer.
    pub(crate) async fn once<W, F>(self, app: &App, tenant: TenantId, repeat: Repeat, work: W) -> Result<Response>
    where
        W: FnOnce(T, MessageId) -> F,
        F: Future<Output = Result<Answer>> + Send + 'static,
    {
        let Some(key) = self.key else {
            return Ok(work(self.body, MessageId::generate()).await?.into_response());
        };
        let resource = match reserve(app, tenant, &key).await? {
            Reserved::Fresh(resource) => resource,
            Reserved::Done(stored) => {
                app.telemetry.replayed.inc();
                return Answer::replay(&stored);
            }
            Reserved::Mismatch => return Err(mismatch()),
            Reserved::InFlight => return Err(still_in_flight()),
        };
        let (answered, answer) = oneshot::channel();
        let work = work(self.body, resource);
        let held = Held { app: app.clone(), tenant, key: key.key, repeat };
        app.lifecycle.spawn(async move {
            // Nobody listens any more if the caller hung up; the answer is stored all the same.
            let _ = answered.send(held.carry_out(work).await);
        });
        answer
            .await
            .unwrap_or_else(|_| Err(Problem::internal("the work of a reserved request did not end")))
            .map(Answer::into_response)
    }
}

/// A reservation that is being worked on.
struct Held {
    app: App,
    tenant: TenantId,
    key: String,
    repeat: Repeat,
}

impl Held {
    async fn carry_out(self, work: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        let result = tokio::time::timeout(WORK, work).await.unwrap_or_else(|_| {
            Err(Problem::new(ErrorKind::Timeout, "timeout", "The request took too long; its outcome is not known."))
        });
        let noted = match &result {
            Ok(answer) => self.app.ledger.complete(self.tenant, &self.key, &answer.stored()?).await,
            Err(problem) if self.must_be_kept(problem) => Ok(()),
            Err(_) => self.app.ledger.release(self.tenant, &self.key).await,
        };
        if let Err(error) = noted {
            // What was done is done: a retry waits until the reservation counts as abandoned, then does it again under
            // the same resource id.
            tracing::warn!(code = error.code, "the outcome of a keyed request was not stored");
        }
        result
    }

    fn must_be_kept(&self, problem: &Problem) -> bool {
        let is_in_doubt = matches!(problem.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Internal);
        self.repeat == Repeat::MakesAnother && is_in_doubt
    }
}

/// Reserves a key, waiting for another request with it.
async fn reserve(app: &App, tenant: TenantId, key: &IdempotencyKey) -> Result<Reserved> {
    let deadline = Instant::now() + app.options.in_flight_timeout();
    let mut pause = LOOKS.start;
    loop {
        let now = app.now();
        let reservation = Reservation {
            tenant,
            key: key.clone(),
            resource: MessageId::generate(),
            at: now,
            abandoned_before: now.before(ABANDONED),
        };
        let reserved = app.ledger.reserve(&reservation).await?;
        if reserved != Reserved::InFlight || Instant::now() + pause >= deadline {
            return Ok(reserved);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOKS.end);
    }
}

fn still_in_flight() -> Problem {
    Problem::new(
        ErrorKind::Unavailable,
        "idempotency_in_flight",
        "Another request with this Idempotency-Key is still being carried out; try again.",
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn key(value: &[u8]) -> Result<Option<String>> {
        header_key(&HeaderMap::from_iter([(KEY.parse().unwrap(), HeaderValue::from_bytes(value).unwrap())]))
    }

    #[test]
    fn keys_are_short_and_visible() {
        assert_eq!(key(b"order-42").unwrap().as_deref(), Some("order-42"));
        assert_eq!(header_key(&HeaderMap::new()).unwrap(), None);
        for value in [&b""[..], b"a b", b"a\tb", "ü".as_bytes(), &[b'x'; 256], &[b'x'; 10_000]] {
            assert_eq!(key(value).unwrap_err().status(), StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn a_secret_is_not_stored() {
        let answer = Answer::json(StatusCode::CREATED, &serde_json::json!({"key": "canary"})).unwrap();
        let answer = answer.shown_once(&serde_json::json!({"key": null})).unwrap().at("/v1/x".into());
        let stored = answer.stored().unwrap();
        assert!(!String::from_utf8(stored.body.clone()).unwrap().contains("canary"));
        let replay = Answer::replay(&stored).unwrap();
        assert_eq!(replay.status(), StatusCode::CREATED);
        assert_eq!(replay.headers().get(REPLAYED).unwrap(), "true");
        assert_eq!(replay.headers().get(header::LOCATION).unwrap(), "/v1/x");
    }
}
