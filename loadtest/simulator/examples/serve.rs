//! The simulator by itself, all in memory, for test suites of other clients: `cargo run -p warren-simulator --example serve`.
//!
//! `LISTEN` is where (127.0.0.1:8080), `LID_MIGRATED=1` addresses chats by LID, `CHATSTATE_TTL_SECS` keeps typing for
//! companions that are away.
#![expect(clippy::print_stdout, reason = "it tells whoever started it where it listens")]

use std::time::Duration;

use anyhow::Context as _;
use warren_simulator::{Options, Simulator};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let address = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let listener = tokio::net::TcpListener::bind(&address).await.with_context(|| format!("listening on {address}"))?;
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok()).unwrap_or_default();
    let options = Options {
        lid_migrated: number("LID_MIGRATED") == 1,
        chat_state_ttl: Duration::from_secs(number("CHATSTATE_TTL_SECS")),
        ..Options::default()
    };
    let simulator = Simulator::start(listener, options).await?;
    println!("listening on {}", simulator.local_addr());
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}
