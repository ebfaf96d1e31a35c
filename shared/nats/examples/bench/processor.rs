//! Processor time of processes.

use anyhow::{Context, Result};
use warren_testkit::services::Nats;

/// Processor ticks a second, as Linux counts them for everybody.
const TICKS: f64 = 100.0;

/// The process that listens at the address of the server.
pub(crate) fn server_of(nats: &Nats) -> Result<u32> {
    let listens = format!("{:04X} 00000000:0000 0A", nats.address().port());
    let sockets = std::fs::read_to_string("/proc/net/tcp")?;
    let line = sockets.lines().find(|line| line.contains(&listens)).context("nobody listens there")?;
    let socket = format!("socket:[{}]", line.split_whitespace().nth(9).context("no socket")?);
    let holds = |process: &u32| {
        let files = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| std::fs::read_link(file.path()).ok()).any(|target| target.to_string_lossy() == socket)
    };
    let processes = std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    processes.into_iter().find(holds).context("no process listens there")
}

/// Seconds that a process has used.
pub(crate) fn time_of(process: &str) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(") ").context("no stat")?.1.split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).context("no times");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}
