//! A client of the public API.

use crate::model::{Event, Instance, Message, Pairing};
use anyhow::{Context, Result, bail};
use reqwest::{Client, Method, StatusCode, header::HeaderMap};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A request that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(60);

/// A client with one key. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    http: Client,
    base: String,
    key: String,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The body as JSON; `null` if it is none.
    pub body: Value,
}

impl Answer {
    /// A problem's code; empty if it is none.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    /// The body as `T`.
    ///
    /// # Errors
    /// It was not a success, or is something else.
    pub fn into<T: DeserializeOwned>(self) -> Result<T> {
        if !self.status.is_success() {
            bail!("answered {}: {}", self.status, self.text);
        }
        serde_json::from_value(self.body).with_context(|| format!("reading {}", self.text))
    }
}

/// A text to send.
#[derive(Debug, Clone)]
pub struct Draft {
    body: Map<String, Value>,
    key: Option<String>,
    wait: bool,
}

impl Draft {
    /// A text to a number.
    #[must_use]
    pub fn text(to: &str, text: &str) -> Self {
        let mut body = Map::new();
        body.insert("to".into(), to.into());
        body.insert("type".into(), "text".into());
        body.insert("text".into(), json!({"body": text}));
        Self { body, key: None, wait: false }
    }

    /// With an `Idempotency-Key`.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// With a further field.
    #[must_use]
    pub fn with(mut self, field: &str, value: Value) -> Self {
        self.body.insert(field.to_owned(), value);
        self
    }

    /// `at_most_once`.
    #[must_use]
    pub fn at_most_once(self) -> Self {
        self.with("delivery", "at_most_once".into())
    }

    /// With `?wait=sent`.
    #[must_use]
    pub const fn wait(mut self) -> Self {
        self.wait = true;
        self
    }
}

#[derive(Deserialize)]
struct Stretch {
    data: Vec<Event>,
    next_cursor: String,
    more: bool,
}

impl Api {
    /// A client of the API at `base` (`http://host:port`).
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(base: &str, key: &str) -> Result<Self> {
        Ok(Self { http: http()?, base: base.to_owned(), key: key.to_owned() })
    }

    /// The same API with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// `http://host:port`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Any request; `body` as JSON, further headers as pairs.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).timeout(LIMIT);
        if !self.key.is_empty() {
            request = request.bearer_auth(&self.key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request).await
    }

    /// `GET`.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path, None, &[]).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.request(Method::POST, path, Some(body), &[]).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn delete(&self, path: &str) -> Result<Answer> {
        self.request(Method::DELETE, path, None, &[]).await
    }

    /// `POST` with a body as it is, which need not be JSON.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn post_raw(&self, path: &str, content_type: &str, body: Vec<u8>) -> Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base)).timeout(LIMIT).bearer_auth(&self.key);
        answer(request.header("content-type", content_type).body(body)).await
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// It was not made.
    pub async fn create_instance(&self, name: &str) -> Result<Instance> {
        self.post("/v1/instances", &json!({"name": name})).await?.into()
    }

    /// An instance as it is now.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn instance(&self, id: &str) -> Result<Instance> {
        self.get(&format!("/v1/instances/{id}")).await?.into()
    }

    /// Begins a pairing by QR code.
    ///
    /// # Errors
    /// It does not begin.
    pub async fn start_pairing(&self, id: &str) -> Result<Pairing> {
        self.post(&format!("/v1/instances/{id}/pairing"), &json!({"method": "qr"})).await?.into()
    }

    /// A pairing as it is now.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn pairing(&self, id: &str) -> Result<Pairing> {
        self.get(&format!("/v1/instances/{id}/pairing")).await?.into()
    }

    /// Sends a text and returns the whole answer.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn try_send(&self, instance: &str, draft: &Draft) -> Result<Answer> {
        let wait = if draft.wait { "?wait=sent" } else { "" };
        let path = format!("/v1/instances/{instance}/messages{wait}");
        let headers: Vec<_> = draft.key.iter().map(|key| ("idempotency-key", key.as_str())).collect();
        self.request(Method::POST, &path, Some(&Value::Object(draft.body.clone())), &headers).await
    }

    /// Sends a text.
    ///
    /// # Errors
    /// It was not accepted.
    pub async fn send(&self, instance: &str, draft: &Draft) -> Result<Message> {
        self.try_send(instance, draft).await?.into()
    }

    /// A message as it is now.
    ///
    /// # Errors
    /// It is not shown.
    pub async fn message(&self, id: &str) -> Result<Message> {
        self.get(&format!("/v1/messages/{id}")).await?.into()
    }

    /// The whole log of an instance, from the beginning.
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn events(&self, instance: &str) -> Result<Vec<Event>> {
        self.events_after(&format!("instance={instance}&"), "begin").await
    }

    /// The log after a cursor, with a filter such as `type=message.received&` (or nothing).
    ///
    /// # Errors
    /// It cannot be read.
    pub async fn events_after(&self, filter: &str, after: &str) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut after = after.to_owned();
        loop {
            let stretch: Stretch = self.get(&format!("/v1/events?{filter}after={after}&limit=1000")).await?.into()?;
            events.extend(stretch.data);
            if !stretch.more {
                return Ok(events);
            }
            after = stretch.next_cursor;
        }
    }
}

/// An HTTP client.
pub(crate) fn http() -> Result<Client> {
    // Whoever installed one first is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().build().context("making an HTTP client")
}

/// Sends a request and reads the answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await.context("no answer")?;
    let (status, headers) = (response.status(), response.headers().clone());
    let text = String::from_utf8_lossy(&response.bytes().await.context("half an answer")?).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, headers, text, body })
}
