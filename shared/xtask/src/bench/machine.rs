//! The machine that is measured on, and what its kernel says of a process.

use anyhow::{Context, Result};
use std::{io::Write, time::Instant};

/// Cores, load, and how fast the disk makes a commit durable.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    let syncs = syncs_per_second().map_or_else(|_| "?".to_owned(), |rate| format!("{rate:.0}"));
    format!("machine: {cores} cores, load {load}, {syncs} syncs a second")
}

/// How long one commit alone takes on this disk, milliseconds: a page written and synced.
pub(crate) fn commit_ms() -> Result<f64> {
    Ok(1000.0 / syncs_per_second()?)
}

fn syncs_per_second() -> Result<f64> {
    const ROUNDS: u32 = 200;
    let mut file = tempfile::tempfile()?;
    let started = Instant::now();
    for _ in 0..ROUNDS {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
    }
    Ok(f64::from(ROUNDS) / started.elapsed().as_secs_f64())
}

/// Private memory (anonymous pages), kibibytes.
pub(crate) fn private_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("no RssAnon")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// CPU time used so far, user and system, seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    // Linux counts in hundredths of a second towards user space, on every architecture.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may hold spaces; the figures follow its closing bracket.
    let (_, figures) = stat.rsplit_once(") ").context("an unreadable stat file")?;
    let field = |at: usize| -> Result<f64> { Ok(figures.split(' ').nth(at).context("a missing figure")?.parse()?) };
    Ok((field(11)? + field(12)?) / TICKS)
}
