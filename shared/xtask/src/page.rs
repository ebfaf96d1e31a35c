//! `cargo xtask page`: somebody uses the simulator's page in a real browser (Chromium, steered by playwright-core) beside a
//! Warren. What is done and seen is in `loadtest/conformance/page.js`.

use crate::scenario::{self, Scenario};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::Duration;

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
    let scenario = Scenario { script: "page.js", limit: LIMIT, settings: &[("CHROMIUM", &options.chromium)] };
    scenario::run(&scenario, options.binary.as_deref())
}
