//! The command line.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Any number of WhatsApp accounts behind one API.
#[derive(Debug, Parser)]
#[command(name = "warren", version, about, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run everything in this one process, over one folder.
    Standalone(Standalone),
    /// Run the stand-in for WhatsApp: accounts, phones and people that do not exist.
    Simulator(Simulator),
    /// Bring the store in the data folder up to date, and end.
    Migrate(Common),
    /// Check the settings, the data folder and the machine, and say what is wrong.
    Doctor(Common),
    /// Ask the process on this machine whether it is ready; ends with 0 if it is.
    Health(Health),
    /// Look at the settings.
    #[command(subcommand)]
    Config(Config),
}

/// What every command knows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// The settings file; without it, `warren.toml` in this folder if there is one.
    #[arg(long, env = "WARREN_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The folder that holds everything.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) data_dir: Option<PathBuf>,
}

/// `warren standalone`.
#[derive(Debug, Args)]
pub(crate) struct Standalone {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Run a simulator in this process, and connect to it and never to WhatsApp.
    #[arg(long, conflicts_with = "simulator_url")]
    pub(crate) simulator: bool,
    /// Connect to the simulator at this address and never to WhatsApp, for example http://127.0.0.1:8090; with https:// its
    /// WebSocket is spoken to over TLS.
    #[arg(long, value_name = "URL")]
    pub(crate) simulator_url: Option<String>,
}

/// `warren health`.
#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Ask the simulator instead, at `simulator.listen`.
    #[arg(long)]
    pub(crate) simulator: bool,
}

/// `warren simulator`.
#[derive(Debug, Args)]
pub(crate) struct Simulator {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Where it listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
}

/// `warren config`.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the settings in effect, with secrets hidden.
    Print(Common),
    /// Say whether the settings are right.
    Check(Common),
    /// Show the documented defaults.
    Default,
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
