//! A Warren under test: `warren standalone`, or a small cluster, as processes that can be killed and started again over what
//! they kept. Tests that hold for both are the same tests.

mod backend;
mod clustered;
mod standalone;

pub use backend::{BACKEND, Backend};

use crate::api::Api;
use crate::cluster::Cluster;
use crate::process::Ended;
use anyhow::{Context, Result, bail};
use clustered::Clustered;
use standalone::Standalone;
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
    /// The data folder of one process; a fresh one without it.
    pub folder: Option<Arc<TempDir>>,
    /// Further environment, such as `WARREN_FAULT_POINT`.
    pub environment: Vec<(String, String)>,
    /// One process, or a cluster.
    pub backend: Backend,
}

impl Options {
    /// Over a fresh folder, as one process.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, network: Network) -> Self {
        Self { binary: binary.into(), network, folder: None, environment: Vec::new(), backend: Backend::Standalone }
    }

    /// As one process, or as a cluster.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
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
    body: Body,
    options: Options,
    keys: Keys,
    first_answer: Duration,
}

#[derive(Debug)]
enum Body {
    Standalone(Box<Standalone>),
    Cluster(Box<Clustered>),
}

impl Warren {
    /// Starts it on free ports and waits until it answers.
    ///
    /// # Errors
    /// It does not start, or does not answer.
    pub async fn start(options: Options) -> Result<Self> {
        let started = Instant::now();
        let (body, keys) = match options.backend {
            Backend::Standalone => {
                let standalone = Standalone::start(&options).await?;
                let keys = standalone.keys().unwrap_or_default();
                (Body::Standalone(Box::new(standalone)), keys)
            }
            Backend::Cluster => {
                let clustered = Clustered::start(&options).await?;
                let keys = clustered.cluster.keys().clone();
                (Body::Cluster(Box::new(clustered)), keys)
            }
        };
        Ok(Self { body, options, keys, first_answer: started.elapsed() })
    }

    /// Starts it expecting that it refuses, and returns how it ended. One process only.
    ///
    /// # Errors
    /// It goes on running.
    pub async fn refused(options: &Options) -> Result<Ended> {
        Standalone::refused(options).await
    }

    /// Kills it (SIGKILL) if it runs, and starts it again over what it kept, with changed options.
    ///
    /// # Errors
    /// It does not start, or does not answer. A process that reached its fault point is an error here too:
    /// [`Warren::died`] tells.
    pub async fn restart_with(&mut self, change: impl FnOnce(Options) -> Options) -> Result<()> {
        self.kill().await?;
        self.options = change(self.options.clone());
        let started = Instant::now();
        match &mut self.body {
            Body::Standalone(standalone) => {
                standalone.start_again(&self.options).await?;
                // Only a first start has any.
                self.keys = standalone.keys().unwrap_or_else(|| self.keys.clone());
            }
            Body::Cluster(clustered) => clustered.start_again(&self.options).await?,
        }
        self.first_answer = started.elapsed();
        Ok(())
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

    /// SIGKILL, to all that is not a coordinator.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.body {
            Body::Standalone(standalone) => standalone.process.kill().await,
            Body::Cluster(clustered) => clustered.kill().await,
        }
    }

    /// Whether it runs: of a cluster, its worker.
    pub fn is_running(&mut self) -> bool {
        match &mut self.body {
            Body::Standalone(standalone) => standalone.process.is_running(),
            Body::Cluster(clustered) => clustered.worker_mut().is_ok_and(crate::cluster::Node::is_running),
        }
    }

    /// Waits until it dies by itself, as at a fault point: of a cluster, its worker.
    ///
    /// # Errors
    /// It lives on.
    pub async fn died(&mut self, deadline: Duration) -> Result<Ended> {
        match &mut self.body {
            Body::Standalone(standalone) => standalone.process.ended(deadline).await,
            Body::Cluster(clustered) => clustered.worker_mut()?.died(deadline).await,
        }
    }

    /// SIGTERM; waits for the end. Of a cluster, to all at once: the first that ends badly is told, with what all said.
    ///
    /// # Errors
    /// It does not end in time.
    pub async fn stop(&mut self) -> Result<Ended> {
        match &mut self.body {
            Body::Standalone(standalone) => standalone.stop().await,
            Body::Cluster(clustered) => clustered.stop().await,
        }
    }

    /// A client with the default tenant's key.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn api(&self) -> Result<Api> {
        self.client(&self.keys.tenant)
    }

    /// A client with the admin key.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn admin(&self) -> Result<Api> {
        self.client(&self.keys.admin)
    }

    fn client(&self, key: &str) -> Result<Api> {
        match &self.body {
            Body::Standalone(standalone) => Api::new(&standalone.addresses.api, key),
            Body::Cluster(clustered) => {
                Api::new(clustered.cluster.gateways.first().context("no gateway")?.api_address()?, key)
            }
        }
    }

    /// What `/metrics` says; of a cluster, of all its processes.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        match &self.body {
            Body::Standalone(standalone) => standalone.metrics().await,
            Body::Cluster(clustered) => clustered.metrics().await,
        }
    }

    /// The simulator in the same process.
    #[must_use]
    pub fn simulator(&self) -> Option<&str> {
        match &self.body {
            Body::Standalone(standalone) => standalone.addresses.simulator.as_deref(),
            Body::Cluster(_) => None,
        }
    }

    /// From the start of the process to its first answer.
    #[must_use]
    pub const fn first_answer(&self) -> Duration {
        self.first_answer
    }

    /// Memory that it holds for itself, bytes; of a cluster, its worker and its gateway.
    ///
    /// # Errors
    /// It does not run.
    pub fn memory(&self) -> Result<u64> {
        self.process_ids()?.into_iter().map(memory_of).sum()
    }

    /// The ids of the processes that files and messages go through: the one, or a cluster's worker and gateway.
    ///
    /// # Errors
    /// It does not run.
    pub fn process_ids(&self) -> Result<Vec<u32>> {
        match &self.body {
            Body::Standalone(standalone) => Ok(vec![standalone.process.id().context("the process has ended")?]),
            Body::Cluster(clustered) => clustered.process_ids(),
        }
    }

    /// The folder that holds its files of messages.
    #[must_use]
    pub fn media_folder(&self) -> PathBuf {
        match &self.body {
            Body::Standalone(standalone) => standalone.folder.path().join("data/media"),
            Body::Cluster(clustered) => clustered.cluster.folder().join("media"),
        }
    }

    /// The data folder of one process, or the folder of all of a cluster's.
    #[must_use]
    pub fn folder(&self) -> &Path {
        match &self.body {
            Body::Standalone(standalone) => standalone.folder.path(),
            Body::Cluster(clustered) => clustered.cluster.folder(),
        }
    }

    /// The data folder of one process, to keep.
    ///
    /// # Errors
    /// It is a cluster.
    pub fn keep_folder(&self) -> Result<Arc<TempDir>> {
        match &self.body {
            Body::Standalone(standalone) => Ok(standalone.folder.clone()),
            Body::Cluster(_) => bail!("a cluster has no data folder of its own"),
        }
    }

    /// The cluster, if it is one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        match &self.body {
            Body::Standalone(_) => None,
            Body::Cluster(clustered) => Some(&clustered.cluster),
        }
    }

    /// The keys of the default tenant and of the operator.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// How it was started.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// The end of its log, for a failed test's message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        match &self.body {
            Body::Standalone(standalone) => standalone.process.last_lines(count),
            Body::Cluster(clustered) => clustered.cluster.last_lines(count),
        }
    }

    /// What it logged since it was started.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        match &self.body {
            Body::Standalone(standalone) => standalone.process.stderr(),
            Body::Cluster(clustered) => clustered.log(),
        }
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
