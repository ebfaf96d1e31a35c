//! A client that does no Signal: it sends random bytes for ciphertexts, confirms whatever comes and looks into none of it.

use super::line::{Pinned, Reading, Writing};
use crate::quantiles::Quantiles;
use anyhow::{Context, Result, ensure};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant};
use tokio::sync::Mutex as Turn;
use tokio::task::JoinHandle;
use wacore_binary::{Jid, Node, NodeRef, SERVER_JID, builder::NodeBuilder, marshal::unmarshal_ref};
use wacore_libsignal::protocol::KeyPair;
use waproto::buffa::Message as _;
use waproto::whatsapp::ClientPayload;

/// Bytes of a ciphertext: those of a short text in a session that stands.
const CIPHERTEXT: usize = 133;
/// The companion of every account here.
const DEVICE: u16 = 1;

/// What all clients saw.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) acked: AtomicU64,
    /// When each text was written and when it came, since the start.
    arrived: Mutex<Vec<(Duration, Instant)>>,
}

impl Counts {
    pub(super) fn received(&self) -> u64 {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// How long the texts took that were written since.
    pub(super) fn latencies(&self, since: Instant, latency: &mut Quantiles) {
        for (written, came) in self.arrived.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            latency.note(came.saturating_duration_since(since).saturating_sub(*written));
        }
    }
}

/// One logged-in client.
pub(super) struct Client {
    pub(super) phone: String,
    writing: Arc<Turn<Writing>>,
    reader: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Client {
    /// Logs in, and asks for what is there.
    pub(super) async fn log_in(pinned: &Pinned, keys: KeyPair, phone: String, counts: Arc<Counts>) -> Result<Self> {
        let username = Some(phone.parse().context("a phone number")?);
        let payload = ClientPayload { username, device: Some(DEVICE.into()), ..Default::default() };
        let (mut reading, mut writing) = pinned.connect(keys, payload.encode_to_vec()).await?;
        let first = reading.next().await?;
        ensure!(unmarshal_ref(&first)?.tag == "success", "the simulator refused the login");
        writing.send(&[active()]).await?;
        let writing = Arc::new(Turn::new(writing));
        let reader = tokio::spawn(listen(reading, writing.clone(), counts));
        Ok(Self { phone, writing, reader })
    }

    /// Writes a text to another client. `at` goes into its id.
    pub(super) async fn write(&self, to: &str, number: u64, at: Duration) -> Result<()> {
        let id = format!("{number}-{}", at.as_micros());
        let enc = NodeBuilder::new("enc").attr("v", "2").attr("type", "msg").bytes(vec![7; CIPHERTEXT]).build();
        let recipient = NodeBuilder::new("to").attr("jid", Jid::pn_device(to, DEVICE)).children([enc]).build();
        let message = NodeBuilder::new("message")
            .attr("to", Jid::pn(to))
            .attr("id", id)
            .attr("type", "text")
            .children([NodeBuilder::new("participants").children([recipient]).build()])
            .build();
        self.writing.lock().await.send(&[message]).await
    }
}

fn active() -> Node {
    NodeBuilder::new("iq")
        .attr("to", SERVER_JID)
        .attr("type", "set")
        .attr("id", "active")
        .attr("xmlns", "passive")
        .children([NodeBuilder::new("active").build()])
        .build()
}

/// Counts and confirms until the connection ends.
async fn listen(mut reading: Reading, writing: Arc<Turn<Writing>>, counts: Arc<Counts>) {
    while let Ok(first) = reading.next().await {
        let (mut answers, mut next) = (Vec::new(), Some(first));
        while let Some(frame) = next.take() {
            let Ok(node) = unmarshal_ref(&frame) else { return };
            answers.extend(hear(&node, &counts));
            let Ok(more) = reading.more() else { return };
            next = more;
        }
        if !answers.is_empty() && writing.lock().await.send(&answers).await.is_err() {
            return;
        }
    }
}

/// What a client answers to a stanza.
fn hear(node: &NodeRef<'_>, counts: &Counts) -> Option<Node> {
    let text = |name: &str| node.get_attr(name).map(|value| value.as_str().into_owned());
    match node.tag.as_ref() {
        "ack" if text("class").as_deref() == Some("message") => {
            counts.acked.fetch_add(1, Ordering::Relaxed);
            None
        }
        "message" => {
            let id = text("id")?;
            let micros = id.split('-').nth(1)?.parse().ok()?;
            let came = (Duration::from_micros(micros), Instant::now());
            counts.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(came);
            Some(NodeBuilder::new("receipt").attr("to", text("from")?).attr("id", id).build())
        }
        // Receipts of others are confirmed too, or they would wait for the next login.
        "receipt" | "notification" => {
            let ack =
                NodeBuilder::new("ack").attr("class", node.tag.as_ref()).attr("id", text("id")?).attr("to", text("from")?);
            Some(match text("type") {
                Some(kind) => ack.attr("type", kind).build(),
                None => ack.build(),
            })
        }
        _ => None,
    }
}
