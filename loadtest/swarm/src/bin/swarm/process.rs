//! What the kernel says of a process: private memory and CPU time.

use anyhow::{Context, Result};

/// Private memory (anonymous pages), kibibytes.
pub(crate) fn private_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("the process is gone")?;
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("no RssAnon")?;
    Ok(line.split_whitespace().nth(1).context("no figure")?.parse()?)
}

/// CPU time used so far, user and system, seconds; in steps of 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    // Linux counts in hundredths of a second towards user space, on every architecture.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The name may hold spaces; the figures follow its closing bracket.
    let (_, figures) = stat.rsplit_once(") ").context("an unreadable stat file")?;
    let field = |at: usize| -> Result<f64> { Ok(figures.split(' ').nth(at).context("a missing figure")?.parse()?) };
    Ok((field(11)? + field(12)?) / TICKS)
}

/// CPU time that the calling thread used so far, seconds; in steps of nanoseconds.
pub(crate) fn thread_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").context("no figures of this thread")?;
    Ok(stat.split(' ').next().context("a missing figure")?.parse::<f64>()? / 1e9)
}
