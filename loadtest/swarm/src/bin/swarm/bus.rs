//! The hop between a gateway and a worker: a request over Warren's bus to the owner of a shard and its answer, and beside it
//! the same bytes as a bare request of the client library, over the same server.

use crate::quantiles::Quantiles;
use anyhow::{Context, Result, ensure};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;
use warren_domain::{InstanceId, Shard, TenantId};
use warren_nats::{Bus, Metrics, Options, connect};
use warren_ports::bus::ask::{Activity, ChatAsk};
use warren_ports::bus::{Action, Answer, Ask, Bus as _, Command, Reply};
use warren_testkit::services::Nats;

/// Requests under way at once where the throughput is measured: as many as a busy gateway has.
const AT_ONCE: usize = 64;
/// For one request.
const LIMIT: Duration = Duration::from_secs(5);
/// Before each measurement, so that both sides are warm.
const WARM: u64 = 200;
const SHARD: u16 = 7;
/// Where the bare side serves.
const SUBJECT: &str = "bare.commands";
/// Long enough for the bus to take it; the server is private.
const SECRET: &str = "a secret of two processes, long enough";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each side is measured, by turns.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Requests one after the other, each time.
    #[arg(long, default_value_t = 5_000)]
    requests: u64,
    /// How long many at once are sent, each time, seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let nats = Nats::start().await?;
    let (ours, bare) = (Ours::start(&nats).await?, Bare::start(&nats).await?);
    let mut rounds = Vec::new();
    for _ in 0..arguments.rounds {
        rounds.push(json!({"bus": measure(&ours, &arguments).await?, "raw": measure(&bare, &arguments).await?}));
    }
    Ok(json!({"payload_bytes": payload()?.len(), "answer_bytes": answer()?.len(), "rounds": rounds}))
}

/// What is asked most often: to show in a chat that somebody types.
fn command() -> Command {
    let chat = "5511999990000@s.whatsapp.net".to_owned();
    let action = Action::Ask(Ask::Chat(ChatAsk::Show { chat, activity: Activity::Typing }));
    Command { tenant: TenantId::generate(), instance: InstanceId::generate(), action }
}

fn payload() -> Result<Bytes> {
    Ok(serde_json::to_vec(&command())?.into())
}

fn answer() -> Result<Bytes> {
    Ok(serde_json::to_vec(&Reply::Answer(Answer::Done))?.into())
}

/// A side: one who asks and one who answers, on connections of their own.
trait Side: Clone + Send + 'static {
    /// One request, and its answer.
    fn ask(&self) -> impl Future<Output = Result<()>> + Send;
}

/// Who answers. Ends when dropped.
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Ours {
    gateway: Bus,
    command: Command,
    _serving: Arc<Serving>,
}

impl Ours {
    async fn start(nats: &Nats) -> Result<Self> {
        let (worker, gateway) = (joined(nats, "worker").await?, joined(nats, "gateway").await?);
        let mut requests = worker.serve(Shard(SHARD)).await;
        let serving = tokio::spawn(async move {
            // Its end would end the serving.
            let _worker = worker;
            while let Some(request) = requests.recv().await {
                // Who asked may have left.
                let _ = request.reply.send(Reply::Answer(Answer::Done));
            }
        });
        Ok(Self { gateway, command: command(), _serving: Arc::new(Serving(serving)) })
    }
}

async fn joined(nats: &Nats, service: &str) -> Result<Bus> {
    Ok(connect(&Options::new(&nats.url(), "bench", SECRET, service), Metrics::new()?).await?)
}

impl Side for Ours {
    async fn ask(&self) -> Result<()> {
        let answer = self.gateway.request(Shard(SHARD), self.command.clone(), LIMIT).await;
        ensure!(answer == Ok(Reply::Answer(Answer::Done)), "the bus answered {answer:?}");
        Ok(())
    }
}

#[derive(Clone)]
struct Bare {
    client: Client,
    payload: Bytes,
    _serving: Arc<Serving>,
}

impl Bare {
    async fn start(nats: &Nats) -> Result<Self> {
        let (server, client, answer) = (bare(nats).await?, bare(nats).await?, answer()?);
        let mut requests = server.subscribe(SUBJECT).await?;
        server.flush().await?;
        let serving = tokio::spawn(async move {
            while let Some(request) = requests.next().await {
                if let Some(reply) = request.reply {
                    // The connection ends with the server's process.
                    let _ = server.publish(reply, answer.clone()).await;
                }
            }
        });
        Ok(Self { client, payload: payload()?, _serving: Arc::new(Serving(serving)) })
    }
}

async fn bare(nats: &Nats) -> Result<Client> {
    let url = nats.url();
    let account = url.trim_start_matches("nats://").rsplit_once('@').context("no account")?.0;
    let (user, password) = account.split_once(':').context("no password")?;
    let options = ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok(options.request_timeout(Some(LIMIT)).connect(nats.address().to_string()).await?)
}

impl Side for Bare {
    async fn ask(&self) -> Result<()> {
        let answer = self.client.request(SUBJECT, self.payload.clone()).await?;
        ensure!(!answer.payload.is_empty(), "an empty answer");
        Ok(())
    }
}

/// One after the other, then many at once.
async fn measure(side: &impl Side, arguments: &Arguments) -> Result<Value> {
    let mut alone = Quantiles::new()?;
    for number in 0..WARM + arguments.requests {
        let started = Instant::now();
        side.ask().await?;
        if number >= WARM {
            alone.note(started.elapsed());
        }
    }
    let (started, took) = (Instant::now(), Arc::new(Mutex::new(Quantiles::new()?)));
    let until = started + Duration::from_secs(arguments.seconds);
    let loops = (0..AT_ONCE).map(|_| {
        let (side, took) = (side.clone(), took.clone());
        tokio::spawn(async move {
            while Instant::now() < until {
                let asked = Instant::now();
                side.ask().await?;
                took.lock().unwrap_or_else(PoisonError::into_inner).note(asked.elapsed());
            }
            anyhow::Ok(())
        })
    });
    for ended in futures::future::join_all(loops).await {
        ended??;
    }
    let together = took.lock().unwrap_or_else(PoisonError::into_inner);
    let per_s = together.count() as f64 / started.elapsed().as_secs_f64();
    Ok(json!({"alone": alone.show(), "together": together.show(), "per_s": per_s}))
}
