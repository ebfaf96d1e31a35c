//! A child process whose output is kept and which never outlives the test.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Lines kept of each output; older ones are dropped.
const LINES: usize = 20_000;

/// A child process. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    out: Output,
    err: Output,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything on standard output, as far as it is kept.
    pub stdout: String,
    /// Everything on standard error, as far as it is kept.
    pub stderr: String,
}

#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: JoinHandle<()>,
}

impl Output {
    fn read(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = lines.clone();
        let reader = tokio::spawn(async move {
            let mut stream = BufReader::new(stream).split(b'\n');
            while let Ok(Some(line)) = stream.next_segment().await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(String::from_utf8_lossy(&line).into_owned());
                if kept.len() > LINES {
                    kept.pop_front();
                }
            }
        });
        Self { lines, reader }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Process {
    /// Starts it, with nothing on standard input.
    ///
    /// # Errors
    /// The operating system does not start it.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {:?}", command.as_std().get_program()))?;
        let out = child.stdout.take().map(Output::read).context("no standard output")?;
        let err = child.stderr.take().map(Output::read).context("no standard error")?;
        Ok(Self { child, out, err })
    }

    /// The process id while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// The lines of standard output so far.
    #[must_use]
    pub fn stdout(&self) -> Vec<String> {
        self.out.lines()
    }

    /// The lines of standard error so far.
    #[must_use]
    pub fn stderr(&self) -> Vec<String> {
        self.err.lines()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed or waited for.
    pub async fn kill(&mut self) -> Result<()> {
        if self.is_running() {
            self.child.kill().await.context("killing the process")?;
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Errors
    /// It does not run any more.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It does not run any more.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let id = self.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).context("the process has ended")?;
        kill_process(id, signal).context("sending a signal")
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// It still runs after `deadline`.
    pub async fn ended(&mut self, deadline: Duration) -> Result<Ended> {
        let Ok(status) = timeout(deadline, self.child.wait()).await else {
            bail!("the process still runs after {deadline:?}; its last lines:\n{}", self.last_lines(20));
        };
        let status = status.context("waiting for the process")?;
        for output in [&mut self.out, &mut self.err] {
            // A grandchild could hold the pipe open; what is there then is enough.
            let _ = timeout(Duration::from_secs(5), &mut output.reader).await;
        }
        Ok(Ended { code: status.code(), stdout: self.stdout().join("\n"), stderr: self.stderr().join("\n") })
    }

    /// The end of its standard error, for a failed test's message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        let lines = self.stderr();
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::PATIENCE;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command).unwrap()
    }

    #[tokio::test]
    async fn keeps_what_it_says_and_how_it_ends() {
        let ended = shell("echo out; echo err >&2; exit 7").ended(PATIENCE).await.unwrap();
        assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(7), "out", "err"));
    }

    #[tokio::test]
    async fn is_killed_and_terminated_by_its_id() {
        let mut killed = shell("exec sleep 600");
        assert!(killed.is_running());
        killed.kill().await.unwrap();
        assert!(!killed.is_running());
        let mut asked = shell("exec sleep 600");
        asked.terminate().unwrap();
        assert_eq!(asked.ended(PATIENCE).await.unwrap().code, None);
    }
}
