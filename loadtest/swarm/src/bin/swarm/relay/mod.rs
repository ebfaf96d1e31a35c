//! The simulator alone: many clients that do no Signal log in, write to each other and confirm what comes. What it carries is
//! the ceiling of every measurement against it.

mod client;
mod line;

use crate::{process, quantiles::Quantiles};
use anyhow::{Context, Result, ensure};
use client::{Client, Counts};
use futures::stream::{StreamExt as _, TryStreamExt as _};
use line::Pinned;
use serde_json::{Value, json};
use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use wacore_libsignal::protocol::KeyPair;
use warren_swarm::Simulator;

/// Logins under way at once.
const AT_ONCE: usize = 64;
/// How often those who write look what is due.
const TICK: Duration = Duration::from_millis(5);
/// Until logging in left nothing to do.
const SETTLE: Duration = Duration::from_secs(3);
/// How long what was sent may still be under way.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The simulator's address, http://...
    #[arg(long)]
    simulator: String,
    /// Its process.
    #[arg(long)]
    pid: u32,
    /// How many clients.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Texts a second, of all together.
    #[arg(long, default_value_t = 10_000)]
    rate: u64,
    /// How long they write, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let simulator = Simulator::new(&arguments.simulator)?;
    let before = process::private_kib(arguments.pid)?;
    let counts = Arc::new(Counts::default());
    let (clients, login) = log_in(&simulator, &arguments, &counts).await?;
    tokio::time::sleep(SETTLE).await;
    let idle = process::private_kib(arguments.pid)?;
    let mut figures = write(&arguments, &clients, &counts).await?;
    let peak = process::private_kib(arguments.pid)?;
    if let Some(figures) = figures.as_object_mut() {
        figures.insert("clients".to_owned(), json!(clients.len()));
        figures.insert("login".to_owned(), login);
        figures.insert("private_mib_before".to_owned(), json!(before / 1024));
        figures.insert("private_mib_idle".to_owned(), json!(idle / 1024));
        figures.insert("private_mib_after".to_owned(), json!(peak / 1024));
    }
    Ok(figures)
}

/// Everybody is linked and logs in.
async fn log_in(simulator: &Simulator, arguments: &Arguments, counts: &Arc<Counts>) -> Result<(Vec<Client>, Value)> {
    ensure!(arguments.clients >= 2, "nobody to write to");
    let keys: Vec<_> = (0..arguments.clients).map(|_| KeyPair::generate(&mut rand::rng())).collect();
    let public: Vec<[u8; 32]> =
        keys.iter().map(|key| key.public_key.public_key_bytes().try_into()).collect::<Result<_, _>>().context("a key")?;
    let phones = simulator.link(&public).await?;
    let pinned = Pinned::new(&simulator.trust().await?.static_public_key, &simulator.socket(false))?;
    let (started, cpu) = (Instant::now(), process::cpu_seconds(arguments.pid)?);
    let clients = futures::stream::iter(keys.into_iter().zip(phones))
        .map(|(keys, phone)| Client::log_in(&pinned, keys, phone, counts.clone()))
        .buffered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let cpu = process::cpu_seconds(arguments.pid)? - cpu;
    let each = cpu / arguments.clients as f64 * 1e3;
    Ok((clients, json!({"seconds": started.elapsed().as_secs_f64(), "simulator_cpu_ms_each": each})))
}

/// Writes at the rate, whether the simulator keeps up or not; each writes to the next.
async fn write(arguments: &Arguments, clients: &[Client], counts: &Counts) -> Result<Value> {
    let (started, cpu, own) =
        (Instant::now(), process::cpu_seconds(arguments.pid)?, process::cpu_seconds(std::process::id())?);
    let wanted = arguments.rate * arguments.seconds;
    let mut sent = 0_u64;
    while sent < wanted {
        let due = (started.elapsed().as_secs_f64() * arguments.rate as f64) as u64;
        while sent < due.min(wanted) {
            let at = usize::try_from(sent)? % clients.len();
            let to = (at + 1) % clients.len();
            let (Some(client), Some(to)) = (clients.get(at), clients.get(to)) else { continue };
            client.write(&to.phone, sent, started.elapsed()).await?;
            sent += 1;
        }
        tokio::time::sleep(TICK).await;
    }
    let writing = started.elapsed();
    while counts.received() < sent || counts.acked.load(Ordering::Relaxed) < sent {
        ensure!(started.elapsed() < writing + DEADLINE, "{} of {sent} came, {:?} acked", counts.received(), counts.acked);
        tokio::time::sleep(TICK).await;
    }
    let took = started.elapsed().as_secs_f64();
    let (cpu, own) = (process::cpu_seconds(arguments.pid)? - cpu, process::cpu_seconds(std::process::id())? - own);
    let mut latency = Quantiles::new()?;
    counts.latencies(started, &mut latency);
    Ok(json!({
        "offered_per_s": sent as f64 / writing.as_secs_f64(),
        "relayed_per_s": sent as f64 / took,
        "texts": sent,
        "latency": latency.show(),
        "simulator_cpu_us_each": cpu / sent as f64 * 1e6,
        "driver_cpu_us_each": own / sent as f64 * 1e6,
    }))
}
