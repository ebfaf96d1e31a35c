//! Texts through the API: a closed loop finds the rate, an open loop measures the latency below it.

use crate::{
    cost::{Meter, Watched},
    hops::Hops,
    http::Connection,
    quantiles::{Quantiles, merge},
    target::{Members, Target},
};
use anyhow::Result;
use hyper::Method;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use warren_swarm::Habits;

/// Between the first text of every pair and the measurement.
const SETTLE: Duration = Duration::from_secs(3);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    members: Members,
    /// How long, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Texts a second, evenly spaced; 0: each instance sends its next text when the last was acknowledged.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Wait only until a text is accepted, not until the server acknowledged it.
    #[arg(long)]
    accept: bool,
    /// Where the metrics of the workers are, http://...: the hops of the texts that are measured are printed then.
    #[arg(long, value_delimiter = ',')]
    admin: Vec<String>,
    /// What people do with a text that arrives.
    #[arg(long, value_enum, default_value_t = Receipts::Delivered)]
    receipts: Receipts,
    #[command(flatten)]
    watched: Watched,
}

/// What people confirm.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Receipts {
    /// Nothing.
    None,
    /// That it arrived.
    Delivered,
    /// That, and that they have read it.
    Read,
}

impl Receipts {
    const fn habits(self) -> Habits {
        Habits { confirm: !matches!(self, Self::None), read: matches!(self, Self::Read) }
    }
}

/// What all senders count.
struct Tally {
    latency: Mutex<Quantiles>,
    sent: AtomicU64,
    refused: AtomicU64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let ids = arguments.members.ids()?;
    let people = arguments.target.simulator()?.people(ids.len(), arguments.receipts.habits()).await?;
    let mut senders = Vec::with_capacity(ids.len());
    for (id, person) in ids.iter().zip(&people) {
        let connection = arguments.target.connect().await?;
        let path = format!("/v1/instances/{id}/messages{}", if arguments.accept { "" } else { "?wait=sent" });
        let body = json!({"to": person.phone, "type": "text", "text": {"body": "The quick brown fox, once more."}});
        senders.push(Sender { connection, path, body, success: if arguments.accept { 202 } else { 200 } });
    }
    let tally =
        Arc::new(Tally { latency: Mutex::new(Quantiles::new()?), sent: AtomicU64::new(0), refused: AtomicU64::new(0) });
    // The first text of a pair costs a key exchange; it is not part of the rate.
    let warm = senders.into_iter().map(|mut sender| async move {
        sender.send().await?;
        anyhow::Ok(sender)
    });
    let senders = futures::future::try_join_all(warm).await?;
    // Nor is what those first texts left to do: their receipts, and the sessions to be stored.
    tokio::time::sleep(SETTLE).await;
    let hops = Hops::of(&arguments.admin).await?;
    let meter = arguments.watched.start().await?;
    let started = Instant::now();
    let deadline = started + Duration::from_secs(arguments.seconds);
    let spacing = (arguments.rate > 0).then(|| Duration::from_secs_f64(senders.len() as f64 / arguments.rate as f64));
    let count = senders.len();
    let loops = senders.into_iter().enumerate().map(|(at, sender)| {
        let offset = spacing.map(|spacing| spacing.mul_f64(at as f64 / count as f64));
        tokio::spawn(sender.keep_sending(tally.clone(), started, deadline, spacing, offset))
    });
    for ended in futures::future::join_all(loops).await {
        ended??;
    }
    let mut figures = report(&tally, started, &meter).await?;
    merge(&mut figures, json!({"hops": Hops::of(&arguments.admin).await?.since(&hops)}));
    Ok(figures)
}

struct Sender {
    connection: Connection,
    path: String,
    body: Value,
    success: u16,
}

impl Sender {
    /// Sends one text and waits for its answer: accepted, or acknowledged by the server; whether it came.
    async fn send(&mut self) -> Result<bool> {
        let (status, message) = self.connection.call(Method::POST, &self.path, Some(&self.body)).await?;
        Ok(status == self.success && message.get("status").is_some_and(|reached| reached != "failed"))
    }

    /// Latency counts from when the text was due, not from when it could be sent.
    async fn keep_sending(
        mut self,
        tally: Arc<Tally>,
        started: Instant,
        deadline: Instant,
        spacing: Option<Duration>,
        offset: Option<Duration>,
    ) -> Result<()> {
        let mut due = started + offset.unwrap_or_default();
        while due < deadline && Instant::now() < deadline {
            if spacing.is_some() {
                tokio::time::sleep_until(due.into()).await;
            } else {
                due = Instant::now();
            }
            if self.send().await? {
                tally.latency.lock().unwrap_or_else(PoisonError::into_inner).note(due.elapsed());
                tally.sent.fetch_add(1, Ordering::Relaxed);
            } else {
                tally.refused.fetch_add(1, Ordering::Relaxed);
            }
            due += spacing.unwrap_or_default();
        }
        Ok(())
    }
}

async fn report(tally: &Tally, started: Instant, meter: &Meter<'_>) -> Result<Value> {
    let (sent, took) = (tally.sent.load(Ordering::Relaxed), started.elapsed().as_secs_f64());
    let cost = meter.each(sent).await?;
    let latency = tally.latency.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = tally.refused.load(Ordering::Relaxed);
    let mut report = json!({"sent": sent, "not_acknowledged": refused, "sent_per_s": sent as f64 / took, "cost": cost});
    merge(&mut report, latency.show());
    Ok(report)
}
