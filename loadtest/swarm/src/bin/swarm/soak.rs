//! A load in both directions for a while, and then every invariant that can be checked from outside: all but I3, of which nothing
//! shows while no owner changes.

use crate::cost::named;
use crate::memory;
use crate::target::Target;
use anyhow::Result;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_swarm::Report;
use warren_swarm::history::Throughput;
use warren_swarm::load::{Fleet, Kind, Latencies, Load, Plan};
use warren_swarm::witness::{Follower, Receiver, ResumedStream, Stranger, Witness};
use warren_testkit::services::Port;

/// How long everything under way may take to settle.
const PATIENCE: Duration = Duration::from_secs(120);
/// Sends whose halves differ by less than the twentieth that counts, however they fall.
const ENOUGH: usize = 20_000;
/// Calls that took longer do not count as throughput.
const ON_TIME: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// The key of the operator: with it, another tenant is made, who looks for what is not his.
    #[arg(long, env = "WARREN_ADMIN_KEY")]
    admin_key: Option<String>,
    /// How many instances.
    #[arg(long, default_value_t = 100)]
    instances: usize,
    /// How many people each talks to.
    #[arg(long, default_value_t = 2)]
    people: usize,
    /// Texts a second out; half as many come in.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// How long, seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The port of a webhook's receiver, which Warren must be allowed to post to; without it, there is no webhook.
    #[arg(long)]
    port: Option<u16>,
    /// A process whose memory must not grow. Those of one name are added up.
    #[arg(long = "process", value_name = "NAME=PID", value_delimiter = ',', value_parser = named)]
    processes: Vec<(String, u32)>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let mut place = arguments.target.place()?;
    place.admin_key = arguments.admin_key.clone().unwrap_or_default();
    let fleet = Arc::new(Fleet::pair(&place, arguments.instances, arguments.people).await?);
    let mut witness = Witness::new(&place, &fleet)?;
    let stream = ResumedStream::open(&place).await?;
    let receiver = arguments.port.map(|port| Port::claim(port).map(Receiver::at)).transpose()?;
    if let Some(receiver) = &receiver {
        receiver.subscribe(&place.api()?, "begin", None).await?;
    }
    let stranger = match &arguments.admin_key {
        Some(_) => Some(Stranger::arrive(&place).await?),
        None => None,
    };
    let mark = witness.mark().await?;
    let watch = memory::Watch::start(arguments.processes.clone());
    let mut load = Load::start(&place, &fleet, Plan::usual(arguments.seed, arguments.rate))?;
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(arguments.seconds)).await;
    let ended = Instant::now();
    let middle = began + ended.saturating_duration_since(began) / 2;
    let memory = watch.memory(middle);
    load.finish().await?;
    let record = load.take();
    let settled = witness.settled(&record, PATIENCE).await?;
    let chats: Vec<_> = (0..fleet.chats.len().min(arguments.instances)).collect();
    let probes = load.probe(&chats, arguments.seed).await;
    witness.settled(&probes, PATIENCE).await?;
    let mut history = witness.history(&record, &probes, &mark).await?;
    let followers = receiver.iter().map(|receiver| (0, receiver as &dyn Follower));
    let followers: Vec<_> = followers.chain([(0, &stream as &dyn Follower)]).collect();
    witness.readers(&mut history, &followers, PATIENCE).await?;
    history.throughput = (record.sent.len() >= ENOUGH).then(|| halves(load.latencies(), [began, middle, ended]));
    history.memory.clone_from(&memory);
    if let Some(stranger) = &stranger {
        history.looks = stranger.look(&fleet, &record).await;
    }
    let report = Report::of(&history);
    eprintln!("{report}");
    let latencies = load.latencies();
    Ok(json!({
        "seed": arguments.seed,
        "instances": arguments.instances,
        "paired_s": fleet.paired.as_secs_f64(),
        "settled": settled,
        "sent_per_s": latencies.rate(began, ended, PATIENCE),
        "accepted": latencies.between(began, ended, Kind::Accepted)?,
        "sent": latencies.between(began, ended, Kind::Sent)?,
        "asked": latencies.between(began, ended, Kind::Asked)?,
        "calls": load.counts(),
        "failures": record.failures,
        "acknowledged": report.acknowledged,
        "failed": report.failed,
        "emitted": report.emitted,
        "logged": report.logged,
        "wire_resends": report.repeated_on_the_wire,
        "memory": memory.iter().map(|held| json!({"of": held.kind, "steady": held.steady, "worst": held.worst})).collect::<Vec<_>>(),
        "webhook_has": receiver.as_ref().map(Receiver::taken),
        "violations": report.violations.iter().map(ToString::to_string).collect::<Vec<_>>(),
    }))
}

/// The second half of the time against the first.
fn halves(latencies: &Latencies, [began, middle, ended]: [Instant; 3]) -> Throughput {
    Throughput {
        steady_per_s: latencies.rate(began, middle, ON_TIME),
        healed_per_s: latencies.rate(middle, ended, ON_TIME),
        healed_after: Duration::ZERO,
    }
}
