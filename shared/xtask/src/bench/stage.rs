//! The processes of a benchmark: each is ended when it is dropped.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const START: Duration = Duration::from_secs(60);
const ONLINE: Duration = Duration::from_secs(300);

/// A child that does not outlive its handle.
struct Process {
    child: Child,
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
    _process: Process,
    url: String,
    _folder: TempDir,
}

impl Simulator {
    pub(crate) fn start(bin: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut child = Command::new(bin.join("warren"))
            .args(["simulator", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("the simulator cannot be started")?;
        let mut out = BufReader::new(child.stdout.take().context("no output")?);
        let process = Process { child };
        let url = read_until(&mut out, "http://")?;
        drain(out);
        Ok(Self { _process: process, url, _folder: folder })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// How Warren's instances speak to the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Plain,
    Tls,
}

impl Line {
    fn url(self, simulator: &Simulator) -> String {
        match self {
            Self::Plain => simulator.url.clone(),
            Self::Tls => simulator.url.replacen("http://", "https://", 1),
        }
    }
}

/// A standalone Warren over a folder of its own.
pub(crate) struct Standalone {
    process: Process,
    api: String,
    admin: String,
    key: String,
    simulator: String,
    bin: std::path::PathBuf,
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
            bin: bin.to_owned(),
            folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Makes and pairs instances; their ids are kept for [`Self::send`].
    pub(crate) fn fleet(&self, bin: &Path, instances: usize) -> Result<Value> {
        let (count, out) = (instances.to_string(), self.fleet_file());
        let arguments =
            ["fleet", "--api", &self.api, "--key", &self.key, "--simulator", &self.simulator, "--instances", &count];
        swarm(bin, &[&arguments[..], &["--out", &out]].concat())
    }

    /// Sends texts, at a rate or (0) as fast as they are acknowledged.
    pub(crate) fn send(&self, bin: &Path, seconds: u64, rate: u64) -> Result<Value> {
        let (seconds, rate, pid, fleet) = (seconds.to_string(), rate.to_string(), self.pid().to_string(), self.fleet_file());
        let arguments = ["send", "--api", &self.api, "--key", &self.key, "--simulator", &self.simulator, "--fleet", &fleet];
        swarm(bin, &[&arguments[..], &["--seconds", &seconds, "--rate", &rate, "--pid", &pid]].concat())
    }

    fn fleet_file(&self) -> String {
        self.folder.path().join("fleet").display().to_string()
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
        let since = Instant::now();
        let (process, started) = launch(&self.bin, &self.simulator, self.folder.path(), false)?;
        self.process = process;
        (self.api, self.admin) = (started.api, started.admin);
        answered(&self.api)?;
        let first = since.elapsed().as_secs_f64();
        while online(&self.admin)? < instances {
            if since.elapsed() > ONLINE {
                bail!("not all instances came online");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok((first, since.elapsed().as_secs_f64()))
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
        .env("WARREN_WORKER__CONNECTS_PER_SECOND", "2000")
        .env("WARREN_WORKER__RECONNECT_JITTER_MS", "0")
        .env("WARREN_WORKER__PRE_KEYS", "50")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("warren cannot be started")?;
    let mut out = BufReader::new(child.stdout.take().context("no output")?);
    let process = Process { child };
    let api = read_until(&mut out, "http://")?;
    let admin = read_until(&mut out, "http://")?.trim_end_matches("/metrics").to_owned();
    let key = if fresh { Some(read_until(&mut out, "wrn_")?) } else { None };
    drain(out);
    Ok((process, Started { api, admin, key }))
}

/// The word that starts with `start`, from the next line that has one.
fn read_until(out: &mut BufReader<ChildStdout>, start: &str) -> Result<String> {
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
fn drain(mut out: BufReader<ChildStdout>) {
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
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

fn online(admin: &str) -> Result<usize> {
    let metrics = get(admin, "/metrics")?;
    let line = metrics.lines().find_map(|line| line.strip_prefix("warren_instances{state=\"online\"} "));
    Ok(line.unwrap_or("0").trim().parse()?)
}

fn get(url: &str, path: &str) -> Result<String> {
    let authority = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Runs one command of the load generator and reads its report.
pub(crate) fn swarm(bin: &Path, arguments: &[&str]) -> Result<Value> {
    println!("\n$ swarm {}", arguments.first().copied().unwrap_or_default());
    let output = Command::new(bin.join("swarm")).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the load generator failed: {}", output.status);
    }
    let report: Value = serde_json::from_slice(&output.stdout).context("the load generator printed no JSON")?;
    println!("{report}");
    Ok(report)
}
