//! `cargo xtask features`: no build has a `danger-` feature, which would switch off the protocol's own checks of the
//! server.

use crate::shell::Program;
use anyhow::{Result, bail};

/// The builds that exist. The last holds everything that any other could.
const BUILDS: &[&[&str]] = &[
    &["--package", "warren"],
    &["--package", "warren", "--features", "warren/fault-injection"],
    &["--package", "warren-simulator"],
    &["--workspace", "--all-features"],
];

/// Checks every build.
pub(crate) fn run() -> Result<()> {
    for build in BUILDS {
        let arguments =
            [&["tree", "--quiet", "--edges", "features", "--prefix", "none", "--target", "all"], *build].concat();
        let tree = Program::cargo(&arguments).output()?;
        if !tree.contains(" feature \"") {
            bail!("`cargo tree` shows no features any more; this check sees nothing");
        }
        let found = dangerous(&tree);
        if !found.is_empty() {
            bail!("in the build `{}`:\n  {}", build.join(" "), found.join("\n  "));
        }
    }
    println!("No danger-* feature in any of {} builds.", BUILDS.len());
    Ok(())
}

/// The lines of a feature tree that must not be there.
fn dangerous(tree: &str) -> Vec<&str> {
    let mut lines: Vec<_> = tree.lines().filter(|line| line.contains("feature \"danger-")).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_must_not_be_there() {
        let tree = "wacore v0.7.0\nwacore-noise feature \"danger-skip-cert-chain-verify\"\nwacore feature \"default\"\n\
                    wacore-noise feature \"danger-skip-cert-chain-verify\" (*)\n";
        assert_eq!(dangerous(tree).len(), 2);
        assert!(dangerous("wacore feature \"default\"\nendangered v1.0.0\n").is_empty());
    }
}
