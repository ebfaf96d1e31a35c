//! `warren standalone` as a process that can be killed and started again on the same folder.

use crate::api::Api;
use crate::eventually::{PATIENCE, eventually};
use crate::process::{Ended, Process};
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::Command;

/// Names that would leak from the environment of the test into the process.
const FOREIGN: &[&str] = &["PORT", "RUST_LOG", "DATABASE_URL", "REDIS_URL", "NATS_URL"];

/// What Warren is connected to.
#[derive(Debug, Clone)]
pub enum Network {
    /// The real WhatsApp, which tests never reach.
    Whatsapp,
    /// A simulator at this URL.
    Simulator(String),
    /// A simulator in the same process.
    InProcess,
}

/// How to start it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The binary.
    pub binary: PathBuf,
    /// What it is connected to.
    pub network: Network,
    /// The data folder; a fresh one without it.
    pub folder: Option<Arc<TempDir>>,
    /// Further environment, such as `WARREN_FAULT_POINT`.
    pub environment: Vec<(String, String)>,
}

impl Options {
    /// Over a fresh folder.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, network: Network) -> Self {
        Self { binary: binary.into(), network, folder: None, environment: Vec::new() }
    }

    /// Over this folder.
    #[must_use]
    pub fn folder(mut self, folder: Arc<TempDir>) -> Self {
        self.folder = Some(folder);
        self
    }

    /// With this in the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Dying at a fault point (`name`, or `name:3` for the third time).
    #[must_use]
    pub fn fault(self, point: &str) -> Self {
        self.env("WARREN_FAULT_POINT", point)
    }

    /// With a protection switched off.
    #[must_use]
    pub fn mutation(self, name: &str) -> Self {
        self.env("WARREN_MUTATION", name)
    }
}

/// The keys that the first start printed.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// For tenants and their keys.
    pub admin: String,
    /// Of the default tenant.
    pub tenant: String,
}

/// A running Warren.
#[derive(Debug)]
pub struct Warren {
    process: Process,
    options: Options,
    folder: Arc<TempDir>,
    keys: Keys,
    addresses: Addresses,
    first_answer: Duration,
}

#[derive(Debug, Default)]
struct Addresses {
    api: String,
    metrics: String,
    simulator: Option<String>,
}

impl Warren {
    /// Starts it on free ports and waits until it answers.
    ///
    /// # Errors
    /// It does not start, or does not answer.
    pub async fn start(options: Options) -> Result<Self> {
        let folder = folder_of(&options)?;
        Self::start_with(options, folder).await
    }

    async fn start_with(options: Options, folder: Arc<TempDir>) -> Result<Self> {
        let process = Process::start(command(&options, folder.path()))?;
        let (keys, addresses) = (Keys::default(), Addresses::default());
        let mut warren = Self { process, options, folder, keys, addresses, first_answer: Duration::ZERO };
        warren.answering().await?;
        Ok(warren)
    }

    /// Waits until it answers.
    async fn answering(&mut self) -> Result<()> {
        let started = Instant::now();
        let process = &mut self.process;
        let greeting = eventually("the addresses", PATIENCE, async || {
            let lines = process.stdout();
            if lines.iter().any(|line| line.starts_with("Metrics")) {
                return Ok(Some(lines));
            }
            ensure!(process.is_running(), "it ended: {}", process.last_lines(10));
            Ok(None)
        })
        .await?;
        self.addresses.api = word(&greeting, "API ").context("no API address")?;
        self.addresses.metrics = word(&greeting, "Metrics").context("no metrics address")?;
        let client = Api::new(&self.addresses.api, "")?;
        let process = &mut self.process;
        eventually("the first answer", PATIENCE, async || {
            let answer = client.request(Method::GET, "/healthz", None, &[]).await;
            ensure!(process.is_running(), "it ended: {}", process.last_lines(10));
            Ok(answer?.status.is_success().then_some(()))
        })
        .await?;
        self.first_answer = started.elapsed();
        self.read_greeting();
        Ok(())
    }

    /// What is printed only sometimes: by now, the whole greeting is there.
    fn read_greeting(&mut self) {
        let lines = self.process.stdout();
        self.addresses.simulator = word(&lines, "Simulator");
        let second = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
        let find = |start: &str| lines.iter().find(|line| line.starts_with(start)).and_then(|line| second(line));
        if let (Some(tenant), Some(admin)) = (find("API key"), find("Admin key")) {
            self.keys = Keys { admin, tenant };
        }
    }

    /// Starts it expecting that it refuses, and returns how it ended.
    ///
    /// # Errors
    /// It goes on running.
    pub async fn refused(options: &Options) -> Result<Ended> {
        let folder = folder_of(options)?;
        Process::start(command(options, folder.path()))?.ended(PATIENCE).await
    }

    /// Kills it (SIGKILL) if it runs, and starts it again on the same folder with changed options.
    ///
    /// # Errors
    /// It does not start, or does not answer. A process that reached its fault point is an error here too:
    /// [`Warren::died`] tells.
    pub async fn restart_with(&mut self, change: impl FnOnce(Options) -> Options) -> Result<()> {
        self.kill().await?;
        self.options = change(self.options.clone());
        self.process = Process::start(command(&self.options, self.folder.path()))?;
        self.answering().await
    }

    /// The same, without fault point and mutation.
    ///
    /// # Errors
    /// It does not start, or does not answer.
    pub async fn restart(&mut self) -> Result<()> {
        self.restart_with(|mut options| {
            options.environment.retain(|(name, _)| name != "WARREN_FAULT_POINT" && name != "WARREN_MUTATION");
            options
        })
        .await
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits until it dies by itself, as at a fault point.
    ///
    /// # Errors
    /// It lives on.
    pub async fn died(&mut self, deadline: Duration) -> Result<Ended> {
        self.process.ended(deadline).await
    }

    /// SIGTERM; waits for the end.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&mut self) -> Result<Ended> {
        self.process.terminate()?;
        self.process.ended(PATIENCE).await
    }

    /// A client with the default tenant's key.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn api(&self) -> Result<Api> {
        Api::new(&self.addresses.api, &self.keys.tenant)
    }

    /// A client with the admin key.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn admin(&self) -> Result<Api> {
        Api::new(&self.addresses.api, &self.keys.admin)
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let base = self.addresses.metrics.trim_end_matches("/metrics");
        Ok(Api::new(base, "")?.get("/metrics").await?.text)
    }

    /// The simulator in the same process.
    #[must_use]
    pub fn simulator(&self) -> Option<&str> {
        self.addresses.simulator.as_deref()
    }

    /// From the start of the process to its first answer.
    #[must_use]
    pub const fn first_answer(&self) -> Duration {
        self.first_answer
    }

    /// Memory that the process holds for itself, bytes.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory(&self) -> Result<u64> {
        memory_of(self.process_id()?)
    }

    /// The id of the process.
    ///
    /// # Errors
    /// It does not run.
    pub fn process_id(&self) -> Result<u32> {
        self.process.id().context("the process has ended")
    }

    /// The data folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data folder, to keep.
    #[must_use]
    pub fn keep_folder(&self) -> Arc<TempDir> {
        self.folder.clone()
    }

    /// How it was started.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The end of its log, for a failed test's message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        self.process.last_lines(count)
    }

    /// What it logged since it was started.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.process.stderr()
    }
}

/// Memory that a process holds for itself (`RssAnon`), bytes.
///
/// # Errors
/// It does not run.
pub fn memory_of(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

fn folder_of(options: &Options) -> Result<Arc<TempDir>> {
    match &options.folder {
        Some(folder) => Ok(folder.clone()),
        None => Ok(Arc::new(tempfile::tempdir().context("a data folder")?)),
    }
}

fn command(options: &Options, folder: &Path) -> Command {
    let mut command = Command::new(&options.binary);
    command.arg("standalone").arg("--data-dir").arg(folder.join("data")).current_dir(folder);
    match &options.network {
        Network::Whatsapp => {}
        Network::Simulator(url) => drop(command.args(["--simulator-url", url])),
        Network::InProcess => drop(command.arg("--simulator")),
    }
    bare(&mut command);
    // As a benchmark would: tests do not wait for the pace that suits WhatsApp.
    command.env("WARREN_LISTEN", "127.0.0.1:0").env("WARREN_ADMIN_LISTEN", "127.0.0.1:0");
    command.env("WARREN_SIMULATOR_LISTEN", "127.0.0.1:0").env("WARREN_WORKER__RECONNECT_JITTER_MS", "100");
    for (name, value) in &options.environment {
        command.env(name, value);
    }
    command
}

/// Takes away what the environment of the test would tell the process.
pub(crate) fn bare(command: &mut Command) {
    for (name, _) in std::env::vars() {
        if name.starts_with("WARREN_") {
            command.env_remove(name);
        }
    }
    for name in FOREIGN {
        command.env_remove(name);
    }
    if let Ok(filter) = std::env::var("TESTKIT_LOG") {
        command.env("RUST_LOG", filter);
    }
}

/// The second word of the line that starts so.
pub(crate) fn word(lines: &[String], start: &str) -> Option<String> {
    let line = lines.iter().find(|line| line.starts_with(start))?;
    line.split_whitespace().nth(1).map(str::to_owned)
}
