//! What the bus costs over NATS itself: `cargo run --release -p warren-nats --example bench`. It starts a NATS server of its own.
//!
//! A word behind it (`requests`, `shards`, `settled`) measures that alone.
//!
//! - Requests and answers, against raw ones with the same content: the median one after the other, and how many a second.
//! - How long a worker needs to serve every shard.
//! - Two ways to hear the end of messages: a subscription for each, or one for all.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

mod processor;
mod requests;
mod settled;
mod shards;

use anyhow::Result;
use std::time::Duration;
use warren_nats::{Bus, Metrics, Options, connect};
use warren_testkit::services::Nats;

#[tokio::main]
async fn main() -> Result<()> {
    let nats = Nats::start().await?;
    let part = std::env::args().nth(1);
    let wanted = |name: &str| part.as_ref().is_none_or(|part| part == name);
    if wanted("requests") {
        requests::run(&nats).await?;
    }
    if wanted("shards") {
        shards::run(&nats).await?;
    }
    if wanted("settled") {
        settled::run(&nats).await?;
    }
    Ok(())
}

async fn bus(nats: &Nats, service: &str) -> Result<Bus> {
    let options = Options::new(&nats.url(), "bench", "a secret of the cluster, long enough", service);
    Ok(connect(&options, Metrics::new()?).await?)
}

async fn raw(nats: &Nats) -> Result<async_nats::Client> {
    let url = nats.url();
    let (user, place) = url.trim_start_matches("nats://").rsplit_once('@').unwrap_or_default();
    let (user, password) = user.split_once(':').unwrap_or_default();
    let options = async_nats::ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned());
    Ok(options.connect(place).await?)
}

/// The value that so many percent are not above.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}
