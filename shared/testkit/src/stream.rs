//! A WebSocket on the event stream, with everything that came.

use crate::api::Api;
use crate::eventually::eventually;
use crate::model::Event;
use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

#[derive(Debug, Default)]
struct Collected {
    events: Vec<Event>,
    other: Vec<Value>,
    cursor: Option<String>,
    is_closed: bool,
}

/// An open stream. Closed when dropped.
#[derive(Debug)]
pub struct Stream {
    collected: Arc<Mutex<Collected>>,
    reader: JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Stream {
    /// Opens it with `query`, such as `after=begin&type=message.received`, and waits for the first frame, which tells where it
    /// begins: from then on nothing is missed.
    ///
    /// # Errors
    /// It is refused, or says nothing.
    pub async fn open(api: &Api, query: &str) -> Result<Self> {
        let url = format!("{}/v1/events/stream?{query}", api.base().replacen("http", "ws", 1));
        let mut request = url.into_client_request().context("the stream's URL")?;
        let header = HeaderValue::from_str(&format!("Bearer {}", api.key())).context("the key")?;
        request.headers_mut().insert("authorization", header);
        let (mut socket, _) = connect_async(request).await.context("opening the stream")?;
        let collected = Arc::new(Mutex::new(Collected::default()));
        let kept = collected.clone();
        let reader = tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                if let Message::Text(text) = frame {
                    keep(&kept, &text);
                }
            }
            kept.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        });
        let stream = Self { collected, reader };
        eventually("the stream's first cursor", Duration::from_secs(30), async || Ok(stream.cursor())).await?;
        Ok(stream)
    }

    fn with<T>(&self, look: impl FnOnce(&Collected) -> T) -> T {
        look(&self.collected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The events so far, ephemeral ones too.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.with(|collected| collected.events.clone())
    }

    /// The frames that were not events.
    #[must_use]
    pub fn other(&self) -> Vec<Value> {
        self.with(|collected| collected.other.clone())
    }

    /// Where to go on.
    #[must_use]
    pub fn cursor(&self) -> Option<String> {
        self.with(|collected| collected.cursor.clone())
    }

    /// Whether the other side closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.with(|collected| collected.is_closed)
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// It did not come within `deadline`.
    pub async fn wait_for(&self, what: &str, deadline: Duration, is_it: impl Fn(&Event) -> bool) -> Result<Event> {
        eventually(what, deadline, async || {
            Ok(self.with(|collected| collected.events.iter().find(|event| is_it(event)).cloned()))
        })
        .await
    }
}

fn keep(kept: &Mutex<Collected>, text: &str) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    if let Some(cursor) = value.get("cursor").and_then(Value::as_str) {
        kept.cursor = Some(cursor.to_owned());
    }
    match serde_json::from_value::<Event>(value.clone()) {
        Ok(event) => kept.events.push(event),
        Err(_) => kept.other.push(value),
    }
}
