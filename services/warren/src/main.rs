//! The one binary of Warren: arguments -> settings -> adapters -> run. It decides nothing else; which technology stands
//! behind which port is written in `compose`.

mod args;
mod compose;
mod credentials;
mod data_folder;
mod doctor;
mod failure;
mod first_start;
mod health;
mod migrate;
mod moving;
mod network;
mod process;
mod roles;
mod sealing_key;
mod seed;
mod serve;
mod settings;
mod simulator;
mod standalone;
mod status;

use args::{Arguments, Command};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

/// Measured against the system's: less CPU a text at the same memory an instance (see `cargo xtask bench`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // First of all: two providers are linked, and whoever opens a connection before one is chosen panics.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::system)?;
    let ended = runtime.block_on(async {
        match command {
            Command::Standalone(arguments) => Box::pin(standalone::run(arguments)).await,
            Command::Gateway(arguments) => Box::pin(roles::gateway::run(arguments)).await,
            Command::Worker(arguments) => Box::pin(roles::worker::run(arguments)).await,
            Command::Dispatcher(arguments) => Box::pin(roles::dispatcher::run(arguments)).await,
            Command::Coordinator(arguments) => Box::pin(roles::coordinator::run(arguments)).await,
            Command::Cluster(what) => status::run(what).await,
            Command::Export(arguments) => Box::pin(moving::export(arguments)).await,
            Command::Import(arguments) => Box::pin(moving::import(arguments)).await,
            Command::Simulator(arguments) => simulator::run(arguments).await,
            Command::Migrate(arguments) => migrate::run(arguments).await,
            Command::Doctor(arguments) => Box::pin(doctor::run(arguments)).await,
            Command::Health(arguments) => health::run(arguments).await,
            Command::Config(what) => settings::show(what),
        }
    });
    // A blocking call that hangs must not hold up an ended process.
    runtime.shutdown_background();
    ended
}
