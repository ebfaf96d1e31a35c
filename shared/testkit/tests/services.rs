//! Servers for tests: they start, die, pause and come back, and never outlive the test.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use warren_testkit::services::{Nats, Postgres, Redis, Stop};
use warren_testkit::{PATIENCE, Process, eventually};

#[tokio::test]
async fn postgres_keeps_what_was_committed_through_every_end() {
    let mut postgres = Postgres::start().await.unwrap();
    postgres.execute(&["CREATE TABLE kept (how text)"]).await.unwrap();
    postgres.execute(&["INSERT INTO kept VALUES ('killed')"]).await.unwrap();
    postgres.kill().await.unwrap();
    assert!(!postgres.is_running());
    assert!(postgres.execute(&["SELECT 1"]).await.is_err());
    postgres.restart().await.unwrap();
    for how in [Stop::Fast, Stop::Immediate, Stop::Smart] {
        postgres.execute(&[&format!("INSERT INTO kept VALUES ('{how:?}')")]).await.unwrap();
        postgres.stop(how).await.unwrap();
        postgres.restart().await.unwrap();
    }
    assert_eq!(postgres.execute(&["SELECT how FROM kept"]).await.unwrap(), "killed\nFast\nImmediate\nSmart");
}

#[tokio::test]
async fn a_paused_postgres_answers_when_it_goes_on() {
    let postgres = Postgres::start().await.unwrap();
    postgres.pause().unwrap();
    let mut asked = tokio::spawn({
        let url = postgres.url();
        async move { Process::start(select(&url)).unwrap().ended(PATIENCE).await }
    });
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asked).await.is_err(), "it answered while it was paused");
    postgres.resume().unwrap();
    assert_eq!(asked.await.unwrap().unwrap().stdout, "1");
}

fn select(url: &str) -> tokio::process::Command {
    let mut command = tokio::process::Command::new("psql");
    command.args(["-XqAt", "-d", url, "-c", "SELECT 1"]);
    command
}

#[tokio::test]
async fn databases_are_fresh_and_their_own() {
    let (one, other) = tokio::try_join!(Postgres::database(), Postgres::database()).unwrap();
    one.execute(&["CREATE TABLE mine (number integer)"]).await.unwrap();
    assert!(other.execute(&["SELECT * FROM mine"]).await.is_err());
    let wrong = one.url().replace(one.name(), "elsewhere");
    assert!(!Process::start(select(&wrong)).unwrap().ended(PATIENCE).await.unwrap().stderr.is_empty());
}

#[tokio::test]
async fn a_role_needs_its_password() {
    let database = Postgres::database().await.unwrap();
    let role = format!("role_{}", database.name());
    database.execute(&[&format!("CREATE ROLE {role} LOGIN PASSWORD 'right'")]).await.unwrap();
    let place = database.url().split_once('@').unwrap().1;
    let tried = async |password: &str| {
        let url = format!("postgres://{role}:{password}@{place}");
        Process::start(select(&url)).unwrap().ended(PATIENCE).await.unwrap().code
    };
    assert_eq!((tried("right").await, tried("wrong").await), (Some(0), Some(2)));
    database.execute(&[&format!("DROP ROLE {role}")]).await.unwrap();
}

#[tokio::test]
async fn redis_forgets_when_it_is_flushed_or_restarted() {
    let mut redis = Redis::start().await.unwrap();
    let said = async |redis: &Redis, command: &str| {
        let url = redis.url();
        let password = url.trim_start_matches("redis://:").split_once('@').unwrap().0;
        let mut stream = TcpStream::connect(redis.address()).await.unwrap();
        stream.write_all(format!("AUTH {password}\r\n{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.lines().nth(1).unwrap().to_owned()
    };
    for forget in ["flush", "kill", "stop"] {
        assert_eq!(said(&redis, "SET key value").await, "+OK");
        assert_eq!(said(&redis, "EXISTS key").await, ":1");
        match forget {
            "flush" => redis.flush_all().await.unwrap(),
            "kill" => redis.kill().await.unwrap(),
            _ => redis.stop().await.unwrap(),
        }
        if forget != "flush" {
            assert!(TcpStream::connect(redis.address()).await.is_err());
            redis.restart().await.unwrap();
        }
        assert_eq!(said(&redis, "EXISTS key").await, ":0");
    }
    let mut stream = TcpStream::connect(redis.address()).await.unwrap();
    stream.write_all(b"PING\r\n").await.unwrap();
    let line = BufReader::new(stream).lines().next_line().await.unwrap().unwrap();
    assert!(line.contains("NOAUTH"), "{line}");
}

#[tokio::test]
async fn nats_comes_back_on_its_port() {
    let mut nats = Nats::start().await.unwrap();
    let before = nats.url();
    nats.pause().unwrap();
    nats.resume().unwrap();
    nats.kill().await.unwrap();
    assert!(TcpStream::connect(nats.address()).await.is_err());
    nats.restart().await.unwrap();
    nats.stop().await.unwrap();
    nats.restart().await.unwrap();
    assert_eq!(nats.url(), before);
    assert!(TcpStream::connect(nats.address()).await.is_ok());
}

#[tokio::test]
async fn nothing_is_left_in_the_folder_of_the_tests() {
    let folder = passable_folder();
    let code = child("starts_servers_and_ends", &[("TMPDIR", folder.path())]).ended(PATIENCE).await.unwrap().code;
    assert_eq!(code, Some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn servers_end_with_a_test_that_is_killed() {
    let folder = passable_folder();
    let mut test = child("starts_servers_and_hangs", &[("TMPDIR", folder.path())]);
    let servers = eventually("the test to run its servers", PATIENCE, async || {
        let found = processes_in(folder.path());
        // The servers themselves, and one of the processes that Postgres makes.
        let named = |name: &str| found.iter().any(|(_, line)| line.contains(name));
        let all = ["postgres", "checkpointer", "redis-server", "nats-server"].into_iter().all(named);
        Ok((all && test.stdout().iter().any(|line| line.contains("running"))).then_some(found))
    });
    assert!(servers.await.unwrap().len() >= 4);
    test.kill().await.unwrap();
    eventually("the servers to end", PATIENCE, async || Ok(processes_in(folder.path()).is_empty().then_some(())))
        .await
        .unwrap();
    remove_shared_memory(folder.path());
}

/// Of a Postgres that was killed: 56 bytes, which else stay until the machine is started again.
fn remove_shared_memory(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let Ok(lock) = std::fs::read_to_string(entry.path().join("data/postmaster.pid")) else { continue };
        let memory = lock.lines().nth(6).unwrap().split_whitespace().last().unwrap();
        assert!(std::process::Command::new("ipcrm").args(["-m", memory]).status().unwrap().success());
    }
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn starts_servers_and_ends() {
    let mut all = tokio::try_join!(Postgres::start(), Redis::start(), Nats::start()).unwrap();
    all.0.kill().await.unwrap();
    let paused = Postgres::start().await.unwrap();
    paused.pause().unwrap();
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own, and kills it"]
async fn starts_servers_and_hangs() {
    let all = tokio::try_join!(Postgres::start(), Redis::start(), Nats::start()).unwrap();
    println!("running");
    std::future::pending::<()>().await;
    drop(all);
}

fn child(test: &str, environment: &[(&str, &Path)]) -> Process {
    let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--ignored", "--nocapture"]);
    for (name, value) in environment {
        command.env(name, value);
    }
    Process::start(command).unwrap()
}

/// A folder that the user of Postgres can go through.
fn passable_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o711)).tempdir().unwrap()
}

/// The processes whose working folder is below this one, and their command lines.
fn processes_in(folder: &Path) -> Vec<(String, String)> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let inside = |entry: std::fs::DirEntry| {
        let cwd = std::fs::read_link(entry.path().join("cwd")).ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        cwd.starts_with(folder).then(|| (entry.file_name().to_string_lossy().into_owned(), line.replace('\0', " ")))
    };
    processes.filter_map(inside).collect()
}
