//! `cargo xtask conformance`: a client that nobody here wrote, in another language (Baileys, from npm), is linked at the
//! simulator and converses with Warren. What it does is in `loadtest/conformance`; this installs what that needs, starts both
//! servers and runs it.

use crate::bench;
use crate::shell::{self, Program};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;
use tokio::runtime::Runtime;
use warren_testkit::{Network, Simulator, Warren};

/// The oldest Node.js that Baileys runs on.
const NODE: u32 = 20;
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
    let scenario = installed()?;
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => {
            Program::cargo(&["build", "--package", "warren"]).run()?;
            bench::target().join("debug/warren")
        }
    };
    Runtime::new().context("a runtime")?.block_on(converse(&scenario, &binary))
}

/// Where the scenario is, with the packages it needs: a copy below `target`, because they are put beside it.
fn installed() -> Result<PathBuf> {
    node()?;
    let (source, folder) = (shell::root().join("loadtest/conformance"), bench::target().join("conformance"));
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
    use super::major;

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v9.1.0"), Some(9));
        assert_eq!(major("nonsense"), None);
    }

    /// A registry of one machine in the lock file would fail on every other.
    #[test]
    fn the_lock_file_names_the_public_registry_and_the_pinned_version() {
        let folder = crate::shell::root().join("loadtest/conformance");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let (package, lock) = (read("package.json"), read("package-lock.json"));
        assert!(package.contains(r#""baileys": "7.0.0-rc14""#), "the version is pinned");
        let elsewhere = lock
            .lines()
            .filter(|line| line.contains(r#""resolved""#) && !line.contains(r#""resolved": "https://registry.npmjs.org/"#));
        assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(lock.contains(r#""integrity": "sha512-"#), "what is installed is checked");
    }
}
