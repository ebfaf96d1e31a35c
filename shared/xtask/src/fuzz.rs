//! `cargo xtask fuzz-api`: schemathesis makes up requests from the description of the API and sends them to a running Warren
//! with the simulator. The test that does it is `services/warren/tests/e2e/fuzz.rs`; this brings what it needs.

use crate::shell::{self, Program};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The version whose findings were looked at; another one may make up other requests.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// Runs it; fails if it finds something.
pub(crate) fn run() -> Result<()> {
    let program = installed()?;
    Program::cargo(
        &[
            &["test", "--package", "warren", "--features", "warren/fault-injection", "--test", "e2e"][..],
            &["--", "--ignored", "--exact", "--nocapture", "fuzz::schemathesis_finds_nothing"],
        ]
        .concat(),
    )
    .env("WARREN_SCHEMATHESIS", program)
    .run()
}

/// Where schemathesis is; installs it below `target` if it is not there.
fn installed() -> Result<PathBuf> {
    let folder = shell::root().join("target/schemathesis");
    let program = folder.join("bin/schemathesis");
    let version = SCHEMATHESIS.split("==").last().unwrap_or_default();
    let is_there = Program::new(&program, &["--version"]).works();
    if is_there && Program::new(&program, &["--version"]).output()?.contains(version) {
        return Ok(program);
    }
    println!("Installing {SCHEMATHESIS} and what it needs from PyPI into {}", folder.display());
    if !Program::new("python3", &["-m", "venv", "--help"]).works() {
        bail!("python3 with its module venv is needed (Debian's package python3-venv)");
    }
    let path = folder.to_str().context("the workspace has a path that is no UTF-8")?;
    Program::new("python3", &["-m", "venv", path]).run()?;
    Program::new(folder.join("bin/pip"), &["install", "--quiet", SCHEMATHESIS]).run()?;
    Ok(program)
}
