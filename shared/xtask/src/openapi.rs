//! `cargo xtask openapi`: the committed description of the API is the one of the code.

use crate::shell::{self, Program};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// What to do with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only compare: fail if the committed one is behind.
    #[arg(long)]
    check: bool,
}

/// Writes the document, or compares it.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check {
        return check();
    }
    std::fs::write(file(), generated()?).context("writing the document")?;
    println!("Written: {}", file().display());
    Ok(())
}

/// Fails if the committed document is not the one of the code.
pub(crate) fn check() -> Result<()> {
    let committed = std::fs::read_to_string(file()).context("reading the committed document")?;
    if committed != generated()? {
        bail!("services/gateway/openapi.json is behind the code: run `cargo xtask openapi` and commit it");
    }
    println!("The committed document is the one of the code.");
    Ok(())
}

fn generated() -> Result<String> {
    Program::cargo(&["run", "--quiet", "--package", "warren-gateway", "--example", "openapi"]).output()
}

fn file() -> PathBuf {
    shell::root().join("services/gateway/openapi.json")
}
