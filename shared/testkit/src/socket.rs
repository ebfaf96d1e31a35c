//! Any WebSocket of JSON frames, with everything that came.

use crate::eventually::{PATIENCE, eventually};
use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::Value;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    client::IntoClientRequest,
    http::{HeaderName, HeaderValue},
};

/// An open WebSocket. Closed when dropped.
#[derive(Debug)]
pub struct Socket {
    frames: Arc<Mutex<Vec<Value>>>,
    reader: JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Socket {
    /// Opens it at a URL (`http://...`), with these headers. `Err` of the inner result is the status and body of a refusal.
    ///
    /// # Errors
    /// There was no answer.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<std::result::Result<Self, (u16, Value)>> {
        let mut request = url.replacen("http", "ws", 1).into_client_request().context("the socket's URL")?;
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).context("a header")?;
            request.headers_mut().insert(name, HeaderValue::from_str(value).context("a header's value")?);
        }
        let mut socket = match connect_async(request).await {
            Ok((socket, _)) => socket,
            Err(Error::Http(refused)) => {
                let body = refused.body().as_deref().unwrap_or_default();
                return Ok(Err((refused.status().as_u16(), serde_json::from_slice(body).unwrap_or_default())));
            }
            Err(error) => return Err(error).context("opening the socket"),
        };
        let frames = Arc::new(Mutex::new(Vec::new()));
        let kept = frames.clone();
        let reader = tokio::spawn(async move {
            while let Some(Ok(frame)) = socket.next().await {
                if let Message::Text(text) = frame
                    && let Ok(value) = serde_json::from_str(&text)
                {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(value);
                }
            }
        });
        Ok(Ok(Self { frames, reader }))
    }

    /// The frames so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Value> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a frame.
    ///
    /// # Errors
    /// It did not come in time; the error shows what did.
    pub async fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = eventually(what, PATIENCE, async || Ok(self.frames().into_iter().find(|frame| is_it(frame))));
        found.await.with_context(|| format!("came: {:?}", self.frames()))
    }
}
