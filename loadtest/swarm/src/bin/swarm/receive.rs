//! Texts in: people write to the instances, and what processes spend on each is counted.

use crate::{
    cost::Watched,
    http,
    target::{Members, Target},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Between the first text of every pair and the measurement.
const SETTLE: Duration = Duration::from_secs(3);
const DEADLINE: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// Where the metrics of the workers are, http://...
    #[arg(long, value_delimiter = ',')]
    admin: Vec<String>,
    #[command(flatten)]
    members: Members,
    /// Texts that each gets.
    #[arg(long, default_value_t = 20)]
    texts: u64,
    #[command(flatten)]
    watched: Watched,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let simulator = arguments.target.simulator()?;
    let ids = arguments.members.ids()?;
    let people = simulator.phones(ids.len()).await?;
    let mut connection = arguments.target.connect().await?;
    let mut pairs = Vec::with_capacity(ids.len());
    for (id, person) in ids.iter().zip(people) {
        pairs.push((person, arguments.target.phone(&mut connection, id).await?));
    }
    // The first text of a pair costs a key exchange; it is not part of the figure.
    let before = received(&arguments.admin).await?;
    simulator.write_all(&pairs, 1).await?;
    arrived(&arguments.admin, before + pairs.len() as u64).await?;
    tokio::time::sleep(SETTLE).await;

    let total = arguments.texts * pairs.len() as u64;
    let (before, meter, started) = (received(&arguments.admin).await?, arguments.watched.start().await?, Instant::now());
    simulator.write_all(&pairs, arguments.texts).await?;
    arrived(&arguments.admin, before + total).await?;
    let took = started.elapsed().as_secs_f64();
    Ok(json!({"received": total, "received_per_s": total as f64 / took, "cost": meter.each(total).await?}))
}

async fn arrived(admin: &[String], total: u64) -> Result<()> {
    let started = Instant::now();
    while received(admin).await? < total {
        ensure!(started.elapsed() < DEADLINE, "not every text arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What all workers have received.
async fn received(admin: &[String]) -> Result<u64> {
    let mut sum = 0;
    for worker in admin {
        let metrics = http::text(worker, "/metrics").await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("warren_inbound_messages_total "));
        sum += line.context("no count of received messages")?.trim().parse::<u64>()?;
    }
    Ok(sum)
}
