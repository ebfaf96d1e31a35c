//! Processes that end with their handle: the simulator, and the load generator for as long as it may take.

use super::LIMIT;
use crate::bench::machine;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read as _},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A child that does not outlive its handle.
pub(super) struct Process {
    pub(super) child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A simulator of its own.
pub(crate) struct Simulator {
    process: Process,
    pub(super) url: String,
    _folder: TempDir,
}

impl Simulator {
    pub(crate) fn start(bin: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(bin.join("warren"))
            .args(["simulator", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            // It is never started again over the same folder.
            .env("WARREN_SIMULATOR__KEEP_STATE", "false")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the simulator cannot be started")?;
        let out = child.stdout.take();
        let process = Process { child };
        let mut out = BufReader::new(out.context("no output")?);
        let url = read_until(&mut out, "http://")?;
        drain(out);
        Ok(Self { process, url, _folder: folder })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }
}

/// What a simulator takes of the machine from the beginning to the end: it runs beside what is measured.
pub(crate) struct Beside {
    simulator: u32,
    cpu_s: f64,
}

impl Beside {
    pub(crate) fn begin(simulator: u32) -> Result<Self> {
        Ok(Self { simulator, cpu_s: machine::cpu_seconds(simulator)? })
    }

    /// Prints it, and gives it out for the figures.
    pub(crate) fn end(self) -> Result<Value> {
        let cpu_s = machine::cpu_seconds(self.simulator)? - self.cpu_s;
        let private_mib = machine::private_kib(self.simulator)? / 1024;
        println!("the simulator beside it: {cpu_s:.1} s of CPU, {private_mib} MiB");
        Ok(json!({"cpu_s": cpu_s, "private_mib": private_mib}))
    }

    /// Runs a command of the load generator, with this beside its report.
    pub(crate) fn of(simulator: u32, run: impl FnOnce() -> Result<Value>) -> Result<Value> {
        let beside = Self::begin(simulator)?;
        let mut report = run()?;
        let beside = beside.end()?;
        if let Some(report) = report.as_object_mut() {
            report.insert("simulator".to_owned(), beside);
        }
        Ok(report)
    }
}

/// How Warren's instances speak to the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Plain,
    Tls,
}

impl Line {
    pub(super) fn url(self, simulator: &Simulator) -> String {
        match self {
            Self::Plain => simulator.url.clone(),
            Self::Tls => simulator.url.replacen("http://", "https://", 1),
        }
    }
}

/// The word that starts with `start`, from the next line that has one.
pub(super) fn read_until(out: &mut BufReader<ChildStdout>, start: &str) -> Result<String> {
    let mut line = String::new();
    loop {
        line.clear();
        if out.read_line(&mut line)? == 0 {
            bail!("the process ended before it printed {start}...");
        }
        if let Some(word) = line.split_whitespace().find(|word| word.starts_with(start)) {
            return Ok(word.to_owned());
        }
    }
}

/// Keeps reading, so that the process never waits for us.
pub(super) fn drain(mut out: BufReader<ChildStdout>) {
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
}

/// Runs one command of the load generator and reads its report.
pub(crate) fn swarm(bin: &Path, arguments: &[&str]) -> Result<Value> {
    swarm_within(bin, arguments, &[], LIMIT)
}

/// The same with something in its environment, and for as long as `limit`.
pub(crate) fn swarm_within(
    bin: &Path,
    arguments: &[&str],
    environment: &[(&str, String)],
    limit: Duration,
) -> Result<Value> {
    println!("\n$ swarm {}", arguments.first().copied().unwrap_or_default());
    let mut command = Command::new(bin.join("swarm"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut child = command.spawn().context("the load generator cannot be started")?;
    let out = child.stdout.take();
    let mut process = Process { child };
    let mut out = out.context("no output")?;
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let until = Instant::now() + limit;
    let status = loop {
        if let Some(status) = process.child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            bail!("the load generator did not end within {limit:?}");
        }
        std::thread::sleep(LOOK);
    };
    if !status.success() {
        bail!("the load generator failed: {status}");
    }
    let Ok(text) = reading.join() else { bail!("reading the load generator's report failed") };
    let report: Value = serde_json::from_str(text?.trim()).context("the load generator printed no JSON")?;
    println!("{report}");
    Ok(report)
}
