//! `swarm cluster`, as people type it: it says who is where, and leaves nothing behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use anyhow::ensure;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use warren_testkit::{Api, Ended, PATIENCE, Process, eventually};

/// The processes of the smallest cluster.
const NODES: [&str; 4] = ["coordinator-1", "worker-1", "gateway-1", "dispatcher-1"];

/// The binary that makes up the cluster, beside the one under test; built if only this package was.
fn warren() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_swarm")).with_file_name("warren");
    if !binary.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut build = std::process::Command::new(cargo);
        build.args(["build", "--package", "warren", "--features", "warren/fault-injection"]);
        assert!(build.status().unwrap().success() && binary.exists(), "there is no {}", binary.display());
    }
    binary
}

/// Where all that it makes lies. The user of Postgres goes through it.
fn folder() -> TempDir {
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o711)).tempdir().unwrap()
}

/// Starts the smallest cluster from the folder of the binary, which is named as it is seen from there.
fn start(folder: &Path) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swarm"));
    command.args(["cluster", "--binary", "./warren", "--coordinators", "1", "--workers", "1", "--gateways", "1"]);
    command.current_dir(warren().parent().unwrap()).env("TMPDIR", folder);
    Process::start(command).unwrap()
}

/// What stands behind a word at the beginning of a line.
fn told<'a>(said: &'a [String], word: &str) -> &'a str {
    let line = said.iter().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("nothing is told of {word}: {said:#?}")).trim()
}

/// A process, known by its number and the moment of its start: numbers come again.
#[derive(Debug)]
struct Descendant {
    id: u32,
    started: String,
}

impl Descendant {
    fn lives(&self) -> bool {
        stat(self.id).is_some_and(|(state, _, started)| state != "Z" && started == self.started)
    }
}

/// State, parent and start of a process.
fn stat(id: u32) -> Option<(String, u32, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name stands in brackets and may hold anything, also brackets.
    let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
    Some(((*fields.first()?).to_owned(), fields.get(1)?.parse().ok()?, (*fields.get(19)?).to_owned()))
}

/// All processes that a process has started, and those that they have.
fn descendants(of: u32) -> Vec<Descendant> {
    let ids = std::fs::read_dir("/proc").unwrap().flatten();
    let ids: Vec<u32> = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let known: Vec<_> = ids.into_iter().filter_map(|id| Some((id, stat(id)?))).collect();
    let (mut family, mut found) = (vec![of], Vec::new());
    while let Some(parent) = family.pop() {
        for (id, (_, _, started)) in known.iter().filter(|(_, (_, of, _))| *of == parent) {
            family.push(*id);
            found.push(Descendant { id: *id, started: started.clone() });
        }
    }
    found
}

/// It ended well, and neither processes nor folders of it are left.
async fn assert_gone(ended: &Ended, descendants: &[Descendant], folder: &Path) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    eventually("its processes to be gone", PATIENCE, async || {
        let left: Vec<_> = descendants.iter().filter(|process| process.lives()).collect();
        ensure!(left.is_empty(), "{left:?} are left");
        Ok(Some(()))
    })
    .await
    .unwrap();
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What it says is true: servers take connections, the key opens the API, each process is one of its own.
async fn assert_true(said: &[String], descendants: &[Descendant]) {
    for server in ["Postgres", "Redis", "NATS", "Simulator"] {
        let url = told(said, server);
        let (_, place) = url.split_once("://").unwrap();
        let place = place.rsplit('@').next().and_then(|place| place.split('/').next()).unwrap();
        TcpStream::connect(place).await.unwrap_or_else(|error| panic!("{server} at {place}: {error}"));
    }
    let gateway = told(said, "gateway-1").split(' ').next().unwrap();
    let answer = Api::new(gateway, told(said, "API key")).unwrap().get("/v1/instances").await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text);
    for node in NODES.iter().filter(|node| **node != "gateway-1") {
        let place = told(said, node);
        let id = place.strip_prefix("process ").and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(descendants.iter().any(|process| process.id.to_string() == id), "{node}: {place}");
    }
}

/// The line that it shows for the cluster's own view of itself, as a shell takes it.
async fn status(said: &[String]) -> String {
    let line = said.iter().find(|line| line.ends_with("warren cluster status")).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]).env("PATH", warren().parent().unwrap());
    let ended = Process::start(shell).unwrap().ended(PATIENCE).await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_who_is_where_until_it_is_interrupted() {
    let folder = folder();
    let mut swarm = start(folder.path());
    let said = eventually("it says who is where", PATIENCE, async || {
        assert!(swarm.is_running(), "it ended: {}", swarm.last_lines(20));
        let said = swarm.stdout();
        Ok(said.iter().any(|line| line.starts_with("Ctrl-C")).then_some(said))
    });
    let said = said.await.unwrap();
    let id = swarm.id().unwrap();
    let descendants = descendants(id);
    assert_true(&said, &descendants).await;
    let shown = status(&said).await;
    assert!(shown.contains("coordinator 1 leads") && shown.contains("worker-1"), "{shown}");

    let interrupt = std::process::Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap();
    assert!(interrupt.success());
    let ended = swarm.ended(PATIENCE).await.unwrap();
    for node in NODES {
        assert!(ended.stderr.contains(&format!("{node} ended with Some(0)")), "{}", ended.stderr);
    }
    assert_gone(&ended, &descendants, folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_leaves_nothing_behind_when_it_is_stopped_at_its_start() {
    let folder = folder();
    let mut swarm = start(folder.path());
    let begun = eventually("its processes have folders", PATIENCE, async || {
        assert!(swarm.is_running(), "it ended: {}", swarm.last_lines(20));
        let mut names = std::fs::read_dir(folder.path())?.flatten().map(|entry| entry.file_name());
        Ok(names.any(|name| name.to_string_lossy().starts_with("warren-cluster-")).then_some(()))
    });
    begun.await.unwrap();
    let descendants = descendants(swarm.id().unwrap());
    assert!(!descendants.is_empty());
    swarm.terminate().unwrap();
    assert_gone(&swarm.ended(PATIENCE).await.unwrap(), &descendants, folder.path()).await;
}
