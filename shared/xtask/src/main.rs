//! What developers and CI run: `cargo xtask test`, `cargo xtask cluster`, `cargo xtask faults`, `cargo xtask bench`,
//! `cargo xtask openapi`, `cargo xtask fuzz-api`, `cargo xtask conformance`, `cargo xtask page`, `cargo xtask postgres`,
//! `cargo xtask arrows`, `cargo xtask features`. One module a command.

mod arrows;
mod bench;
mod cluster;
mod conformance;
mod faults;
mod features;
mod fuzz;
mod ledger;
mod openapi;
mod page;
mod scenario;
mod shell;
mod system;
mod test;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Install what tests need, check everything, run every test, clean up.
    Test(test::Options),
    /// Measure the scorecard's rows against the bare client library.
    Bench(bench::Options),
    /// Run a whole cluster on this machine until Ctrl-C: Postgres, Redis, NATS, every role, the simulator.
    Cluster(cluster::Options),
    /// Break whole clusters under load, and check every invariant.
    Faults(faults::Options),
    /// Write the description of the API that is committed, from the code.
    Openapi(openapi::Options),
    /// Send requests made up from the description of the API, for up to ten minutes.
    FuzzApi,
    /// Let a client that nobody here wrote (Baileys) converse with Warren at the simulator.
    Conformance(conformance::Options),
    /// Use the simulator's page in a real browser.
    Page(page::Options),
    /// Run a command beside a Postgres for its tests.
    Postgres(ledger::Options),
    /// Check that crates depend only on the crates they may know.
    Arrows,
    /// Check that no build has a feature that weakens the protocol's own checks.
    Features,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Faults(options) => faults::run(&options),
        Command::Openapi(options) => openapi::run(&options),
        Command::FuzzApi => fuzz::run(),
        Command::Conformance(options) => conformance::run(&options),
        Command::Page(options) => page::run(&options),
        Command::Postgres(options) => ledger::run(&options),
        Command::Arrows => arrows::run(),
        Command::Features => features::run(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
