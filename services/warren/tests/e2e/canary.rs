//! Nothing that people wrote, no number and no key in logs, metrics and error bodies.

use crate::binary;
use serde_json::json;
use warren_testkit::{Draft, PATIENCE, Stage, eventually};

const TEXT: &str = "canary-text-4471";
const METADATA: &str = "canary-metadata-4471";
const NAME: &str = "canary-name-4471";
const PERSON: &str = "6281177744711";
const ACCOUNT: &str = "6281177744722";
const BAD_NUMBER: &str = "+1 (555) canary-4471";

async fn nothing_leaks(filter: Option<&str>) {
    let mut stage = Stage::start_with(binary(), |options| match filter {
        Some(filter) => options.env("RUST_LOG", filter),
        None => options,
    })
    .await
    .unwrap();
    let id = stage.api.create_instance(NAME).await.unwrap().id;
    stage.pair_as(&id, Some(ACCOUNT)).await.unwrap();
    stage.simulator.person(json!({"phone": PERSON, "name": NAME})).await.unwrap();
    let mut answers = Vec::new();
    let draft = Draft::text(PERSON, TEXT).with("metadata", json!({"note": METADATA})).key(METADATA);
    stage.api.send(&id, &draft.clone().wait()).await.unwrap();
    stage.simulator.write(PERSON, ACCOUNT, TEXT, 1).await.unwrap();
    eventually("the answer", PATIENCE, async || {
        Ok(stage.api.events(&id).await?.iter().any(|event| event.is_text(TEXT)).then_some(()))
    })
    .await
    .unwrap();
    // Errors that are tempted to repeat what they were given.
    answers.push(stage.api.try_send(&id, &draft.with("metadata", json!({}))).await.unwrap());
    answers.push(stage.api.try_send(&id, &Draft::text(BAD_NUMBER, TEXT)).await.unwrap());
    answers.push(stage.api.try_send(&id, &Draft::text(PERSON, TEXT).with("unknown_field", json!(TEXT))).await.unwrap());
    answers.push(stage.api.try_send(&id, &Draft::text(PERSON, TEXT).with("reply_to", json!(TEXT))).await.unwrap());
    answers.push(stage.api.post_raw("/v1/instances", "application/json", format!("{{\"{TEXT}").into()).await.unwrap());
    answers.push(stage.api.get(&format!("/v1/events?after={TEXT}")).await.unwrap());
    answers.push(stage.api.get(&format!("/v1/instances/{id}/{TEXT}")).await.unwrap());
    answers.push(stage.api.get(&format!("/v1/instances?key={}", stage.api.key())).await.unwrap());
    answers.push(stage.api.with_key("wrn_canary4471").get("/v1/instances").await.unwrap());
    answers.push(stage.api.post(&format!("/v1/senders/{PERSON}/messages"), &json!({"to": PERSON})).await.unwrap());
    // A connection that ends badly has the most to say.
    stage.simulator.happen(ACCOUNT, "drop", json!({})).await.unwrap();
    stage.state(&id, "online").await.unwrap();
    stage.simulator.happen(ACCOUNT, "unlink", json!({})).await.unwrap();
    stage.state(&id, "logged_out").await.unwrap();

    let metrics = stage.warren.metrics().await.unwrap();
    let ended = stage.warren.stop().await.unwrap();
    let secret = stage.api.key().rsplit('_').next().unwrap().to_owned();
    // Nothing short and hexadecimal: a random request id may hold it.
    let canaries = ["canary", PERSON, ACCOUNT, secret.as_str()];
    // What it prints on purpose, once, is not a log.
    for canary in canaries {
        let found: Vec<_> = ended.stderr.lines().filter(|line| line.contains(canary)).take(3).collect();
        assert!(found.is_empty(), "{canary} is in the log: {found:#?}");
        assert!(!metrics.contains(canary), "{canary} is in the metrics");
        for answer in &answers {
            assert!(answer.status.is_client_error(), "{} {}", answer.status, answer.text);
            assert!(!answer.text.contains(canary), "{canary} is in an error: {}", answer.text);
        }
    }
    assert!(!metrics.is_empty() && !ended.stderr.is_empty(), "there is something to look at");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_by_default() {
    nothing_leaks(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaks_with_the_most_talkative_log() {
    nothing_leaks(Some("trace")).await;
}
