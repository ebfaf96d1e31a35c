//! Requests and answers.

use crate::processor::{server_of, time_of};
use crate::{bus, percentile, raw};
use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_domain::{InstanceId, Shard, TenantId};
use warren_ports::bus::{Action, Bus, Command, Pairing, PairingState, Reply};
use warren_testkit::services::Nats;
use warren_testkit::{PATIENCE, eventually};

const LIMIT: Duration = Duration::from_secs(5);
const SHARD: Shard = Shard(7);
const ONE_BY_ONE: usize = 10_000;
const AT_ONCE: usize = 64;
const MANY: usize = 100_000;
/// Repetitions; the median of them is shown, because other work on the machine comes and goes.
const ROUNDS: usize = 5;

/// What was measured in one round.
struct Round {
    median: Duration,
    slow: Duration,
    a_second: f64,
    /// Processor time of a request, of both sides together.
    clients: Duration,
    /// The same of NATS.
    server: Duration,
}

pub(crate) async fn run(nats: &Nats) -> Result<()> {
    let (command, reply) = content();
    let over = OverBus::start(nats, &command, &reply).await?;
    let plain = Plain::start(nats, &command, &reply).await?;
    let (mut bus_rounds, mut raw_rounds) = (Vec::new(), Vec::new());
    let server = server_of(nats)?;
    for _ in 0..ROUNDS {
        raw_rounds.push(measure(|| plain.ask(), server).await?);
        bus_rounds.push(measure(|| over.ask(), server).await?);
    }
    let (raw, bus) = (middle(raw_rounds), middle(bus_rounds));
    println!("requests and answers     raw async-nats   this bus");
    println!(
        "  median, one by one     {:>11.1?}   {:>8.1?}   {:.2}x",
        raw.median,
        bus.median,
        ratio(bus.median, raw.median)
    );
    println!("  99 %, one by one       {:>11.1?}   {:>8.1?}", raw.slow, bus.slow);
    let part = bus.a_second / raw.a_second;
    println!("  a second, {AT_ONCE} at once   {:>9.0}/s   {:>6.0}/s   {part:.2}x", raw.a_second, bus.a_second);
    println!(
        "  processor, both sides  {:>11.1?}   {:>8.1?}   {:.2}x",
        raw.clients,
        bus.clients,
        ratio(bus.clients, raw.clients)
    );
    println!(
        "  processor, NATS        {:>11.1?}   {:>8.1?}   {:.2}x",
        raw.server,
        bus.server,
        ratio(bus.server, raw.server)
    );
    Ok(())
}

fn content() -> (Command, Reply) {
    let command = Command { tenant: TenantId::generate(), instance: InstanceId::generate(), action: Action::PairingStatus };
    let reply = Reply::Pairing(Pairing {
        state: PairingState::Waiting,
        qr: Some("2@".to_owned() + &"x".repeat(200)),
        code: None,
        expires_at: None,
        reason: None,
    });
    (command, reply)
}

struct OverBus {
    asker: warren_nats::Bus,
    _server: warren_nats::Bus,
    command: Command,
}

impl OverBus {
    async fn start(nats: &Nats, command: &Command, reply: &Reply) -> Result<Self> {
        let (asker, server) = (bus(nats, "asker").await?, bus(nats, "server").await?);
        let mut served = server.serve(SHARD).await;
        let reply = reply.clone();
        tokio::spawn(async move {
            while let Some(request) = served.recv().await {
                let _ = request.reply.send(reply.clone());
            }
        });
        Ok(Self { asker, _server: server, command: command.clone() })
    }

    fn ask(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let (asker, command) = (self.asker.clone(), self.command.clone());
        async move {
            let answered = asker.request(SHARD, command, LIMIT).await;
            ensure!(answered.is_ok(), "{answered:?}");
            Ok(())
        }
    }
}

struct Plain {
    asker: async_nats::Client,
    command: Arc<Command>,
}

impl Plain {
    async fn start(nats: &Nats, command: &Command, reply: &Reply) -> Result<Self> {
        let (asker, server) = (raw(nats).await?, raw(nats).await?);
        let mut served = server.subscribe("raw.cmd.7").await?;
        let reply = reply.clone();
        tokio::spawn(async move {
            while let Some(request) = served.next().await {
                let Some(answer) = request.reply else { continue };
                let _: Command = serde_json::from_slice(&request.payload)?;
                server.publish(answer, serde_json::to_vec(&reply)?.into()).await?;
            }
            anyhow::Ok(())
        });
        let plain = Self { asker, command: Arc::new(command.clone()) };
        // The server may not know of the subscription yet.
        eventually("an answer", PATIENCE, async || plain.ask().await.map(Some)).await?;
        Ok(plain)
    }

    fn ask(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let (asker, command) = (self.asker.clone(), Arc::clone(&self.command));
        async move {
            let answer = asker.request("raw.cmd.7", serde_json::to_vec(&*command)?.into()).await?;
            let _: Reply = serde_json::from_slice(&answer.payload)?;
            Ok(())
        }
    }
}

async fn measure<F: Future<Output = Result<()>> + Send + 'static>(ask: impl Fn() -> F, server: u32) -> Result<Round> {
    for _ in 0..ONE_BY_ONE / 10 {
        ask().await?;
    }
    let mut took = Vec::with_capacity(ONE_BY_ONE);
    for _ in 0..ONE_BY_ONE {
        let started = Instant::now();
        ask().await?;
        took.push(started.elapsed());
    }
    took.sort();
    let server = server.to_string();
    let before = (time_of("self")?, time_of(&server)?);
    let started = Instant::now();
    let mut asked = futures::stream::iter(0..MANY).map(|_| tokio::spawn(ask())).buffer_unordered(AT_ONCE);
    while let Some(answered) = asked.next().await {
        answered.context("a task")??;
    }
    let a_second = MANY as f64 / started.elapsed().as_secs_f64();
    let each = |seconds: f64| Duration::from_secs_f64(seconds.max(0.0) / MANY as f64);
    let (clients, server) = (each(time_of("self")? - before.0), each(time_of(&server)? - before.1));
    Ok(Round { median: percentile(&took, 50), slow: percentile(&took, 99), a_second, clients, server })
}

fn middle(mut rounds: Vec<Round>) -> Round {
    let median = |durations: Vec<Duration>| {
        let mut durations = durations;
        durations.sort();
        percentile(&durations, 50)
    };
    rounds.sort_by(|one, other| one.a_second.total_cmp(&other.a_second));
    Round {
        median: median(rounds.iter().map(|round| round.median).collect()),
        slow: median(rounds.iter().map(|round| round.slow).collect()),
        a_second: rounds.get(rounds.len() / 2).map_or(0.0, |round| round.a_second),
        clients: median(rounds.iter().map(|round| round.clients).collect()),
        server: median(rounds.iter().map(|round| round.server).collect()),
    }
}

fn ratio(one: Duration, other: Duration) -> f64 {
    one.as_secs_f64() / other.as_secs_f64()
}
