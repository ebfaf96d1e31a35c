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
    /// Run a gateway of a cluster: the API.
    Gateway(Common),
    /// Run a worker of a cluster: it owns shards, and connects their instances to WhatsApp.
    Worker(Worker),
    /// Run a dispatcher of a cluster: it delivers webhooks.
    Dispatcher(Common),
    /// Run a coordinator of a cluster: together they decide which worker owns what.
    Coordinator(Coordinator),
    /// Look at a cluster.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Run the stand-in for WhatsApp: accounts, phones and people that do not exist.
    Simulator(Simulator),
    /// Bring the store up to date, and end: Postgres where a `database.url` is set, else the one in the data folder.
    Migrate(Common),
    /// Write everything that the store in the data folder holds into a file, for `warren import`.
    Export(Export),
    /// Fill a cluster's empty database with what `warren export` wrote: no account has to be paired again.
    Import(Import),
    /// Check the settings, the machine and everything that a process here would need, and say what is wrong.
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

/// `warren worker`.
#[derive(Debug, Args)]
pub(crate) struct Worker {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The worker's name, unique in the cluster and the same after a restart; without it, the machine's name.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Connect to the simulator at this address and never to WhatsApp, for example http://127.0.0.1:8090.
    #[arg(long, env = "WARREN_SIMULATOR_URL", value_name = "URL")]
    pub(crate) simulator_url: Option<String>,
}

/// `warren coordinator`.
#[derive(Debug, Args)]
pub(crate) struct Coordinator {
    #[command(flatten)]
    pub(crate) common: Common,
    /// Which of `cluster.coordinators` this is; the first is 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) number: Option<u64>,
}

/// `warren cluster`.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Show the members, the leader, who owns how much, and what is being moved.
    Status(Common),
}

/// `warren export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) common: Common,
    /// The file; it is replaced.
    pub(crate) file: PathBuf,
}

/// `warren import`.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) common: Common,
    /// What `warren export` wrote.
    pub(crate) file: PathBuf,
    /// The folder with the files of messages (`media` in the data folder that was exported), to be copied.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) files: Option<PathBuf>,
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
