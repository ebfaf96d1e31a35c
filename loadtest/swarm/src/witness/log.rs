//! The event log, read by the API, page after page.

use crate::history::{Entry, Logged};
use crate::load::{Call, Client, Outcome};
use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use warren_testkit::Event;

/// How long one page may take, over all gateways.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a message is, as its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not at the server yet.
    Open,
    /// Taken by the server, or more.
    Sent,
    /// Failed.
    Failed,
}

/// What was read so far.
#[derive(Debug)]
pub(super) struct Log {
    client: Client,
    cursor: String,
    /// Every event, in the order of the log.
    pub(super) entries: Vec<Entry>,
    /// Received messages, in the order of the log.
    pub(super) received: Vec<Logged>,
    /// The ids at WhatsApp of received messages.
    known: HashSet<String>,
    /// Messages that could not be read.
    pub(super) undecryptable: Vec<String>,
    /// By the message's id at the API.
    progress: HashMap<String, Progress>,
}

#[derive(Deserialize)]
struct Stretch {
    data: Vec<Event>,
    next_cursor: String,
    more: bool,
}

impl Log {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            cursor: "begin".to_owned(),
            entries: Vec::new(),
            received: Vec::new(),
            known: HashSet::new(),
            undecryptable: Vec::new(),
            progress: HashMap::new(),
        }
    }

    /// Reads what is new.
    pub(super) async fn refresh(&mut self) -> Result<()> {
        loop {
            let call = Call {
                method: Method::GET,
                path: format!("/v1/events?after={}&limit=1000", self.cursor),
                body: None,
                key: None,
                gateway: 0,
                patience: PATIENCE,
            };
            let body = match self.client.call(&call).await {
                Outcome::Done(body) => body,
                Outcome::Refused(status, code) => bail!("reading the log was answered {status} {code}"),
                Outcome::Unknown => bail!("nobody answers what is in the log"),
            };
            let stretch: Stretch = serde_json::from_value(body).context("a stretch of the log")?;
            self.cursor = stretch.next_cursor;
            for event in stretch.data {
                self.note(event);
            }
            if !stretch.more {
                return Ok(());
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event.kind.as_str() {
            "message.received" => {
                let id = event.text("/whatsapp_id").to_owned();
                self.known.insert(id.clone());
                let recovered = event.data.get("recovered").is_some_and(|is| is == true);
                self.received.push(Logged { instance: event.instance_id.clone(), whatsapp_id: id, recovered });
            }
            "message.undecryptable" => self.undecryptable.push(event.text("/whatsapp_id").to_owned()),
            "message.status" => {
                let progress = match event.text("/status") {
                    "queued" | "handed" => Progress::Open,
                    "failed" => Progress::Failed,
                    _ => Progress::Sent,
                };
                self.progress.insert(event.text("/message_id").to_owned(), progress);
            }
            _ => {}
        }
        let seq = event.seq.unwrap_or_default();
        self.entries.push(Entry { instance: event.instance_id, seq, id: event.id });
    }

    /// How far a message is.
    pub(super) fn progress(&self, message: &str) -> Progress {
        self.progress.get(message).copied().unwrap_or(Progress::Open)
    }

    /// Whether a received message is in the log.
    pub(super) fn has_received(&self, whatsapp_id: &str) -> bool {
        self.known.contains(whatsapp_id)
    }
}
