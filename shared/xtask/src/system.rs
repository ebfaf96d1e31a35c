//! What tests need from the operating system: told first, installed from Debian's packages if it is missing.
//!
//! Standalone needs a C compiler (SQLite is compiled in) and nothing else. Servers that a cluster speaks to belong here as
//! soon as a test starts one.

use crate::shell::Program;
use anyhow::{Context, Result, bail};

/// Something that has to be there.
struct Need {
    /// What for.
    purpose: &'static str,
    /// A program that answers if it is there.
    probe: (&'static str, &'static [&'static str]),
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
}

const NEEDS: &[Need] =
    &[Need { purpose: "a C compiler, for SQLite", probe: ("cc", &["--version"]), packages: &["gcc", "libc6-dev"] }];

/// Installs what is missing; says so first.
pub(crate) fn prepare() -> Result<()> {
    let missing: Vec<_> = NEEDS.iter().filter(|need| !Program::new(need.probe.0, need.probe.1).works()).collect();
    if missing.is_empty() {
        println!("Nothing to install: everything that the tests need is there.");
        return Ok(());
    }
    let packages: Vec<_> = missing.iter().flat_map(|need| need.packages.iter().copied()).collect();
    for need in &missing {
        println!("Missing: {} ({})", need.purpose, need.packages.join(", "));
    }
    if !Program::new("apt-get", &["--version"]).works() {
        bail!("install what is missing; this can do it only where there is apt-get");
    }
    if !is_root()? {
        bail!("install what is missing, or run this as root: apt-get install {}", packages.join(" "));
    }
    println!("Installing from Debian's packages: {}", packages.join(", "));
    let quiet = |arguments: &[&str]| Program::new("apt-get", arguments).env("DEBIAN_FRONTEND", "noninteractive").run();
    quiet(&["update", "-q"])?;
    quiet(&[&["install", "-q", "-y", "--no-install-recommends"], packages.as_slice()].concat())
}

fn is_root() -> Result<bool> {
    let id = Program::new("id", &["-u"]).output().context("who is running this")?;
    Ok(id.trim() == "0")
}
