//! A webhook's receiver: an HTTP server in this process that checks the signature and remembers what it took. Its mood can be
//! changed.

use super::Follower;
use crate::history::Entry;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use warren_testkit::services::Port;
use warren_testkit::{Api, Event};

/// Before its port is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// The largest body that it takes, bytes.
const LARGEST: usize = 4 << 20;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It takes everything.
    Well,
    /// It does not listen.
    Down,
    /// It takes connections and requests, and says nothing.
    Hanging,
    /// It answers with this status and takes nothing.
    Answering(u16),
    /// It sends to another address.
    Redirecting,
}

#[derive(Debug, Default)]
struct Taken {
    entries: Vec<Entry>,
    ids: HashSet<String>,
    repeats: u64,
    /// Requests whose signature is wrong, or that are no event.
    wrong: u64,
    requests: u64,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    mood: watch::Sender<Mood>,
    secret: Mutex<String>,
    taken: Mutex<Taken>,
}

/// A receiver. It ends when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    shared: Arc<Shared>,
    port: Arc<Port>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
        self.shared.mood.send_replace(Mood::Down);
    }
}

impl Receiver {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// There is no free port.
    pub fn start() -> Result<Self> {
        Ok(Self::at(Port::take()?))
    }

    /// Starts one on this port.
    #[must_use]
    pub fn at(port: Port) -> Self {
        let port = Arc::new(port);
        let shared =
            Arc::new(Shared { mood: watch::Sender::new(Mood::Well), secret: Mutex::default(), taken: Mutex::default() });
        let serving = tokio::spawn(serve(shared.clone(), port.clone()));
        Self { shared, port, serving }
    }

    /// Its address, `http://127.0.0.1:port/events`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/events", self.port.address())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Makes a webhook that posts to it: from `after` (`begin`, `now` or a cursor), these kinds of events, or all. Its id.
    ///
    /// # Errors
    /// The webhook is not made.
    pub async fn subscribe(&self, api: &Api, after: &str, events: Option<&[&str]>) -> Result<String> {
        let mut wanted = json!({"url": self.url(), "after": after});
        if let (Some(wanted), Some(events)) = (wanted.as_object_mut(), events) {
            wanted.insert("events".to_owned(), json!(events));
        }
        let made: Value = api.post("/v1/webhooks", &wanted).await?.into()?;
        let text = |name: &str| made.get(name).and_then(Value::as_str).with_context(|| format!("the webhook has no {name}"));
        self.expect(text("secret")?);
        Ok(text("id")?.to_owned())
    }

    /// What requests must be signed with (`whsec_...`).
    pub fn expect(&self, secret: &str) {
        secret.clone_into(&mut self.shared.secret.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Changes how it answers, also what is under way.
    pub fn mood(&self, mood: Mood) {
        self.shared.mood.send_replace(mood);
    }

    fn with<T>(&self, look: impl FnOnce(&Taken) -> T) -> T {
        look(&self.shared.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many requests came, how many events came again, and how many requests were no signed event.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        self.with(|taken| (taken.requests, taken.repeats, taken.wrong))
    }

    /// How many events it took, those that came again too.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.with(|taken| taken.entries.len() as u64)
    }

    /// When it last took something.
    #[must_use]
    pub fn last(&self) -> Option<Instant> {
        self.with(|taken| taken.last)
    }
}

impl Follower for Receiver {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn has(&self, event: &str) -> bool {
        self.with(|taken| taken.ids.contains(event))
    }

    fn entries(&self) -> Vec<Entry> {
        self.with(|taken| taken.entries.clone())
    }
}

async fn serve(shared: Arc<Shared>, port: Arc<Port>) {
    let mut mood = shared.mood.subscribe();
    while mood.wait_for(|mood| *mood != Mood::Down).await.is_ok() {
        let Ok(listener) = TcpListener::bind(port.address()).await else {
            sleep(PAUSE).await;
            continue;
        };
        loop {
            let accepted = tokio::select! {
                biased;
                _ = mood.wait_for(|mood| *mood == Mood::Down) => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else { continue };
            let (shared, mut mood) = (shared.clone(), shared.mood.subscribe());
            tokio::spawn(async move {
                let answer = service_fn(|request| answer(&shared, request));
                let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
                tokio::select! {
                    _ = mood.wait_for(|mood| *mood == Mood::Down) => {}
                    _ = serving => {}
                }
            });
        }
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mood = *shared.mood.borrow();
    let with = |status: StatusCode| {
        let mut response = Response::new(Full::default());
        *response.status_mut() = status;
        response
    };
    shared.taken.lock().unwrap_or_else(PoisonError::into_inner).requests += 1;
    match mood {
        Mood::Well => Ok(with(match take(shared, request).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => {
                shared.taken.lock().unwrap_or_else(PoisonError::into_inner).wrong += 1;
                StatusCode::BAD_REQUEST
            }
        })),
        Mood::Down | Mood::Hanging => {
            let _ = shared.mood.subscribe().wait_for(|now| *now != Mood::Hanging).await;
            Ok(with(StatusCode::SERVICE_UNAVAILABLE))
        }
        Mood::Answering(status) => Ok(with(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))),
        Mood::Redirecting => {
            let mut response = with(StatusCode::TEMPORARY_REDIRECT);
            let elsewhere = hyper::header::HeaderValue::from_static("http://127.0.0.1:9/elsewhere");
            response.headers_mut().insert(hyper::header::LOCATION, elsewhere);
            Ok(response)
        }
    }
}

/// Remembers an event that is signed as it should be.
async fn take(shared: &Shared, request: Request<Incoming>) -> Result<()> {
    let (head, body) = request.into_parts();
    let body = http_body_util::Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("half a request: {error}"))?.to_bytes();
    let secret = shared.secret.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Webhook::new(&secret).context("the secret")?.verify(&body, &head.headers).context("the signature")?;
    let event: Event = serde_json::from_slice(&body).context("an event")?;
    let seq = event.seq.context("an event with a number")?;
    let mut taken = shared.taken.lock().unwrap_or_else(PoisonError::into_inner);
    if !taken.ids.insert(event.id.clone()) {
        taken.repeats += 1;
    }
    taken.entries.push(Entry { instance: event.instance_id, seq, id: event.id });
    taken.last = Some(Instant::now());
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    const SECRET: &str = "whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=";
    const EVENT: &str = r#"{"id":"evt_1","seq":1,"type":"message.received","instance_id":"i","cursor":"c","data":{}}"#;

    async fn post(receiver: &Receiver, body: &str) -> Result<u16> {
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let signature = Webhook::new(SECRET)?.sign("evt_1", now, EVENT.as_bytes())?;
        let request = crate::http_client(Duration::from_secs(5))?.post(receiver.url());
        let request = request.header("webhook-id", "evt_1").header("webhook-timestamp", now.to_string());
        Ok(request.header("webhook-signature", signature).body(body.to_owned()).send().await?.status().as_u16())
    }

    #[tokio::test]
    async fn takes_what_is_signed_and_remembers_repeats() {
        let receiver = Receiver::start().unwrap();
        receiver.expect(SECRET);
        let listening = async || Ok(post(&receiver, EVENT).await.ok());
        let status = warren_testkit::eventually("it listens", Duration::from_secs(10), listening).await.unwrap();
        assert_eq!(status, 204);
        assert_eq!(post(&receiver, EVENT).await.unwrap(), 204);
        assert_eq!(post(&receiver, &EVENT.replace("\"i\"", "\"j\"")).await.unwrap(), 400);
        assert_eq!((receiver.entries().len(), receiver.counts()), (2, (3, 1, 1)));
        assert!(receiver.has("evt_1") && receiver.last().is_some());
    }

    #[tokio::test]
    async fn its_mood_can_be_changed() {
        let receiver = Receiver::start().unwrap();
        receiver.expect(SECRET);
        receiver.mood(Mood::Answering(500));
        let listening = async || Ok(post(&receiver, EVENT).await.ok());
        let status = warren_testkit::eventually("it listens", Duration::from_secs(10), listening).await.unwrap();
        assert_eq!(status, 500);
        receiver.mood(Mood::Redirecting);
        assert!(!(200..300).contains(&post(&receiver, EVENT).await.unwrap_or(307)));
        receiver.mood(Mood::Down);
        let gone = async || Ok(post(&receiver, EVENT).await.is_err().then_some(()));
        warren_testkit::eventually("it is gone", Duration::from_secs(10), gone).await.unwrap();
        receiver.mood(Mood::Well);
        let back = async || Ok(post(&receiver, EVENT).await.ok());
        assert_eq!(warren_testkit::eventually("it is back", Duration::from_secs(10), back).await.unwrap(), 204);
        assert_eq!(receiver.entries().len(), 1);
    }
}
