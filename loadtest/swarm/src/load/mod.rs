//! Load through the public API: open-loop, so that a slow answer delays nothing but itself, and counted from when each call was
//! due; what people write comes through the simulator.

mod client;
mod fleet;
mod latency;
mod plan;

pub use client::{Call, Client, Counts, Outcome, Tally};
pub use fleet::{Chat, Fleet, Member};
pub use latency::{Kind, Latencies, Quantiles};
pub use plan::Plan;

use crate::place::Place;
use crate::simulator::Simulator;
use anyhow::{Context, Result};
use futures::StreamExt as _;
use plan::{Act, Step, Steps};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

/// Calls under way at once; one more would wait, and counts as late from when it was due.
const AT_ONCE: usize = 20_000;

/// A send that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id at the API.
    pub id: String,
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// In which chat of the fleet.
    pub chat: usize,
    /// The text, which no other send has.
    pub payload: String,
    /// Whether it must not be tried again when in doubt.
    pub at_most_once: bool,
    /// When the API said so.
    pub accepted: Instant,
}

/// A text that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its id at WhatsApp.
    pub whatsapp_id: String,
    /// In which chat of the fleet.
    pub chat: usize,
}

/// Everything that a load did.
#[derive(Debug, Default)]
pub struct Record {
    /// What was accepted, in the order of acceptance per chat.
    pub sent: Vec<Sent>,
    /// What people wrote.
    pub written: Vec<Written>,
    /// Payloads of sends of which nobody knows whether they were accepted.
    pub unknown: Vec<String>,
    /// Why calls failed for good: the answer, or that there was none; each kind once, with its count.
    pub failures: Vec<(String, u64)>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    simulator: Simulator,
    fleet: Arc<Fleet>,
    patience: Duration,
    record: Mutex<Record>,
    latencies: Latencies,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// A client cannot be made.
    pub fn start(place: &Place, fleet: &Arc<Fleet>, plan: Plan) -> Result<Self> {
        let shared = Arc::new(Shared {
            client: Client::new(&place.endpoints, &place.key)?,
            simulator: place.simulator.clone(),
            fleet: fleet.clone(),
            patience: plan.patience,
            record: Mutex::default(),
            latencies: Latencies::default(),
        });
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let stop = watch::Sender::new(false);
        let steps = Steps::new(plan, fleet.chats.len());
        let running = tokio::spawn(run(shared.clone(), places.clone(), steps, stop.subscribe()));
        Ok(Self { shared, places, stop, running })
    }

    /// What became of its calls so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.client.tally().read()
    }

    /// How long they took.
    #[must_use]
    pub fn latencies(&self) -> &Latencies {
        &self.shared.latencies
    }

    /// How many sends were accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.record.lock().unwrap_or_else(PoisonError::into_inner).sent.len()
    }

    /// Starts nothing more, and waits for what is under way.
    ///
    /// # Errors
    /// The load ended before, by a panic.
    pub async fn finish(&mut self) -> Result<()> {
        self.stop.send_replace(true);
        (&mut self.running).await.context("the load ended by itself")?;
        let all = u32::try_from(AT_ONCE).context("too many places")?;
        self.places.acquire_many(all).await.map(drop).context("the load is closed")
    }

    /// One text in each direction in these chats, outside of the plan, whether it runs or not; returns when all are accepted.
    pub async fn probe(&self, chats: &[usize], seed: u64) -> Record {
        /// Under way at once.
        const PROBES: usize = 32;
        let record = Mutex::default();
        let probes = chats.iter().enumerate().map(|(number, chat)| {
            let (shared, record) = (&self.shared, &record);
            let step = move |act, what: &str| Step {
                due: Duration::ZERO,
                act,
                chat: *chat,
                gateway: number,
                name: format!("probe-{what}-{seed:016x}-{number}"),
            };
            async move {
                let out = step(Act::Send { at_most_once: false, waiting: false }, "out");
                shared.act(out, Instant::now(), record).await;
                shared.act(step(Act::Text, "in"), Instant::now(), record).await;
            }
        });
        futures::stream::iter(probes).buffer_unordered(PROBES).collect::<()>().await;
        record.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it did since it was last asked.
    #[must_use]
    pub fn take(&self) -> Record {
        std::mem::take(&mut *self.shared.record.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn run(shared: Arc<Shared>, places: Arc<Semaphore>, steps: Steps, mut stop: watch::Receiver<bool>) {
    let started = Instant::now();
    for step in steps {
        let due = started + step.due;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep_until(due.into()) => {}
        }
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let shared = shared.clone();
        tokio::spawn(async move {
            shared.act(step, due, &shared.record).await;
            drop(place);
        });
    }
}

impl Shared {
    async fn act(&self, step: Step, due: Instant, record: &Mutex<Record>) {
        let Some(chat) = self.fleet.chats.get(step.chat) else { return };
        let Ok(member) = self.fleet.member(chat) else { return };
        match step.act {
            Act::Send { at_most_once, waiting } => {
                let call = self.sending(&step, chat, member, at_most_once, waiting);
                // The order of acceptance is that of the turns.
                let _turn = chat.turn.lock().await;
                let outcome = self.client.call(&call).await;
                if matches!(outcome, Outcome::Done(_)) {
                    self.latencies.note(due, if waiting { Kind::Sent } else { Kind::Accepted });
                }
                with(record, |record| record.sent(step, at_most_once, outcome));
            }
            Act::Ask => {
                let outcome = self.client.call(&self.asking(&step, chat, member)).await;
                match outcome {
                    Outcome::Done(_) => self.latencies.note(due, Kind::Asked),
                    other => with(record, |record| record.failure("ask", &other)),
                }
            }
            Act::Text => {
                let written = self.simulator.write(&chat.person.phone, &member.phone, &step.name).await;
                with(record, |record| match written {
                    Ok(whatsapp_id) => record.written.push(Written { whatsapp_id, chat: step.chat }),
                    Err(_) => record.failure("a person's text", &Outcome::Unknown),
                });
            }
        }
    }

    fn sending(&self, step: &Step, chat: &Chat, member: &Member, at_most_once: bool, waiting: bool) -> Call {
        let delivery = if at_most_once { "at_most_once" } else { "at_least_once" };
        let wait = if waiting { "?wait=sent" } else { "" };
        let (to, text) = (&chat.person.phone, &step.name);
        Call {
            method: Method::POST,
            path: format!("/v1/instances/{}/messages{wait}", member.id),
            body: Some(json!({"to": to, "type": "text", "text": {"body": text}, "delivery": delivery})),
            key: Some(step.name.clone()),
            gateway: step.gateway,
            patience: self.patience,
        }
    }

    fn asking(&self, step: &Step, chat: &Chat, member: &Member) -> Call {
        Call {
            method: Method::PUT,
            path: format!("/v1/instances/{}/chats/{}/activity", member.id, chat.person.phone),
            body: Some(json!({"activity": "typing"})),
            key: None,
            gateway: step.gateway,
            patience: self.patience,
        }
    }
}

fn with(record: &Mutex<Record>, change: impl FnOnce(&mut Record)) {
    change(&mut record.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Record {
    fn sent(&mut self, step: Step, at_most_once: bool, outcome: Outcome) {
        let Outcome::Done(message) = outcome else {
            if outcome == Outcome::Unknown {
                self.unknown.push(step.name);
            }
            return self.failure("send", &outcome);
        };
        let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.sent.push(Sent {
            id: text("id"),
            whatsapp_id: text("whatsapp_id"),
            chat: step.chat,
            payload: step.name,
            at_most_once,
            accepted: Instant::now(),
        });
    }

    fn failure(&mut self, what: &str, outcome: &Outcome) {
        let why = match outcome {
            Outcome::Refused(status, code) => format!("{what}: {status} {code}"),
            Outcome::Done(_) | Outcome::Unknown => format!("{what}: no answer"),
        };
        self.count(why, 1);
    }

    fn count(&mut self, why: String, count: u64) {
        match self.failures.iter_mut().find(|(known, _)| *known == why) {
            Some((_, known)) => *known += count,
            None => self.failures.push((why, count)),
        }
    }

    /// Adds what another one did, later.
    pub fn extend(&mut self, other: Self) {
        self.sent.extend(other.sent);
        self.written.extend(other.written);
        self.unknown.extend(other.unknown);
        for (why, count) in other.failures {
            self.count(why, count);
        }
    }
}
