//! One server process: started, signalled with all its children, started again on the same port and folder.

use super::port::Port;
use crate::eventually::{PATIENCE, eventually};
use crate::process::Process;
use crate::tether;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a server that is dropped may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// What is started, now and after each stop.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    /// The user that it runs as, if not ours.
    pub(super) user: Option<&'static str>,
    /// What ends it at once and cleanly.
    pub(super) end: Signal,
}

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    launch: Launch,
    process: Process,
    port: Port,
    folder: TempDir,
}

/// A folder that another user may go through, but not read.
pub(super) fn folder(name: &str) -> Result<TempDir> {
    let passable = std::fs::Permissions::from_mode(0o711);
    let prefix = format!("warren-{name}-");
    tempfile::Builder::new().prefix(&prefix).permissions(passable).tempdir().context("a folder for a server")
}

impl Server {
    /// Starts it. It may not be ready yet.
    pub(super) async fn start(launch: Launch, port: Port, folder: TempDir) -> Result<Self> {
        let process = run(&launch, &folder)?;
        Ok(Self { launch, process, port, folder })
    }

    /// Waits until `ready` says so.
    pub(super) async fn ready(&mut self, mut ready: impl AsyncFnMut(&Process) -> Result<bool>) -> Result<()> {
        let what = format!("{} to be ready", self.launch.program.display());
        eventually(&what, PATIENCE, async || {
            // Without patience for what has ended: nothing will change that.
            if !self.process.is_running() {
                return Ok(Some(Err(anyhow!("it ended: {}", self.last_lines()))));
            }
            Ok(ready(&self.process).await?.then_some(Ok(())))
        })
        .await?
    }

    /// Starts it again, on the same port and folder.
    pub(super) async fn start_again(&mut self) -> Result<()> {
        self.end()?;
        self.process = run(&self.launch, &self.folder)?;
        Ok(())
    }

    pub(super) const fn port(&self) -> &Port {
        &self.port
    }

    pub(super) fn process_id(&self) -> Option<u32> {
        self.process.id()
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// SIGKILL to it and to all its children; waits until they are gone.
    pub(super) async fn kill(&mut self) -> Result<()> {
        let family = self.family(Signal::STOP);
        for pid in &family {
            let _ = kill_process(*pid, Signal::KILL);
        }
        self.process.kill().await?;
        eventually("its processes to be gone", PATIENCE, async || {
            Ok(family.iter().all(|pid| test_kill_process(*pid).is_err() || is_zombie(*pid)).then_some(()))
        })
        .await
    }

    /// Asks it to end by a signal; waits until it has.
    pub(super) async fn stop(&mut self, signal: Signal) -> Result<()> {
        kill_process(self.id()?, signal).context("sending a signal")?;
        self.process.ended(PATIENCE).await.map(drop)
    }

    /// Stops it and all its children where they are. What is connected stays so and hears nothing.
    pub(super) fn pause(&self) -> Result<()> {
        self.id()?;
        ensure!(!self.family(Signal::STOP).is_empty(), "nothing to pause");
        Ok(())
    }

    /// Lets it go on.
    pub(super) fn resume(&self) -> Result<()> {
        let id = self.id()?;
        for pid in children(id).into_iter().chain([id]) {
            let _ = kill_process(pid, Signal::CONT);
        }
        Ok(())
    }

    /// Ends it, without waiting for long, blocking.
    fn end(&mut self) -> Result<()> {
        if !self.process.is_running() {
            return Ok(());
        }
        self.resume()?;
        kill_process(self.id()?, self.launch.end)?;
        let until = Instant::now() + GRACE;
        while self.process.is_running() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if self.process.is_running() {
            for pid in self.family(Signal::STOP) {
                let _ = kill_process(pid, Signal::KILL);
            }
            while self.process.is_running() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(())
    }

    /// Sends a signal to it and then, when it makes no more of them, to its children; returns them all.
    fn family(&self, signal: Signal) -> Vec<Pid> {
        let Ok(id) = self.id() else { return Vec::new() };
        let _ = kill_process(id, signal);
        let children = children(id);
        for child in &children {
            let _ = kill_process(*child, signal);
        }
        [vec![id], children].concat()
    }

    fn id(&self) -> Result<Pid> {
        let id = self.process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        id.context("the server does not run")
    }

    fn last_lines(&self) -> String {
        let out = self.process.stdout();
        let out = out.iter().skip(out.len().saturating_sub(10)).cloned().collect::<Vec<_>>().join("\n");
        format!("{out}\n{}", self.process.last_lines(10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Before the folder goes: a server that still lives would write into it.
        let _ = self.end();
    }
}

fn run(launch: &Launch, folder: &TempDir) -> Result<Process> {
    let mut command = tether::command(&launch.program, launch.user);
    command.args(&launch.arguments).current_dir(folder.path()).env("LC_ALL", "C");
    tether::start(command)
}

/// The processes whose parent this is.
fn children(parent: Pid) -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: std::fs::DirEntry| {
        let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
        (stat(pid)?.1 == parent.as_raw_nonzero().get()).then_some(pid)
    };
    processes.filter_map(child).collect()
}

fn is_zombie(pid: Pid) -> bool {
    stat(pid).is_none_or(|(state, _)| state == 'Z')
}

/// The state and the parent of a process.
fn stat(pid: Pid) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name stands in brackets and may hold anything, also brackets.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
