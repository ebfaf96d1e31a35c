//! Scenarios in JavaScript: what they need of npm, and a `warren` for them.

use crate::bench;
use crate::shell::{self, Program};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

/// The oldest Node.js that the packages run on.
const NODE: u32 = 20;

/// Where a scenario of this folder can run, with the packages it needs: a copy below `target`, because they are put beside it.
pub(crate) fn installed(source: &str) -> Result<PathBuf> {
    node()?;
    let source = shell::root().join(source);
    let folder = bench::target().join(source.file_name().context("the scenario's folder")?);
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
pub(crate) fn warren(binary: Option<&Path>) -> Result<PathBuf> {
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
    use super::major;

    #[test]
    fn the_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v9.1.0"), Some(9));
        assert_eq!(major("nonsense"), None);
    }

    /// A registry of one machine in a lock file would fail on every other.
    #[test]
    fn lock_files_name_the_public_registry_and_what_is_installed_is_checked() {
        for folder in ["loadtest/conformance", "loadtest/simulator/tests/page"] {
            let lock =
                std::fs::read_to_string(crate::shell::root().join(folder).join("package-lock.json")).unwrap_or_default();
            let elsewhere = lock.lines().filter(|line| {
                line.contains(r#""resolved""#) && !line.contains(r#""resolved": "https://registry.npmjs.org/"#)
            });
            assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&str>::new(), "{folder}");
            assert!(lock.contains(r#""integrity": "sha512-"#), "{folder}");
        }
    }
}
