//! `cargo xtask conformance`: a client that nobody here wrote, in another language (Baileys, from npm), is linked at the
//! simulator and converses with Warren. What it does is in `loadtest/conformance/main.js`.

use crate::scenario::{self, Scenario};
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

/// Every wait of the scenario ends by itself before that.
const LIMIT: Duration = Duration::from_secs(900);

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A `warren` that is there, instead of one that is built now.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// Runs it; fails if a step failed.
pub(crate) fn run(options: &Options) -> Result<()> {
    scenario::run(&Scenario { script: "main.js", limit: LIMIT, settings: &[] }, options.binary.as_deref())
}
