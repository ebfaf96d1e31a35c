//! A Warren process, and how to speak to it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Waits until `look` gives something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        std::thread::sleep(LOOK);
    }
}

/// A command line of `warren` over its own folder, with free ports and nothing of the caller's environment.
pub(crate) fn warren(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
    command.args(arguments).current_dir(folder).env_clear();
    for name in ["WARREN_LISTEN", "WARREN_ADMIN_LISTEN", "WARREN_SIMULATOR_LISTEN"] {
        command.env(name, "127.0.0.1:0");
    }
    command.env("WARREN_DATA_DIR", folder.join("data"));
    command
}

/// Runs a command to its end.
pub(crate) fn ended(mut command: Command) -> Output {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        std::thread::sleep(LOOK);
    }
    child.wait_with_output().unwrap()
}

/// The exit code and the only line on standard error.
pub(crate) fn refused(command: Command) -> (i32, String) {
    let output = ended(command);
    let line = text(&output.stderr);
    assert_eq!(line.trim_end().lines().filter(|line| line.starts_with("warren:")).count(), 1, "{line}");
    let last = line.trim_end().lines().last().unwrap().to_owned();
    (output.status.code().unwrap(), last)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running process; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    errors: PathBuf,
}

impl Running {
    /// Starts it; its standard error goes to a file beside its data folder.
    pub(crate) fn start(mut command: Command, folder: &Path) -> Self {
        let errors = folder.join("stderr");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&errors).unwrap();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, said: Vec::new(), errors }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn ready(command: Command, folder: &Path) -> Self {
        let mut running = Self::start(command, folder);
        let admin = running.address("Metrics");
        until("it is ready", || (get(&admin, "/readyz", None).0 == 200).then_some(()));
        running
    }

    /// What stands behind a word on standard output.
    pub(crate) fn value(&mut self, word: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(line) = self.said.iter().find(|line| line.starts_with(word)) {
                return line[word.len()..].split_whitespace().next().unwrap().to_owned();
            }
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.said.push(line),
                Err(_) => panic!("it did not say {word:?}: {:?}\n{}", self.said, self.errors()),
            }
        }
    }

    /// `host:port` of an address on standard output.
    pub(crate) fn address(&mut self, word: &str) -> String {
        self.value(word).trim_start_matches("http://").trim_end_matches("/metrics").to_owned()
    }

    /// Everything it said on standard output until now.
    pub(crate) fn said(&mut self) -> String {
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(200)) {
            self.said.push(line);
        }
        self.said.join("\n")
    }

    pub(crate) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; its exit code.
    pub(crate) fn code(mut self) -> Option<i32> {
        until("it has ended", || self.child.try_wait().unwrap()).code()
    }

    /// Stops it softly.
    pub(crate) fn stop(self) {
        self.signal("TERM");
        let errors = self.errors.clone();
        assert_eq!(self.code(), Some(0), "{}", std::fs::read_to_string(errors).unwrap_or_default());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// GET with a key.
pub(crate) fn get(address: &str, path: &str, key: Option<&str>) -> (u16, Value) {
    ask(address, "GET", path, key, "")
}

/// POST of a JSON body with a key.
pub(crate) fn post(address: &str, path: &str, key: Option<&str>, body: &str) -> (u16, Value) {
    ask(address, "POST", path, key, body)
}

/// One request; status 0 if nobody answers.
fn ask(address: &str, method: &str, path: &str, key: Option<&str>, body: &str) -> (u16, Value) {
    let authorization = key.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {authorization}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(text(&answer))
    });
    let Ok(answer) = answer else { return (0, Value::Null) };
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}
