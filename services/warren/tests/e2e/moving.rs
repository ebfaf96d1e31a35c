//! A store of one process moves into a cluster: every account goes on as it was.

use crate::{binary, queue::in_ms};
use anyhow::ensure;
use serde_json::{Value, json};
use std::path::Path;
use warren_swarm::witness::{Follower as _, Mood, Receiver};
use warren_testkit::cluster::{Cluster, ClusterOptions, Exported, Shape};
use warren_testkit::services::{Database, Postgres};
use warren_testkit::{
    Api, Backend, Draft, Ended, Event, Network, Options, PATIENCE, Paired, Person, Process, Simulator, Stage, Warren,
    eventually,
};

/// Any key; both need the same.
const SEALING_KEY: &str = "6b5d2f0a9c4e4c1fb1a7d3e85f60924b7c81e3a5d9f2460b8e1c7a3f5d9b2046";

async fn standalone(environment: &[(&str, String)]) -> Stage {
    let simulator = Simulator::start(binary()).await.unwrap();
    let network = Network::Simulator(simulator.url().to_owned());
    let options = Options::new(binary(), network).backend(Backend::Standalone).env("WARREN_SEALING_KEY", SEALING_KEY);
    let options = environment.iter().fold(options, |options, (name, value)| options.env(name, value));
    let warren = Warren::start(options).await.unwrap();
    let api = warren.api().unwrap();
    Stage { simulator, warren, api }
}

async fn export(stage: &Stage, file: &Path) -> Ended {
    let mut command = tokio::process::Command::new(binary());
    command.arg("export").arg(file).arg("--data-dir").arg(stage.warren.folder().join("data"));
    Process::start(command).unwrap().ended(PATIENCE).await.unwrap()
}

/// Two who follow the log: a webhook that is away when the store moves, and a caller with a cursor.
struct Followers {
    receiver: Receiver,
    webhook: String,
    /// What the caller saw last.
    cursor: String,
    /// What came after that, before the store moved.
    missed: Vec<Event>,
}

impl Followers {
    /// What lets the webhook be posted to, and tried again soon.
    fn settings(receiver: &Receiver) -> [(&'static str, String); 4] {
        [
            ("WARREN_EGRESS__ALLOW_HTTP", "true".to_owned()),
            ("WARREN_EGRESS__PORTS", format!("[{}]", receiver.port())),
            ("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#.to_owned()),
            ("WARREN_DISPATCHER__RETRY_S", "[1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8]".to_owned()),
        ]
    }

    /// Both have everything, up to the delivery of a message; then the webhook goes away and something comes in.
    async fn begin(receiver: Receiver, stage: &Stage, paired: &Paired, person: &Person, delivered: &str) -> Self {
        let webhook = receiver.subscribe(&stage.api, "begin", None).await.unwrap();
        let seen = eventually("the webhook has everything", PATIENCE, async || {
            let events = stage.api.events(&paired.id).await?;
            ensure!(events.iter().any(|event| event.is_status(delivered, "delivered")), "it is not delivered yet");
            Ok(events.iter().all(|event| receiver.has(&event.id)).then_some(events))
        });
        let cursor = seen.await.unwrap().last().unwrap().cursor.clone().unwrap();
        receiver.mood(Mood::Down);
        stage.simulator.write(&person.phone, &paired.phone, "missed", 1).await.unwrap();
        let missed = eventually("what is missed is in the log", PATIENCE, async || {
            let events = stage.api.events_after("", &cursor).await?;
            Ok(events.iter().any(|event| event.is_text("missed")).then_some(events))
        });
        let missed = missed.await.unwrap();
        Self { receiver, webhook, cursor, missed }
    }

    /// The cursor is good in the cluster and goes on where it was; the webhook is there, and gets what it had not, once and in
    /// order, signed with the secret that it had.
    async fn go_on(&self, api: &Api, instance: &str) {
        let ids = |events: &[Event]| events.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
        let after = api.events_after("", &self.cursor).await.unwrap();
        assert!(after.len() > self.missed.len(), "{after:?}");
        assert_eq!(ids(&after)[..self.missed.len()], ids(&self.missed));

        let shown: Value = api.get(&format!("/v1/webhooks/{}", self.webhook)).await.unwrap().into().unwrap();
        assert_eq!((shown["url"].as_str(), shown["enabled"].as_bool()), (Some(self.receiver.url().as_str()), Some(true)));
        let events = eventually("the webhook has everything", PATIENCE, async || {
            let events = api.events(instance).await?;
            let missing = events.iter().filter(|event| !self.receiver.has(&event.id)).count();
            ensure!(missing == 0, "{missing} of {} events are missing", events.len());
            Ok(Some(events))
        });
        let events = events.await.unwrap();
        let taken: Vec<_> = self.receiver.entries().into_iter().map(|entry| entry.id).collect();
        assert_eq!(taken[..events.len()], ids(&events));
        let (_, repeats, wrong) = self.receiver.counts();
        assert_eq!((repeats, wrong), (0, 0));
    }
}

#[tokio::test]
async fn accounts_messages_cursors_and_webhooks_move_into_a_cluster() {
    let receiver = Receiver::start().unwrap();
    let settings = Followers::settings(&receiver);
    let mut stage = standalone(&settings).await;
    let paired = stage.pair("moving").await.unwrap();
    let person = stage.simulator.person(json!({"auto_receipt": true})).await.unwrap();
    let said = stage.api.send(&paired.id, &Draft::text(&person.phone, "before").wait()).await.unwrap();
    stage.simulator.write(&person.phone, &paired.phone, "hello", 1).await.unwrap();
    let events = eventually("the text is in the log", PATIENCE, async || {
        let events = stage.api.events(&paired.id).await?;
        Ok(events.iter().any(|event| event.is_text("hello")).then_some(events))
    });
    let before = events.await.unwrap();
    let followers = Followers::begin(receiver, &stage, &paired, &person, &said.id).await;
    // It waits for its time, which comes in the cluster.
    let soon = Draft::text(&person.phone, "after").with("send_at", json!(in_ms(20_000)));
    let waiting = stage.api.send(&paired.id, &soon).await.unwrap();

    let file = stage.warren.folder().join("moving.jsonl");
    assert_eq!(export(&stage, &file).await.code, Some(75), "somebody serves this folder");
    stage.warren.stop().await.unwrap();
    let ended = export(&stage, &file).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("1 instances of 1 tenants, 1 messages still to be sent"), "{}", ended.stdout);

    let exported =
        Exported { file, files: stage.warren.folder().join("data/media"), tenant_key: stage.warren.keys().tenant.clone() };
    let options = ClusterOptions::new(binary(), Shape::SMALL, stage.simulator.url())
        .env("WARREN_SEALING_KEY", SEALING_KEY)
        .import(exported);
    let options = settings.iter().fold(options, |options, (name, value)| options.env(name, value));
    followers.receiver.mood(Mood::Well);
    let cluster = Cluster::start(options).await.unwrap();
    let api = cluster.api(0).unwrap();
    eventually("the account is online without a new pairing", PATIENCE, async || {
        Ok((api.instance(&paired.id).await?.state == "online").then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", cluster.last_lines(20)));

    assert_eq!(api.message(&said.id).await.unwrap().whatsapp_id, said.whatsapp_id);
    let answered = api.send(&paired.id, &Draft::text(&person.phone, "in the cluster").wait()).await.unwrap();
    assert_ne!(answered.id, said.id);
    stage.simulator.write(&person.phone, &paired.phone, "still there?", 1).await.unwrap();
    eventually("what waited was sent, and what came in is logged", PATIENCE, async || {
        let sent = api.message(&waiting.id).await?.status;
        let events = api.events(&paired.id).await?;
        Ok((events.iter().any(|event| event.is_text("still there?")) && sent != "queued" && sent != "handed").then_some(()))
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}\n{}", cluster.last_lines(20)));

    // The log is the same one: its events, their numbers, and so every cursor.
    let after = api.events(&paired.id).await.unwrap();
    let numbered = |events: &[Event]| events.iter().map(|event| (event.seq, event.kind.clone())).collect::<Vec<_>>();
    assert_eq!(numbered(&after)[..before.len()], numbered(&before)[..]);
    followers.go_on(&api, &paired.id).await;
    let inbox = stage.simulator.inbox(&person.phone, &paired.phone).await.unwrap();
    let texts: Vec<_> = inbox.messages.iter().filter_map(|message| message.text.as_deref()).collect();
    assert!(
        ["before", "in the cluster", "after"].iter().all(|text| texts.iter().filter(|seen| seen == &text).count() == 1),
        "{texts:?}"
    );
    assert_eq!((inbox.undecryptable, inbox.retries_sent), (0, 0), "its Signal sessions are intact");
}

/// Runs the binary for a database.
async fn run(database: &Database, folder: &Path, key: &str, arguments: &[&str]) -> Ended {
    let mut command = tokio::process::Command::new(binary());
    command.args(arguments).current_dir(folder);
    command.env("DATABASE_URL", database.url()).env("WARREN_SEALING_KEY", key).env("WARREN_MEDIA__FOLDER", folder);
    Process::start(command).unwrap().ended(PATIENCE).await.unwrap()
}

/// A file that is not whole or something else, another sealing key, a database that is used: one line, and nothing is changed.
#[tokio::test]
async fn what_cannot_be_moved_changes_nothing() {
    let mut stage = standalone(&[]).await;
    stage.pair("moving").await.unwrap();
    stage.warren.stop().await.unwrap();
    let folder = stage.warren.folder();
    let file = folder.join("moving.jsonl");
    assert_eq!(export(&stage, &file).await.code, Some(0));
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    std::fs::write(folder.join("torn.jsonl"), lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    std::fs::write(folder.join("other.jsonl"), "{}\n").unwrap();

    let database = Postgres::database().await.unwrap();
    assert_eq!(run(&database, folder, SEALING_KEY, &["migrate"]).await.code, Some(0));
    let other_key = "07".repeat(32);
    for (key, name, expected) in [
        (SEALING_KEY, "torn.jsonl", "ends too early"),
        (SEALING_KEY, "other.jsonl", "no file of"),
        (SEALING_KEY, "absent.jsonl", "cannot be read"),
        (other_key.as_str(), "moving.jsonl", "sealing key"),
    ] {
        let ended = run(&database, folder, key, &["import", name]).await;
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{expected}: {}", ended.stderr);
        assert_eq!(database.execute(&["SELECT count(*) FROM instances"]).await.unwrap(), "0", "{expected}");
    }
    let ended = run(&database, folder, SEALING_KEY, &["import", "moving.jsonl"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let again = run(&database, folder, SEALING_KEY, &["import", "moving.jsonl"]).await;
    assert!(again.code == Some(78) && again.stderr.contains("holds tenants already"), "{}", again.stderr);
}
