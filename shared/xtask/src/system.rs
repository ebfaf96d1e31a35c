//! What tests need from the operating system: told first, installed from Debian's packages if it is missing.
//!
//! Standalone needs a C compiler (SQLite is compiled in) and nothing else. The servers that a cluster speaks to are started by
//! the tests themselves, on free ports; what Debian's packages start by themselves is not used.

use crate::shell::Program;
use anyhow::{Context, Result, bail};
use warren_testkit::services;

/// Something that has to be there.
struct Need {
    /// What for.
    purpose: &'static str,
    /// A program that is found if it is there.
    program: &'static str,
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
}

const NEEDS: &[Need] = &[
    Need { purpose: "a C compiler, for SQLite", program: "cc", packages: &["gcc", "libc6-dev"] },
    Need { purpose: "Postgres, the ledger of a cluster", program: "postgres", packages: &["postgresql"] },
    Need { purpose: "Redis, for leases and rates", program: "redis-server", packages: &["redis-server"] },
    Need { purpose: "NATS, the bus", program: "nats-server", packages: &["nats-server"] },
    Need { purpose: "Python, for the verifier of webhooks", program: "python3", packages: &["python3", "python3-venv"] },
    Need { purpose: "clocks that jump, for a fault", program: "faketime", packages: &["faketime"] },
];

/// Installs what is missing; says so first.
pub(crate) fn prepare() -> Result<()> {
    let missing: Vec<_> = NEEDS.iter().filter(|need| !is_there(need.program)).collect();
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

fn is_there(program: &str) -> bool {
    services::find(program).is_some()
}

fn is_root() -> Result<bool> {
    let id = Program::new("id", &["-u"]).output().context("who is running this")?;
    Ok(id.trim() == "0")
}
