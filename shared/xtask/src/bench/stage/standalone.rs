//! A standalone Warren over a folder of its own.

use super::metrics::{get, online};
use super::process::{Beside, Line, Process, Simulator, drain, read_until, swarm};
use super::{Load, Warren};
use crate::bench::machine;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    io::BufReader,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(60);
const ONLINE: Duration = Duration::from_secs(300);
/// More than are measured at once.
const WEBSOCKETS: &str = "20000";

/// A standalone Warren.
pub(crate) struct Standalone {
    process: Process,
    api: String,
    admin: String,
    key: String,
    simulator: String,
    simulator_pid: u32,
    bin: PathBuf,
    folder: TempDir,
}

impl Standalone {
    pub(crate) fn start(bin: &Path, simulator: &Simulator, line: Line) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (process, started) = launch(bin, &line.url(simulator), folder.path(), true)?;
        Ok(Self {
            process,
            api: started.api,
            admin: started.admin,
            key: started.key.context("no key was printed")?,
            simulator: simulator.url.clone(),
            simulator_pid: simulator.pid(),
            bin: bin.to_owned(),
            folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Makes and pairs instances; their ids are kept for what follows.
    pub(crate) fn fleet(&self, instances: usize) -> Result<Value> {
        let (count, out) = (instances.to_string(), self.fleet_file());
        self.load("fleet", &["--instances", &count, "--out", &out])
    }

    /// Opens WebSockets and lets a person write to an instance.
    pub(crate) fn sockets(&self, sockets: usize) -> Result<Value> {
        let (sockets, pid, fleet) = (sockets.to_string(), self.pid().to_string(), self.fleet_file());
        self.load("sockets", &["--fleet", &fleet, "--sockets", &sockets, "--pid", &pid])
    }

    fn fleet_file(&self) -> String {
        self.folder.path().join("fleet").display().to_string()
    }

    fn watched(&self) -> String {
        format!("warren={}", self.pid())
    }

    /// Seconds from the start of a process with an empty store to its first answered request.
    pub(crate) fn first_answer(bin: &Path, simulator: &Simulator) -> Result<f64> {
        let folder = tempfile::tempdir()?;
        let since = Instant::now();
        let (_process, started) = launch(bin, &simulator.url, folder.path(), true)?;
        answered(&started.api)?;
        Ok(since.elapsed().as_secs_f64())
    }

    /// Kills it and starts it on the same folder: seconds to the first answer, and to all instances online.
    pub(crate) fn restart(&mut self, instances: usize) -> Result<(f64, f64)> {
        self.process.child.kill()?;
        self.process.child.wait()?;
        let (since, beside) = (Instant::now(), Beside::begin(self.simulator_pid)?);
        let (process, started) = launch(&self.bin, &self.simulator, self.folder.path(), false)?;
        self.process = process;
        (self.api, self.admin) = (started.api, started.admin);
        answered(&self.api)?;
        let first = since.elapsed().as_secs_f64();
        while online(&[&self.admin])? < instances {
            if since.elapsed() > ONLINE {
                bail!("not all instances came online");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let online = since.elapsed().as_secs_f64();
        beside.end()?;
        Ok((first, online))
    }
}

impl Warren for Standalone {
    fn load(&self, command: &str, more: &[&str]) -> Result<Value> {
        let target = [command, "--api", &self.api, "--key", &self.key, "--simulator", &self.simulator];
        Beside::of(self.simulator_pid, || swarm(&self.bin, &[&target[..], more].concat()))
    }

    fn send(&self, load: Load) -> Result<Value> {
        let (fleet, watched) = (self.fleet_file(), self.watched());
        let arguments = load.arguments();
        let mut all = vec!["--fleet", &fleet, "--admin", &self.admin, "--process", &watched];
        all.extend(arguments.iter().map(String::as_str));
        self.load("send", &all)
    }

    fn receive(&self, texts: u64) -> Result<Value> {
        let (texts, watched, fleet) = (texts.to_string(), self.watched(), self.fleet_file());
        self.load("receive", &["--fleet", &fleet, "--admin", &self.admin, "--texts", &texts, "--process", &watched])
    }

    fn witnesses(&self) -> Result<Vec<String>> {
        Ok(vec!["--process".to_owned(), self.watched()])
    }

    fn raw_commit_ms(&self) -> Result<f64> {
        machine::commit_ms()
    }

    fn disk_bytes(&self) -> Result<f64> {
        let mut bytes = 0;
        for entry in std::fs::read_dir(self.folder.path())? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with("warren.db")) {
                bytes += entry.metadata()?.len();
            }
        }
        Ok(bytes as f64)
    }
}

/// What a start printed.
struct Started {
    api: String,
    admin: String,
    key: Option<String>,
}

fn launch(bin: &Path, simulator: &str, folder: &Path, fresh: bool) -> Result<(Process, Started)> {
    let mut child = Command::new(bin.join("warren"))
        .args(["standalone", "--simulator-url", simulator, "--data-dir"])
        .arg(folder)
        .env("WARREN_LISTEN", "127.0.0.1:0")
        .env("WARREN_ADMIN_LISTEN", "127.0.0.1:0")
        .envs(super::ADMISSION.iter().copied())
        .env("WARREN_GATEWAY__WEBSOCKETS_PER_TENANT", WEBSOCKETS)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("warren cannot be started")?;
    let out = child.stdout.take();
    let process = Process { child };
    let mut out = BufReader::new(out.context("no output")?);
    let api = read_until(&mut out, "http://")?;
    let admin = read_until(&mut out, "http://")?.trim_end_matches("/metrics").to_owned();
    let key = if fresh { Some(read_until(&mut out, "wrn_")?) } else { None };
    drain(out);
    Ok((process, Started { api, admin, key }))
}

/// Waits for the first answer of the API.
fn answered(api: &str) -> Result<()> {
    let since = Instant::now();
    while since.elapsed() < START {
        if get(api, "/healthz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the API did not answer")
}
