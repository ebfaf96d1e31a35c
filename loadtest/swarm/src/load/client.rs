//! A client of the public API as careful programs are: a call that gets no answer, or "not now", is made again under the same
//! `Idempotency-Key`, at the next gateway, until it is answered or its patience ends.

use crate::place::Endpoints;
use anyhow::Result;
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long one try may take: longer than `?wait=sent` does.
const TRY: Duration = Duration::from_secs(15);
/// The pause before the first try after all gateways were tried; it doubles.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest that is waited because an answer says so.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What became of all calls. Counts only.
#[derive(Debug, Default)]
pub struct Tally {
    calls: AtomicU64,
    failed: AtomicU64,
    tries: AtomicU64,
    unanswered: AtomicU64,
    server_errors: AtomicU64,
    busy: AtomicU64,
    without_retry_after: AtomicU64,
    slowest_refusal_ms: AtomicU64,
}

/// [`Tally`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Calls that were made.
    pub calls: u64,
    /// Of those, the ones that failed for good.
    pub failed: u64,
    /// Tries; a call has one or more.
    pub tries: u64,
    /// Tries without an answer: the connection was refused or ended, or the time was up.
    pub unanswered: u64,
    /// Tries that were answered 5xx.
    pub server_errors: u64,
    /// Tries that were answered 429.
    pub busy: u64,
    /// Answers 429 and 503 without `Retry-After`.
    pub without_retry_after: u64,
    /// How long the slowest 5xx took to come, milliseconds.
    pub slowest_refusal_ms: u64,
}

impl Tally {
    /// The counts now.
    #[must_use]
    pub fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            calls: read(&self.calls),
            failed: read(&self.failed),
            tries: read(&self.tries),
            unanswered: read(&self.unanswered),
            server_errors: read(&self.server_errors),
            busy: read(&self.busy),
            without_retry_after: read(&self.without_retry_after),
            slowest_refusal_ms: read(&self.slowest_refusal_ms),
        }
    }

    fn refused(&self, status: StatusCode, says_when: bool, took: Duration) {
        if status.is_server_error() {
            self.server_errors.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            self.slowest_refusal_ms.fetch_max(took, Ordering::Relaxed);
        } else {
            self.busy.fetch_add(1, Ordering::Relaxed);
        }
        if !says_when && [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status) {
            self.without_retry_after.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, from `/v1`.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
    /// The `Idempotency-Key`.
    pub key: Option<String>,
    /// Which gateway is tried first.
    pub gateway: usize,
    /// How long it may take in all, tries and pauses.
    pub patience: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With success: the body.
    Done(Value),
    /// It was refused for good: the status and the problem's code.
    Refused(u16, String),
    /// Nobody answered while it was patient: nobody knows what became of it.
    Unknown,
}

/// A client with one key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoints: Endpoints,
    key: Arc<str>,
    tally: Arc<Tally>,
}

/// What one try led to.
enum Tried {
    Ended(Outcome),
    Again { after: Option<Duration>, unanswered: bool },
}

impl Client {
    /// A client of these gateways.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(endpoints: &Endpoints, key: &str) -> Result<Self> {
        let http = crate::http_client(TRY)?;
        Ok(Self { http, endpoints: endpoints.clone(), key: key.into(), tally: Arc::default() })
    }

    /// What became of its calls.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Makes a call.
    pub async fn call(&self, call: &Call) -> Outcome {
        self.tally.calls.fetch_add(1, Ordering::Relaxed);
        let until = Instant::now() + call.patience;
        let mut gateway = call.gateway;
        let mut pause = PAUSE;
        let mut in_a_row = 0;
        let outcome = loop {
            match self.attempt(call, gateway, until).await {
                Tried::Ended(outcome) => break outcome,
                Tried::Again { after, unanswered } => {
                    gateway += 1;
                    in_a_row = if unanswered { in_a_row + 1 } else { self.endpoints.len() };
                    // One that is gone is no reason to wait before another is asked.
                    let wait = match after {
                        Some(after) => after.min(LONGEST_RETRY_AFTER),
                        None if in_a_row < self.endpoints.len() => Duration::ZERO,
                        None => pause,
                    };
                    if Instant::now() + wait >= until {
                        break Outcome::Unknown;
                    }
                    sleep(wait).await;
                    if !wait.is_zero() {
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        };
        if !matches!(outcome, Outcome::Done(_)) {
            self.tally.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }

    async fn attempt(&self, call: &Call, gateway: usize, until: Instant) -> Tried {
        self.tally.tries.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}{}", self.endpoints.at(gateway), call.path);
        let limit = until.saturating_duration_since(Instant::now()).min(TRY);
        let mut request = self.http.request(call.method.clone(), url).bearer_auth(&self.key).timeout(limit);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(key) = &call.key {
            request = request.header("idempotency-key", key);
        }
        let began = Instant::now();
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(_) => return self.unanswered(),
        };
        let status = answer.status();
        let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let after: Option<Duration> = after.map(Duration::from_secs);
        let Ok(text) = answer.bytes().await else { return self.unanswered() };
        let body = serde_json::from_slice(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Tried::Ended(Outcome::Done(body));
        }
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            self.tally.refused(status, after.is_some(), began.elapsed());
            return Tried::Again { after, unanswered: false };
        }
        let code = body.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
        Tried::Ended(Outcome::Refused(status.as_u16(), code))
    }

    fn unanswered(&self) -> Tried {
        self.tally.unanswered.fetch_add(1, Ordering::Relaxed);
        Tried::Again { after: None, unanswered: true }
    }
}
