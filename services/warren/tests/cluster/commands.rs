//! What an operator asks of a running cluster: `warren doctor`, `warren cluster status`.

#![expect(clippy::indexing_slicing, reason = "tests")]

use crate::binary;
use anyhow::ensure;
use tokio::process::Command;
use warren_testkit::cluster::{Cluster, ClusterOptions, Shape};
use warren_testkit::services::Port;
use warren_testkit::{Ended, PATIENCE, Process, Simulator, eventually};

/// A password that nobody has, and that nobody may read.
const CANARY: &str = "canary-0x5eC";
/// What the doctor looks at for itself, so that one that is wrong hides no other.
const SUBJECTS: [&str; 4] = ["DATABASE_URL", "REDIS_URL", "NATS_URL", "coordinators"];

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_and_the_status_tell_how_a_cluster_is() {
    let simulator = Simulator::start(binary()).await.unwrap();
    let options = ClusterOptions::new(binary(), Shape { workers: 2, ..Shape::SMALL }, simulator.url());
    let mut cluster = Cluster::start(options).await.unwrap();
    doctor_finds_nothing(&cluster).await;
    doctor_finds_the_one_that_is_wrong(&cluster).await;
    status_shows_who_has_what(&mut cluster).await;
    status_needs_a_coordinator(&cluster).await;
}

/// Runs a command as one more process of the cluster, with some of its settings changed.
async fn run(cluster: &Cluster, arguments: &[&str], changes: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(cluster.folder()).env_clear();
    command.envs(cluster.environment()).envs(changes.iter().copied());
    let ended = Process::start(command).unwrap().ended(PATIENCE).await.unwrap();
    for secret in secrets(cluster).iter().map(String::as_str).chain([CANARY]) {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret), "{arguments:?} tells a secret");
    }
    ended
}

/// Everything in the settings that nobody may read: secrets, and the passwords in URLs.
fn secrets(cluster: &Cluster) -> Vec<String> {
    let password = |url: &str| Some(url.rsplit_once('@')?.0.rsplit_once(':')?.1.to_owned());
    let secret = |(name, value): (String, String)| match name.as_str() {
        "WARREN_CLUSTER_SECRET" | "WARREN_ADMIN_KEY" | "WARREN_SEALING_KEY" => Some(value),
        "DATABASE_URL" | "REDIS_URL" | "NATS_URL" => password(&value),
        _ => None,
    };
    let secrets: Vec<_> = cluster.environment().into_iter().filter_map(secret).collect();
    assert_eq!(secrets.len(), 6);
    secrets
}

async fn doctor_finds_nothing(cluster: &Cluster) {
    let ended = run(cluster, &["doctor"], &[]).await;
    assert_eq!(ended.code, Some(0), "{}\n{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.lines().all(|line| line.starts_with("ok ")), "{}", ended.stdout);
    for subject in SUBJECTS.iter().chain(&["settings", "admin key", "database roles", "sealing key", "files of messages"]) {
        assert!(ended.stdout.contains(&format!("ok    {subject}: ")), "{subject} is not in {}", ended.stdout);
    }
    assert_eq!(ended.stderr, "");
}

async fn doctor_finds_the_one_that_is_wrong(cluster: &Cluster) {
    let closed = Port::take().unwrap();
    let address = closed.address().to_string();
    let away = address.as_str();
    let with_user = |scheme: &str, place: &str| format!("{scheme}://warren:{CANARY}@{place}");
    let cases = [
        ("DATABASE_URL", with_user("postgres", &format!("{away}/warren")), "DATABASE_URL", away),
        ("REDIS_URL", with_user("redis", away), "REDIS_URL", away),
        ("NATS_URL", with_user("nats", away), "NATS_URL", away),
        ("WARREN_CLUSTER__COORDINATORS", away.to_owned(), "coordinators", away),
        ("DATABASE_URL", with_user("postgres", "127.0.0.1:port/warren"), "DATABASE_URL", "postgres://user:password@"),
        ("REDIS_URL", with_user("redis", "127.0.0.1:port"), "REDIS_URL", "redis://user:password@"),
        ("NATS_URL", with_user("nats", "127.0.0.1:port"), "NATS_URL", "nats://user:password@"),
        // Settings that cannot be read are where it ends.
        ("WARREN_CLUSTER__COORDINATORS", "127.0.0.1".to_owned(), "settings", "cluster.coordinators: "),
    ];
    let looks = cases.iter().map(|(name, value, subject, word)| async move {
        let ended = run(cluster, &["doctor"], &[(name, value)]).await;
        let shown = &ended.stdout;
        assert_eq!(ended.code, Some(1), "{name}={value}: {shown}");
        assert_eq!(ended.stderr, "warren: 1 thing is wrong", "{name}={value}: {shown}");
        let wrong: Vec<_> = shown.lines().filter(|line| !line.starts_with("ok ")).collect();
        assert_eq!(wrong.len(), 1, "{name}={value}: {shown}");
        let line = wrong.concat();
        assert!(line.starts_with(&format!("WRONG {subject}: ")) && line.contains(word), "{name}={value}: {line}");
        for other in SUBJECTS.iter().filter(|other| *other != subject && *subject != "settings") {
            assert!(shown.contains(&format!("ok    {other}: ")), "{name}={value}: {shown}");
        }
    });
    futures::future::join_all(looks).await;
}

/// What `warren cluster status` says.
async fn status(cluster: &Cluster) -> anyhow::Result<String> {
    let ended = run(cluster, &["cluster", "status"], &[]).await;
    ensure!(ended.code == Some(0), "{}", ended.stderr);
    Ok(ended.stdout)
}

/// The words of the line that begins with this one.
fn row<'a>(shown: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let rows = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.into_iter().find(|words| words.first() == Some(&name))
}

/// Whether it says that so many shards have no owner.
fn ownerless(shown: &str, count: u32) -> bool {
    shown.lines().any(|line| line == format!("shards 1024, without an owner {count}"))
}

/// Waits until it says of each worker that it is attached and has as many shards as it should, this many; and of no other.
async fn shares(cluster: &Cluster, workers: &[(&str, &str)]) -> String {
    let what = format!("the status shows {workers:?}");
    let shown = eventually(&what, PATIENCE, async || {
        let shown = status(cluster).await?;
        let listed = shown.lines().filter(|line| line.trim_start().starts_with("worker-")).count();
        let has = |(name, shards): &(&str, &str)| {
            let expected = [*name, *shards, "of", *shards, "shards,", "attached,"];
            row(&shown, name).is_some_and(|words| words.starts_with(&expected))
        };
        ensure!(listed == workers.len() && workers.iter().all(has), "{shown}");
        Ok(Some(shown))
    });
    shown.await.unwrap()
}

async fn status_shows_who_has_what(cluster: &mut Cluster) {
    let shown = shares(cluster, &[("worker-1", "512"), ("worker-2", "512")]).await;
    assert!(shown.starts_with("cluster warren: coordinator 1 leads, term "), "{shown}");
    let environment = cluster.environment();
    let (_, address) = environment.iter().find(|(name, _)| name == "WARREN_CLUSTER__COORDINATORS").unwrap();
    assert_eq!(row(&shown, "1").unwrap(), ["1", address.as_str(), "answers"]);
    assert!(ownerless(&shown, 0) && !shown.contains("recovering"), "{shown}");

    cluster.workers[1].kill().await.unwrap();
    shares(cluster, &[("worker-1", "1024")]).await;
    // Nobody is left to take them: the recovery goes on until somebody comes.
    cluster.workers[0].kill().await.unwrap();
    let alone = eventually("the status shows a recovery", PATIENCE, async || {
        let shown = status(cluster).await?;
        Ok(shown.contains("recovering: 1024 of 1024 shards left after ").then_some(shown))
    });
    let alone = alone.await.unwrap();
    assert!(ownerless(&alone, 1024) && row(&alone, "worker-1").is_none(), "{alone}");
    cluster.workers[0].start_again(&[]).await.unwrap();
    shares(cluster, &[("worker-1", "1024")]).await;
    eventually("the recovery is over", PATIENCE, async || {
        let shown = status(cluster).await?;
        Ok((!shown.contains("recovering") && ownerless(&shown, 0)).then_some(()))
    })
    .await
    .unwrap();
}

async fn status_needs_a_coordinator(cluster: &Cluster) {
    let closed = Port::take().unwrap();
    let away = closed.address().to_string();
    let ended = run(cluster, &["cluster", "status"], &[("WARREN_CLUSTER__COORDINATORS", &away)]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(69), ""), "{}", ended.stderr);
    let is_clear = ended.stderr.starts_with("warren: no coordinator answers (") && ended.stderr.contains(&away);
    assert!(is_clear && ended.stderr.lines().count() == 1, "{}", ended.stderr);
}
