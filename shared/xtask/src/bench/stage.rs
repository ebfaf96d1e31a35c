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
        self.load(bin, "fleet", &["--instances", &count, "--out", &out])
    }

    /// Sends texts, at a rate or (0) as fast as they are answered: acknowledged by the server, or only accepted.
    pub(crate) fn send(&self, bin: &Path, seconds: u64, rate: u64, accept: bool) -> Result<Value> {
        let (seconds, rate, pid, fleet) = (seconds.to_string(), rate.to_string(), self.pid().to_string(), self.fleet_file());
        let only = if accept { &["--accept"][..] } else { &[] };
        let arguments = ["--fleet", &fleet, "--seconds", &seconds, "--rate", &rate, "--pid", &pid];
        self.load(bin, "send", &[&arguments[..], only].concat())
    }

    /// Lets people write to every instance.
    pub(crate) fn receive(&self, bin: &Path, texts: u64) -> Result<Value> {
        let (texts, pid, fleet) = (texts.to_string(), self.pid().to_string(), self.fleet_file());
        self.load(bin, "receive", &["--fleet", &fleet, "--admin", &self.admin, "--texts", &texts, "--pid", &pid])
    }

    /// Opens WebSockets and lets a person write to an instance.
    pub(crate) fn sockets(&self, bin: &Path, sockets: usize) -> Result<Value> {
        let (sockets, pid, fleet) = (sockets.to_string(), self.pid().to_string(), self.fleet_file());
        self.load(bin, "sockets", &["--fleet", &fleet, "--sockets", &sockets, "--pid", &pid])
    }

    /// One command of the load generator against this Warren.
    fn load(&self, bin: &Path, command: &str, more: &[&str]) -> Result<Value> {
        let target = [command, "--api", &self.api, "--key", &self.key, "--simulator", &self.simulator];
        swarm(bin, &[&target[..], more].concat())
    }

    /// How long the hops of a text took until now.
    pub(crate) fn hops(&self) -> Result<Hops> {
        let metrics = get(&self.admin, "/metrics")?;
        let sums = |name: &str, labels: &str| -> Result<(f64, f64)> {
            Ok((value(&metrics, &format!("{name}_sum{labels}"))?, value(&metrics, &format!("{name}_count{labels}"))?))
        };
        Ok(Hops {
            commit: sums("warren_commit_seconds", "")?,
            hand: sums("warren_send_seconds", "{hop=\"hand\"}")?,
            ack: sums("warren_send_seconds", "{hop=\"ack\"}")?,
        })
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

/// The hops of a text as the metrics count them: sum of the seconds, and how many.
pub(crate) struct Hops {
    commit: (f64, f64),
    hand: (f64, f64),
    ack: (f64, f64),
}

/// The means of the hops, milliseconds.
pub(crate) struct Means {
    pub(crate) commit_ms: f64,
    pub(crate) hand_ms: f64,
    pub(crate) ack_ms: f64,
}

impl Hops {
    /// What they took on average since an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Means {
        let mean = |now: (f64, f64), then: (f64, f64)| (now.0 - then.0) / (now.1 - then.1).max(1.0) * 1000.0;
        Means {
            commit_ms: mean(self.commit, before.commit),
            hand_ms: mean(self.hand, before.hand),
            ack_ms: mean(self.ack, before.ack),
        }
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
    Ok(value(&get(admin, "/metrics")?, "warren_instances{state=\"online\"}")? as usize)
}

/// The value of a metric; 0 of one that was never counted.
fn value(metrics: &str, name: &str) -> Result<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
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
