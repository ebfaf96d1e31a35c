//! `cargo xtask cluster`: a whole cluster on this machine, without docker, until Ctrl-C.

use crate::shell::{Program, root};
use crate::{bench, system};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitStatus;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What `swarm cluster` takes, such as `--workers 5` or `--env WARREN_WORKER__PRE_KEYS=50`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    more: Vec<String>,
}

/// Builds it and runs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    system::prepare()?;
    Program::cargo(&["build", "--release", "-p", "warren", "-p", "warren-swarm"]).run()?;
    let status =
        Runtime::new().context("a runtime")?.block_on(until_interrupted(&bench::target().join("release"), options))?;
    if !status.success() {
        bail!("the cluster did not end well: {status}");
    }
    Ok(())
}

/// A terminal's Ctrl-C goes to every process of its group at once; a cluster is stopped one process after the other. So it runs in
/// a group of its own and is told; it ends with this process, however that ends.
async fn until_interrupted(bin: &Path, options: &Options) -> Result<ExitStatus> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(bin.join("swarm")).arg("cluster");
    command.arg("--binary").arg(bin.join("warren")).args(&options.more).current_dir(root()).process_group(0);
    let mut cluster = command.spawn().context("starting the cluster")?;
    let id = cluster.id().context("the cluster ended at once")?.to_string();
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            ended = cluster.wait() => return ended.context("waiting for the cluster"),
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        Program::new("kill", &["-TERM", &id]).works();
    }
}
