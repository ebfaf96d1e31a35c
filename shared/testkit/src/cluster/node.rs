//! One process of a cluster.

use crate::eventually::{PATIENCE, eventually};
use crate::process::{Ended, Process};
use crate::tether;
use crate::warren::{bare, word};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// What a process does in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Decides who owns what.
    Coordinator,
    /// Owns shards.
    Worker,
    /// Answers the API.
    Gateway,
    /// Delivers webhooks.
    Dispatcher,
}

impl Role {
    /// As the command line names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
            Self::Gateway => "gateway",
            Self::Dispatcher => "dispatcher",
        }
    }
}

/// How a process is started, now and after each end.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) binary: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) folder: PathBuf,
}

/// A process of a cluster. Killed when dropped.
#[derive(Debug)]
pub struct Node {
    role: Role,
    name: String,
    launch: Launch,
    process: Option<Process>,
    api: Option<String>,
    admin: String,
}

impl Node {
    pub(super) fn new(role: Role, name: String, launch: Launch) -> Self {
        Self { role, name, launch, process: None, api: None, admin: String::new() }
    }

    /// What it does.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it; does not wait until it answers: [`Node::answering`] does.
    ///
    /// # Errors
    /// It runs already, or the operating system does not start it.
    pub fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "{} runs already", self.name);
        self.process = Some(tether::start(self.command())?);
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = tether::command(&self.launch.binary, None);
        command.args(&self.launch.arguments).current_dir(&self.launch.folder);
        bare(&mut command);
        for (name, value) in &self.launch.environment {
            command.env(name, value);
        }
        command
    }

    /// Waits until it told its addresses.
    ///
    /// # Errors
    /// It ends before, or tells nothing.
    pub async fn answering(&mut self) -> Result<()> {
        let (name, process) = (&self.name, self.process.as_mut().context("it was not started")?);
        let greeting = eventually(&format!("the addresses of {name}"), PATIENCE, async || {
            let lines = process.stdout();
            if lines.iter().any(|line| line.starts_with("Metrics")) {
                return Ok(Some(Ok(lines)));
            }
            if !process.is_running() {
                return Ok(Some(Err(anyhow::anyhow!("{name} ended: {}", process.last_lines(10)))));
            }
            Ok(None)
        })
        .await??;
        self.api = word(&greeting, "API ");
        self.admin = word(&greeting, "Metrics").context("no metrics address")?;
        Ok(())
    }

    /// Starts it again with something else in its environment (an empty value takes it away), and waits until it answers.
    ///
    /// # Errors
    /// It runs still, does not start, or does not answer.
    pub async fn start_again(&mut self, environment: &[(&str, &str)]) -> Result<()> {
        let changes: Vec<_> = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.set_environment(&changes);
        self.start()?;
        self.answering().await
    }

    /// Changes what the next start has in its environment; an empty value takes a name away.
    pub fn set_environment(&mut self, changes: &[(String, String)]) {
        for (name, value) in changes {
            self.launch.environment.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.launch.environment.push((name.clone(), value.clone()));
            }
        }
    }

    /// Changes what the next start has for an argument of this name, such as `--simulator-url`.
    pub fn set_argument(&mut self, name: &str, value: &str) {
        let arguments = &mut self.launch.arguments;
        if let Some(given) = arguments.iter().position(|known| known == name).and_then(|at| arguments.get_mut(at + 1)) {
            value.clone_into(given);
        } else {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM; waits for the end.
    ///
    /// # Errors
    /// It does not run, or does not end in time.
    pub async fn stop(&mut self) -> Result<Ended> {
        let process = self.process.as_mut().context("it was not started")?;
        process.terminate()?;
        process.ended(PATIENCE).await
    }

    /// Waits until it ends by itself, as at a fault point.
    ///
    /// # Errors
    /// It lives on.
    pub async fn died(&mut self, deadline: std::time::Duration) -> Result<Ended> {
        self.process.as_mut().context("it was not started")?.ended(deadline).await
    }

    /// SIGSTOP: its connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.process_id()?;
        let id = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(id, signal).with_context(|| format!("sending a signal to {}", self.name))
    }

    /// Whether it runs (also paused).
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    /// The id of the process.
    ///
    /// # Errors
    /// It does not run.
    pub fn process_id(&self) -> Result<u32> {
        self.process.as_ref().and_then(Process::id).with_context(|| format!("{} does not run", self.name))
    }

    /// Where a gateway answers.
    ///
    /// # Errors
    /// It is none.
    pub fn api_address(&self) -> Result<&str> {
        self.api.as_deref().with_context(|| format!("{} has no API", self.name))
    }

    /// Where its metrics are: the whole URL.
    #[must_use]
    pub fn metrics_address(&self) -> &str {
        &self.admin
    }

    /// What `/metrics` says.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let answer = crate::api::http()?.get(&self.admin).send().await.context("asking for metrics")?;
        if !answer.status().is_success() {
            bail!("{} answered {}", self.name, answer.status());
        }
        answer.text().await.context("reading metrics")
    }

    /// The sum of a metric's samples whose name and labels start so.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metric(&self, start: &str) -> Result<f64> {
        let text = self.metrics().await?;
        let samples = text.lines().filter(|line| {
            line.strip_prefix(start)
                .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{') || start.contains('{'))
        });
        Ok(samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
    }

    /// The end of its log, for a failed test's message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        self.process.as_ref().map(|process| process.last_lines(count)).unwrap_or_default()
    }

    /// What it logged since it was started.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.process.as_ref().map(Process::stderr).unwrap_or_default()
    }

    /// The folder that it was started in.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.launch.folder
    }
}
