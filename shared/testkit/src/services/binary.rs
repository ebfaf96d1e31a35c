//! Where the programs of servers are.

use anyhow::{Context, Result};
use std::path::PathBuf;

/// Debian keeps the programs of each Postgres in a folder of its own, which is on nobody's path.
const POSTGRES: &str = "/usr/lib/postgresql";
/// Where servers are which only root has on its path.
const SYSTEM: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/usr/bin", "/usr/local/bin"];

/// The program of this name: on the path, of the newest Postgres, or where system programs are.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(postgres_folders()).chain(SYSTEM.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The same.
///
/// # Errors
/// There is none; the error says which Debian package brings it.
pub(super) fn required(name: &str, package: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("there is no `{name}`: install Debian's package {package} (`cargo xtask test` does)"))
}

fn postgres_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES).into_iter().flatten().flatten();
    let number = |name: &std::ffi::OsStr| name.to_str()?.parse::<u32>().ok();
    let mut versions: Vec<_> = versions.filter_map(|entry| Some((number(&entry.file_name())?, entry.path()))).collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder.join("bin")).collect()
}
