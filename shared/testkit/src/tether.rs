//! Processes that end with this one, however it ends.

use crate::process::Process;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::{OnceLock, mpsc};
use tokio::process::Command;
use tokio::runtime::Handle;

/// A command that runs as `user` (`None`: as we do) and is killed when the thread that starts it ends; see [`start`].
pub(crate) fn command(program: &Path, user: Option<&str>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--init-groups"]);
    }
    command.arg("--").arg(program);
    command
}

struct Job {
    command: Command,
    runtime: Handle,
    started: mpsc::SyncSender<Result<Process>>,
}

/// Starts a command from a thread that lives as long as this process: the system tells a child that its parent died when the
/// *thread* that made it ends, and threads of a runtime come and go. Waits for no more than the start itself.
///
/// # Errors
/// The operating system does not start it.
pub(crate) fn start(command: Command) -> Result<Process> {
    static STARTER: OnceLock<mpsc::Sender<Job>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (jobs, taken) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for Job { command, runtime, started } in taken {
                let _context = runtime.enter();
                let _ = started.send(Process::start(command));
            }
        });
        jobs
    });
    let (started, process) = mpsc::sync_channel(1);
    if starter.send(Job { command, runtime: Handle::current(), started }).is_err() {
        bail!("the thread that starts processes has ended");
    }
    process.recv().context("the thread that starts processes has ended")?
}
