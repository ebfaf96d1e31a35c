//! `warren standalone`: one process over one folder.

use super::{Keys, Network, Options, bare, word};
use crate::api::Api;
use crate::eventually::{PATIENCE, eventually};
use crate::process::{Ended, Process};
use crate::tether;
use anyhow::{Context, Result, ensure};
use reqwest::Method;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::process::Command;

#[derive(Debug)]
pub(super) struct Standalone {
    pub(super) process: Process,
    pub(super) folder: Arc<TempDir>,
    pub(super) addresses: Addresses,
}

#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) api: String,
    metrics: String,
    pub(super) simulator: Option<String>,
}

impl Standalone {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        let folder = folder_of(options)?;
        let process = tether::start(command(options, folder.path()))?;
        let mut standalone = Self { process, folder, addresses: Addresses::default() };
        standalone.answering().await?;
        Ok(standalone)
    }

    pub(super) async fn start_again(&mut self, options: &Options) -> Result<()> {
        self.process = tether::start(command(options, self.folder.path()))?;
        self.answering().await
    }

    pub(super) async fn refused(options: &Options) -> Result<Ended> {
        let folder = folder_of(options)?;
        tether::start(command(options, folder.path()))?.ended(PATIENCE).await
    }

    /// Waits until it answers.
    async fn answering(&mut self) -> Result<()> {
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
        // By now, the whole greeting is there.
        self.addresses.simulator = word(&self.process.stdout(), "Simulator");
        Ok(())
    }

    /// The keys that this start made, if it was a first one.
    pub(super) fn keys(&self) -> Option<Keys> {
        let lines = self.process.stdout();
        let third = |line: &String| line.split_whitespace().nth(2).map(str::to_owned);
        let find = |start: &str| lines.iter().find(|line| line.starts_with(start)).and_then(third);
        Some(Keys { tenant: find("API key")?, admin: find("Admin key")? })
    }

    pub(super) async fn stop(&mut self) -> Result<Ended> {
        self.process.terminate()?;
        self.process.ended(PATIENCE).await
    }

    pub(super) async fn metrics(&self) -> Result<String> {
        let base = self.addresses.metrics.trim_end_matches("/metrics");
        Ok(Api::new(base, "")?.get("/metrics").await?.text)
    }
}

fn folder_of(options: &Options) -> Result<Arc<TempDir>> {
    match &options.folder {
        Some(folder) => Ok(folder.clone()),
        None => Ok(Arc::new(tempfile::tempdir().context("a data folder")?)),
    }
}

fn command(options: &Options, folder: &Path) -> Command {
    let mut command = tether::command(&options.binary, None);
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
