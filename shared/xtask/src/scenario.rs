//! Scenarios in JavaScript, in `loadtest/conformance`: programs that nobody here wrote, at a simulator and a Warren that are
//! started for them.

use crate::bench;
use crate::shell::{self, Program};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Runtime;
use warren_testkit::{Network, Simulator, Warren};

const SOURCE: &str = "loadtest/conformance";
/// The oldest Node.js that the packages run on.
const NODE: u32 = 20;
/// The end of Warren's log that is shown when a step failed.
const LOG_LINES: usize = 20;

/// A scenario.
pub(crate) struct Scenario<'a> {
    pub(crate) script: &'a str,
    /// Every wait of it ends by itself before that.
    pub(crate) limit: Duration,
    /// What it is told beside where both servers are.
    pub(crate) settings: &'a [(&'a str, &'a Path)],
}

/// Runs one with this `warren`, or one that is built now; fails if a step failed.
pub(crate) fn run(scenario: &Scenario<'_>, binary: Option<&Path>) -> Result<()> {
    let folder = installed()?;
    let binary = warren(binary)?;
    Runtime::new().context("a runtime")?.block_on(play(scenario, &folder, &binary))
}

async fn play(scenario: &Scenario<'_>, folder: &Path, binary: &Path) -> Result<()> {
    let simulator = Simulator::start(binary).await?;
    let network = Network::Simulator(simulator.url().to_owned());
    let warren = Warren::start(warren_testkit::Options::new(binary, network)).await?;
    let api = warren.api()?;
    let authority = tempfile::NamedTempFile::new().context("a file for the simulator's certificate")?;
    std::fs::write(authority.path(), simulator.tls_authority().await?).context("writing the simulator's certificate")?;

    println!("\nThe simulator at {}, Warren at {}", simulator.url(), api.base());
    let mut node = Command::new("node");
    node.arg(scenario.script).current_dir(folder).kill_on_drop(true).envs(scenario.settings.iter().copied());
    node.env("SIMULATOR_URL", simulator.url()).env("WARREN_URL", api.base()).env("WARREN_KEY", api.key());
    node.env("NODE_EXTRA_CA_CERTS", authority.path());
    let ended = tokio::time::timeout(scenario.limit, node.status()).await;
    let status = ended.with_context(|| format!("it took more than {:?}", scenario.limit))?.context("running node")?;
    if !status.success() {
        println!("\nThe end of Warren's log:\n{}", warren.last_lines(LOG_LINES));
        bail!("a step failed: {status}");
    }
    Ok(())
}

/// Where the scenarios can run, with the packages they need: a copy below `target`, because they are put beside it.
fn installed() -> Result<PathBuf> {
    node()?;
    let source = shell::root().join(SOURCE);
    let folder = bench::target().join("conformance");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = std::fs::read(source.join("package-lock.json")).context("the lock file")?;
    // npm writes the second one when it is done.
    let is_there = std::fs::read(folder.join("package-lock.json")).is_ok_and(|there| there == lock)
        && folder.join("node_modules/.package-lock.json").exists();
    for entry in std::fs::read_dir(&source).context("the scenario's folder")? {
        let path = entry?.path();
        let is_wanted = path.extension().is_some_and(|extension| extension == "js" || extension == "json");
        if let Some(name) = path.file_name().filter(|_| is_wanted) {
            std::fs::copy(&path, folder.join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    if !is_there {
        println!(
            "Installing what package-lock.json names from npm into {}; no script of a package is run.",
            folder.display()
        );
        let path = folder.to_str().context("the target folder has a path that is no UTF-8")?;
        let quiet = ["--no-audit", "--no-fund", "--omit=peer", "--omit=optional"];
        Program::new("npm", &[&["ci", "--ignore-scripts", "--prefix", path], &quiet[..]].concat()).run()?;
    }
    Ok(folder)
}

/// This `warren`, or one that is built now.
fn warren(binary: Option<&Path>) -> Result<PathBuf> {
    if let Some(binary) = binary {
        return std::path::absolute(binary).context("the binary's path");
    }
    Program::cargo(&["build", "--package", "warren"]).run()?;
    Ok(bench::target().join("debug/warren"))
}

/// Checks that there is a Node.js that is new enough.
fn node() -> Result<()> {
    let wanted =
        format!("Node.js {NODE} or later, with npm, is needed (Debian's packages nodejs and npm, or https://nodejs.org)");
    if !Program::new("node", &["--version"]).works() || !Program::new("npm", &["--version"]).works() {
        bail!("{wanted}; it is not there");
    }
    let version = Program::new("node", &["--version"]).output()?;
    if major(&version).is_none_or(|major| major < NODE) {
        bail!("{wanted}; there is {}", version.trim());
    }
    Ok(())
}

/// The first number of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v9.1.0"), Some(9));
        assert_eq!(major("nonsense"), None);
    }

    #[test]
    fn the_version_is_pinned() {
        let package = shell::root().join(SOURCE).join("package.json");
        assert!(std::fs::read_to_string(package).unwrap_or_default().contains(r#""baileys": "7.0.0-rc14""#));
    }

    /// A registry of one machine in a lock file would fail on every other.
    #[test]
    fn the_lock_file_names_the_public_registry_and_what_is_installed_is_checked() {
        let lock = shell::root().join(SOURCE).join("package-lock.json");
        let lock = std::fs::read_to_string(lock).unwrap_or_default();
        let elsewhere = lock
            .lines()
            .filter(|line| line.contains(r#""resolved""#) && !line.contains(r#""resolved": "https://registry.npmjs.org/"#));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(lock.contains(r#""integrity": "sha512-"#), "there is no lock file");
    }
}
