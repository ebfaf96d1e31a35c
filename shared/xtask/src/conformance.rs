//! `cargo xtask conformance`: a client that nobody here wrote, in another language (Baileys, from npm), is linked at the
//! simulator and converses with Warren. What it does is in `loadtest/conformance`; this installs what that needs, starts both
//! servers and runs it.

use crate::npm;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Runtime;
use warren_testkit::{Network, Simulator, Warren};

/// Every wait of the scenario ends by itself before that.
const LIMIT: Duration = Duration::from_secs(900);
/// The end of Warren's log that is shown when a step failed.
const LOG_LINES: usize = 20;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A `warren` that is there, instead of one that is built now.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Runs it; fails if a step failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let scenario = npm::installed("loadtest/conformance")?;
    let binary = npm::warren(options.binary.as_deref())?;
    Runtime::new().context("a runtime")?.block_on(converse(&scenario, &binary))
}

async fn converse(scenario: &Path, binary: &Path) -> Result<()> {
    let simulator = Simulator::start(binary).await?;
    let network = Network::Simulator(simulator.url().to_owned());
    let warren = Warren::start(warren_testkit::Options::new(binary, network)).await?;
    let api = warren.api()?;
    let authority = tempfile::NamedTempFile::new().context("a file for the simulator's certificate")?;
    std::fs::write(authority.path(), simulator.tls_authority().await?).context("writing the simulator's certificate")?;

    println!("\nBaileys at {}, Warren at {}", simulator.url(), api.base());
    let mut node = Command::new("node");
    node.arg("main.js").current_dir(scenario).kill_on_drop(true);
    node.env("SIMULATOR_URL", simulator.url()).env("WARREN_URL", api.base()).env("WARREN_KEY", api.key());
    node.env("NODE_EXTRA_CA_CERTS", authority.path());
    let ended = tokio::time::timeout(LIMIT, node.status()).await;
    let status = ended.with_context(|| format!("the scenario took more than {LIMIT:?}"))?.context("running node")?;
    if !status.success() {
        println!("\nThe end of Warren's log:\n{}", warren.last_lines(LOG_LINES));
        bail!("Baileys and Warren do not understand each other: {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_pinned() {
        let package = crate::shell::root().join("loadtest/conformance/package.json");
        assert!(std::fs::read_to_string(package).unwrap_or_default().contains(r#""baileys": "7.0.0-rc14""#));
    }
}
