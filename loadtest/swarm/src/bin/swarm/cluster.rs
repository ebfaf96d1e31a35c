//! A whole cluster on this machine, without docker: the same library that tests use as sandbox.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use tokio::signal::unix::{Signal, SignalKind, signal};
use warren_testkit::Simulator;
use warren_testkit::cluster::{Cluster, ClusterOptions, Durability, Shape};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The `warren` binary.
    #[arg(long)]
    binary: PathBuf,
    /// Coordinators: 1, 3 or 5.
    #[arg(long, default_value_t = 3)]
    coordinators: usize,
    /// Workers.
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Gateways.
    #[arg(long, default_value_t = 2)]
    gateways: usize,
    /// Dispatchers.
    #[arg(long, default_value_t = 1)]
    dispatchers: usize,
    /// A setting for every process, such as `WARREN_WORKER__PRE_KEYS=50`.
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    // From the beginning: who interrupts the start is not to find its folders later.
    let mut interrupts = Interrupts::listen()?;
    eprintln!("starting Postgres, Redis, NATS, the simulator and the cluster ...");
    let started = tokio::select! {
        started = Box::pin(start(&arguments)) => Some(started?),
        () = interrupts.next() => None,
    };
    if let Some((mut cluster, simulator)) = started {
        print(&cluster, &simulator)?;
        interrupts.next().await;
        eprintln!("stopping ...");
        stop(&mut cluster).await?;
    }
    Ok(json!({"stopped": true}))
}

/// Ctrl-C, and what `kill` sends.
struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    fn listen() -> Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn start(arguments: &Arguments) -> Result<(Cluster, Simulator)> {
    let shape = Shape {
        coordinators: arguments.coordinators,
        workers: arguments.workers,
        gateways: arguments.gateways,
        dispatchers: arguments.dispatchers,
    };
    // As a whole path: processes are started in folders of their own.
    let binary = &arguments.binary;
    let binary = binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))?;
    let simulator = Simulator::start(&binary).await?;
    let mut options = ClusterOptions::new(&binary, shape, simulator.url()).durability(Durability::Synced);
    for setting in &arguments.env {
        let (name, value) = setting.split_once('=').with_context(|| format!("{setting} is not NAME=VALUE"))?;
        options = options.env(name, value);
    }
    Ok((Cluster::start(options).await?, simulator))
}

fn print(cluster: &Cluster, simulator: &Simulator) -> Result<()> {
    let servers = &cluster.servers;
    println!("Postgres    {}", servers.ledger.url());
    println!("Redis       {}", servers.redis.url());
    println!("NATS        {}", servers.nats.url());
    println!("Simulator   {}", simulator.url());
    for gateway in &cluster.gateways {
        println!("{:<11} {}  (metrics {})", gateway.name(), gateway.api_address()?, gateway.metrics_address());
    }
    for node in cluster.coordinators.iter().chain(&cluster.workers).chain(&cluster.dispatchers) {
        println!("{:<11} process {}  (metrics {})", node.name(), node.process_id()?, node.metrics_address());
    }
    let keys = cluster.keys();
    let api = cluster.gateways.first().context("no gateway")?.api_address()?;
    println!("API key     {}\nAdmin key   {}\nFolder      {}", keys.tenant, keys.admin, cluster.folder().display());
    println!(
        r#"
Try:

  W={api}/v1; A='Authorization: Bearer {key}'; J='Content-Type: application/json'; S={simulator}/admin
  # an instance, and its pairing by QR code
  I=$(curl -s $W/instances -H "$A" -H "$J" -d '{{"name":"first"}}' | sed -n 's/.*"id":"\([^"]*\)".*/\1/p')
  curl -s $W/instances/$I/pairing -H "$A" -H "$J" -d '{{"method":"qr"}}'
  until curl -s $W/instances/$I/pairing -H "$A" | sed -n 's/.*"qr":"\([^"]*\)".*/\1/p' |
    curl -sf $S/mock-phone/scan-qr --data-binary @-; do sleep 1; done
  # somebody to write to, a message, and what arrived
  curl -s $S/people -H "$J" -d '{{"phone":"6281100000001"}}'
  curl -s "$W/instances/$I/messages?wait=sent" -H "$A" -H "$J" -d '{{"to":"6281100000001","type":"text","text":{{"body":"Hello"}}}}'
  curl -s $S/people/6281100000001/inbox
  # the cluster's own view of itself
  {status}

Ctrl-C stops everything."#,
        key = keys.tenant,
        simulator = simulator.url(),
        status = status_line(cluster),
    );
    Ok(())
}

/// What asks the coordinators how it stands.
fn status_line(cluster: &Cluster) -> String {
    let needed = ["WARREN_CLUSTER_SECRET", "WARREN_CLUSTER__COORDINATORS"];
    let environment = cluster.environment();
    let settings = environment.iter().filter(|(name, _)| needed.contains(&name.as_str()));
    let settings: Vec<_> = settings.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{} warren cluster status", settings.join(" "))
}

/// Everything in the order in which it is least missed.
async fn stop(cluster: &mut Cluster) -> Result<()> {
    for nodes in [&mut cluster.dispatchers, &mut cluster.gateways, &mut cluster.workers, &mut cluster.coordinators] {
        for node in nodes {
            if node.is_running() {
                let ended = node.stop().await?;
                eprintln!("{} ended with {:?}", node.name(), ended.code);
            }
        }
    }
    Ok(())
}
