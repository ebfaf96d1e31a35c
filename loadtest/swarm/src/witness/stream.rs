//! A WebSocket on the event stream that resumes: when a connection ends, the next one begins where it ended, at the next gateway.

use super::Follower;
use crate::history::Entry;
use crate::place::{Endpoints, Place};
use anyhow::{Context, Result};
use futures::StreamExt as _;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use warren_testkit::{Event, PATIENCE, eventually};

/// Before the next gateway is tried.
const PAUSE: Duration = Duration::from_millis(100);
/// How long opening one may take.
const OPENING: Duration = Duration::from_secs(10);
/// Silent for so long, with pings every 25 s, it is taken for gone.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
struct Heard {
    entries: Vec<Entry>,
    ids: HashSet<String>,
    cursor: Option<String>,
    connections: u64,
}

/// A stream that goes on. Closed when dropped.
#[derive(Debug)]
pub struct ResumedStream {
    heard: Arc<Mutex<Heard>>,
    reader: JoinHandle<()>,
}

impl Drop for ResumedStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn with<T>(heard: &Mutex<Heard>, look: impl FnOnce(&mut Heard) -> T) -> T {
    look(&mut heard.lock().unwrap_or_else(PoisonError::into_inner))
}

impl ResumedStream {
    /// Opens it from the beginning of the log.
    ///
    /// # Errors
    /// No gateway opens one.
    pub async fn open(place: &Place) -> Result<Self> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let reader = tokio::spawn(follow(place.endpoints.clone(), place.key.clone(), heard.clone()));
        let stream = Self { heard, reader };
        eventually("a stream of events", PATIENCE, async || Ok((stream.connections() > 0).then_some(()))).await?;
        Ok(stream)
    }

    /// How often it was opened.
    #[must_use]
    pub fn connections(&self) -> u64 {
        with(&self.heard, |heard| heard.connections)
    }
}

impl Follower for ResumedStream {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn has(&self, event: &str) -> bool {
        with(&self.heard, |heard| heard.ids.contains(event))
    }

    fn entries(&self) -> Vec<Entry> {
        with(&self.heard, |heard| heard.entries.clone())
    }
}

async fn follow(endpoints: Endpoints, key: String, heard: Arc<Mutex<Heard>>) {
    let mut gateway = 0;
    loop {
        let cursor = with(&heard, |heard| heard.cursor.clone()).unwrap_or_else(|| "begin".to_owned());
        if let Ok(Ok(socket)) = timeout(OPENING, open(&endpoints.at(gateway), &key, &cursor)).await {
            with(&heard, |heard| heard.connections += 1);
            read(socket, &heard).await;
        }
        gateway += 1;
        sleep(PAUSE).await;
    }
}

async fn open(url: &str, key: &str, after: &str) -> Result<WebSocketStream<TcpStream>> {
    let authority = url.trim_start_matches("http://");
    let stream = TcpStream::connect(authority).await.context("connecting")?;
    let uri = format!("ws://{authority}/v1/events/stream?after={after}").parse()?;
    let request = ClientRequestBuilder::new(uri).with_header("authorization", format!("Bearer {key}"));
    Ok(client_async(request, stream).await?.0)
}

async fn read(mut socket: WebSocketStream<TcpStream>, heard: &Mutex<Heard>) {
    while let Ok(Some(Ok(frame))) = timeout(SILENCE, socket.next()).await {
        let Message::Text(text) = frame else { continue };
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let cursor = value.get("cursor").and_then(Value::as_str).map(str::to_owned);
        let event = serde_json::from_value::<Event>(value).ok();
        with(heard, |heard| {
            heard.cursor = cursor.or_else(|| heard.cursor.take());
            if let Some((Event { id, instance_id, .. }, seq)) = event.and_then(|event| event.seq.map(|seq| (event, seq))) {
                heard.ids.insert(id.clone());
                heard.entries.push(Entry { instance: instance_id, seq, id });
            }
        });
    }
}
