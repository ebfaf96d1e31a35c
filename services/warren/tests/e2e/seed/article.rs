//! The article's two ways through the API, run by a program in Python as its readers have it.

use super::{PASSWORD, Program, USERNAME};
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};
use warren_testkit::PATIENCE;

const CLIENT: &str = include_str!("client.py");

/// The client as it runs. Ends with the test.
struct Client {
    child: Child,
    says: Lines<BufReader<ChildStdout>>,
    hears: ChildStdin,
}

impl Client {
    fn start(base: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", CLIENT, base, USERNAME, PASSWORD]).env("PYTHONPATH", installed());
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("python3 cannot be run: {error}"));
        let (says, hears) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        Self { child, says: BufReader::new(says).lines(), hears }
    }

    /// The rest of its next line, which begins so.
    async fn says(&mut self, word: &str) -> String {
        let line = timeout(PATIENCE * 2, self.says.next_line()).await.unwrap().unwrap();
        let line = line.unwrap_or_else(|| panic!("the client ended before it said {word}"));
        line.strip_prefix(word).unwrap_or_else(|| panic!("{word}: {line}")).trim().to_owned()
    }

    async fn tell(&mut self, line: &str) {
        self.hears.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_run_as_written() {
    let program = Program::begin().await;
    let simulator = &program.stage.simulator;
    let person = simulator.person(json!({})).await.unwrap();
    let mut client = Client::start(program.stage.api.base());
    let code = client.says("qr").await;
    let phone = simulator.scan(&code, None).await.unwrap().phone;
    client.tell(&person.phone).await;
    client.says("sent").await;
    assert_eq!(program.texts(&person.phone, &phone, 2).await, ["by instance", "by number"]);
    simulator.write(&person.phone, &phone, "terima kasih", 1).await.unwrap();
    client.tell("written").await;
    assert_eq!(client.says("heard").await, "terima kasih");
    assert!(timeout(PATIENCE, client.child.wait()).await.unwrap().unwrap().success());
}

/// Where the library for WebSockets is; installed from PyPI below `target` if it is not there.
fn installed() -> PathBuf {
    const LIBRARY: &str = "websockets==15.0.1";
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let root = Path::new(&here).ancestors().nth(2).unwrap();
    let folder = root.join("target/websockets");
    let (marker, library) = (folder.join(LIBRARY), folder.join("library"));
    if marker.exists() {
        return library;
    }
    println!("Installing {LIBRARY} from PyPI into {}", folder.display());
    let environment = folder.join("environment");
    let run = |program: &Path, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(
            output.status.success(),
            "python3 with its module venv (Debian's package python3-venv) and PyPI are needed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(Path::new("python3"), &["-m", "venv", environment.to_str().unwrap()]);
    let target = library.to_str().unwrap();
    run(&environment.join("bin/pip"), &["install", "--quiet", "--target", target, "--upgrade", LIBRARY]);
    std::fs::write(marker, "").unwrap();
    library
}
