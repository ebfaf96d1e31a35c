//! `swarm`: the load generator. Each command prints one JSON object on standard output.

mod bare;
mod bus;
mod cluster;
mod cost;
mod faults;
mod fleet;
mod hops;
mod http;
mod inbound;
mod log;
mod memory;
mod process;
mod quantiles;
mod receive;
mod relay;
mod resumes;
mod send;
mod soak;
mod sockets;
mod stream;
mod target;

use clap::{Parser, Subcommand};

/// Load for Warren and, beside it, for the bare client library.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs bare clients of the library in this process: what Warren is measured against.
    Bare(bare::Arguments),
    /// Asks over the bus of a cluster, and over a bare NATS.
    Bus(bus::Arguments),
    /// Runs a whole cluster on this machine until Ctrl-C, and says who is where.
    Cluster(cluster::Arguments),
    /// Breaks whole clusters under load, and checks every invariant.
    Faults(faults::Arguments),
    /// Makes instances through the API and pairs them with the simulator's phones.
    Fleet(fleet::Arguments),
    /// Sends texts from instances to people, through the API.
    Send(send::Arguments),
    /// Lets people write, and tells how long until callers hear of it.
    Inbound(inbound::Arguments),
    /// Drives the simulator alone, with clients that do no Signal: how many it holds, how much it relays.
    Relay(relay::Arguments),
    /// Cuts a WebSocket off again and again, and tells what it missed.
    Resumes(resumes::Arguments),
    /// Lets people write to instances.
    Receive(receive::Arguments),
    /// Sends and receives for a while, then checks every invariant that shows from outside.
    Soak(soak::Arguments),
    /// Opens WebSockets and sends events through them.
    Sockets(sockets::Arguments),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Two providers may be linked; the first one installed is used by everybody.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let report = match Arguments::parse().command {
        Command::Bare(arguments) => bare::run(arguments).await?,
        Command::Bus(arguments) => bus::run(arguments).await?,
        Command::Cluster(arguments) => Box::pin(cluster::run(arguments)).await?,
        Command::Faults(arguments) => return Box::pin(faults::run(arguments)).await,
        Command::Fleet(arguments) => fleet::run(arguments).await?,
        Command::Inbound(arguments) => inbound::run(arguments).await?,
        Command::Relay(arguments) => relay::run(arguments).await?,
        Command::Resumes(arguments) => resumes::run(arguments).await?,
        Command::Send(arguments) => send::run(arguments).await?,
        Command::Receive(arguments) => receive::run(arguments).await?,
        Command::Soak(arguments) => Box::pin(soak::run(arguments)).await?,
        Command::Sockets(arguments) => sockets::run(arguments).await?,
    };
    println!("{report}");
    Ok(())
}
