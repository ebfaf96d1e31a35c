//! What the kernel says of a process: private memory and CPU time.

use anyhow::{Context, Result};
use warren_testkit::memory_of;

/// Linux counts in hundredths of a second towards user space, on every architecture.
const TICKS: f64 = 100.0;

/// Private memory (anonymous pages), kibibytes.
pub(crate) fn private_kib(pid: u32) -> Result<u64> {
    Ok(memory_of(pid).context("the process is gone")? >> 10)
}

/// CPU time used so far, user and system, seconds; in steps of 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Stat::of(&pid.to_string()).context("the process is gone")?;
    Ok(stat.own)
}

/// The same of a process and all its children, also of those that have ended.
pub(crate) fn family_cpu_seconds(pid: u32) -> Result<f64> {
    let stat = Stat::of(&pid.to_string()).context("the process is gone")?;
    let mut sum = stat.own + stat.ended_children;
    for entry in std::fs::read_dir("/proc").context("no /proc")?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        // One may have ended since its folder was seen.
        if let Some(child) = Stat::of(name).filter(|child| child.parent == pid) {
            sum += child.own + child.ended_children;
        }
    }
    Ok(sum)
}

/// CPU time that the calling thread used so far, seconds; in steps of nanoseconds.
pub(crate) fn thread_cpu_seconds() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").context("no figures of this thread")?;
    Ok(stat.split(' ').next().context("a missing figure")?.parse::<f64>()? / 1e9)
}

/// The parent, and seconds of CPU.
struct Stat {
    parent: u32,
    own: f64,
    ended_children: f64,
}

impl Stat {
    fn of(pid: &str) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold spaces; the figures follow its closing bracket.
        let figures: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |at: usize| -> Option<f64> { figures.get(at)?.parse().ok() };
        Some(Self {
            parent: figures.get(1)?.parse().ok()?,
            own: (ticks(11)? + ticks(12)?) / TICKS,
            ended_children: (ticks(13)? + ticks(14)?) / TICKS,
        })
    }
}
