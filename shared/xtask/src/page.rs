//! `cargo xtask page`: somebody uses the simulator's page in a real browser (Chromium, steered by playwright-core) beside a
//! Warren. What is done and seen is in `loadtest/simulator/tests/page`.

use crate::npm;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Runtime;
use warren_testkit::{Network, Simulator, Warren};

/// Where Debian's package puts it.
const CHROMIUM: &str = "/usr/bin/chromium";
/// Every wait of the scenario ends by itself before that.
const LIMIT: Duration = Duration::from_secs(600);

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A `warren` that is there, instead of one that is built now.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// The browser.
    #[arg(long, value_name = "PATH", default_value = CHROMIUM)]
    chromium: PathBuf,
}

/// Runs it; fails if a step failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.chromium.is_file() {
        bail!("Chromium is needed (Debian's package chromium); there is no {}", options.chromium.display());
    }
    let scenario = npm::installed("loadtest/simulator/tests/page")?;
    let binary = npm::warren(options.binary.as_deref())?;
    Runtime::new().context("a runtime")?.block_on(browse(&scenario, &binary, &options.chromium))
}

async fn browse(scenario: &Path, binary: &Path, chromium: &Path) -> Result<()> {
    let simulator = Simulator::start(binary).await?;
    let network = Network::Simulator(simulator.url().to_owned());
    let warren = Warren::start(warren_testkit::Options::new(binary, network)).await?;
    let api = warren.api()?;
    let mut node = Command::new("node");
    node.arg("main.js").current_dir(scenario).kill_on_drop(true).env("CHROMIUM", chromium);
    node.env("SIMULATOR_URL", simulator.url()).env("WARREN_URL", api.base()).env("WARREN_KEY", api.key());
    let ended = tokio::time::timeout(LIMIT, node.status()).await;
    let status = ended.with_context(|| format!("the scenario took more than {LIMIT:?}"))?.context("running node")?;
    if !status.success() {
        bail!("the page does not do what it should: {status}");
    }
    Ok(())
}
