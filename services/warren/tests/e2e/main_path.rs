//! The main job, end to end.

use crate::stage;
use futures::future::join_all;
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;
use warren_testkit::{Draft, Message, PATIENCE, Stream, eventually};

/// `wait=sent` answers as soon as it is sent; by then it may be further.
pub(crate) fn is_sent(message: &Message) -> bool {
    ["sent", "delivered", "read"].contains(&message.status.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_talk_and_the_sender_sees_how_far_it_got() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let b = stage.pair("b").await.unwrap();
    let reader = stage.simulator.person(json!({"auto_read": true})).await.unwrap();
    let stream = Stream::open(&stage.api, "after=begin").await.unwrap();

    let to_b = stage.api.send(&a.id, &Draft::text(&b.phone, "good morning").wait()).await.unwrap();
    assert!(is_sent(&to_b), "{to_b:?}");
    let got = stream.wait_for("B's message", PATIENCE, |event| event.is_text("good morning")).await.unwrap();
    assert_eq!(got.instance_id, b.id);
    assert_eq!(got.text("/whatsapp_id"), to_b.whatsapp_id);
    assert!(got.text("/from/pn").starts_with(&a.phone), "{:?}", got.data);
    let inbound = stage.api.message(got.text("/message_id")).await.unwrap();
    assert_eq!((inbound.direction.as_str(), inbound.body()), ("inbound", "good morning"));
    stage.status(&to_b.id, "delivered").await.unwrap();

    let to_reader = stage.api.send(&a.id, &Draft::text(&reader.phone, "and to you")).await.unwrap();
    assert_eq!(to_reader.status, "queued");
    for status in ["sent", "delivered", "read"] {
        let is_it = |event: &warren_testkit::Event| event.is_status(&to_reader.id, status);
        stream.wait_for(status, PATIENCE, is_it).await.unwrap();
    }
    stage.status(&to_reader.id, "read").await.unwrap();

    // B answers, quoting what it got.
    let reply = Draft::text(&a.phone, "to you too").with("reply_to", json!(got.text("/message_id"))).wait();
    stage.api.send(&b.id, &reply).await.unwrap();
    let answer = stream.wait_for("A's answer", PATIENCE, |event| event.is_text("to you too")).await.unwrap();
    assert_eq!(answer.instance_id, a.id);
    assert_eq!(answer.text("/reply_to/whatsapp_id"), to_b.whatsapp_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_nothing_and_needs_no_new_scan() {
    let mut stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let b = stage.pair("b").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    stage.api.send(&a.id, &Draft::text(&b.phone, "before").wait()).await.unwrap();
    let stream = Stream::open(&stage.api, "after=begin").await.unwrap();
    stream.wait_for("before", PATIENCE, |event| event.is_text("before")).await.unwrap();
    let log_before = stage.api.events(&b.id).await.unwrap();

    stage.warren.kill().await.unwrap();
    drop(stream);
    for number in 1..=5 {
        stage.simulator.write(&person.phone, &b.phone, &format!("meanwhile {number}"), 1).await.unwrap();
    }
    stage.restart().await.unwrap();
    for instance in [&a, &b] {
        stage.state(&instance.id, "online").await.unwrap();
    }
    let log = eventually("what was sent meanwhile", PATIENCE, async || {
        let log = stage.api.events(&b.id).await?;
        Ok(log.iter().any(|event| event.is_text("meanwhile 5")).then_some(log))
    });
    let log = log.await.unwrap();
    let meanwhile: Vec<_> = log.iter().filter(|event| event.text("/text/body").starts_with("meanwhile")).collect();
    let texts: Vec<_> = meanwhile.iter().map(|event| event.text("/text/body")).collect();
    assert_eq!(texts, (1..=5).map(|number| format!("meanwhile {number}")).collect::<Vec<_>>(), "once each, in order");
    assert!(meanwhile.iter().all(|event| event.data["backfilled"] == true), "marked as backfilled");
    // The log goes on where it was.
    let ids = |log: &[warren_testkit::Event]| log.iter().map(|event| event.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&log)[..log_before.len()], ids(&log_before));
    let numbers: Vec<_> = log.iter().map(|event| event.seq.unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    // And both still talk.
    let after = stage.api.send(&b.id, &Draft::text(&a.phone, "after").wait()).await.unwrap();
    assert!(is_sent(&after), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_resumes_has_no_gap() {
    let mut stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let first = Stream::open(&stage.api, "after=begin").await.unwrap();
    stage.simulator.write(&person.phone, &a.phone, "early", 20).await.unwrap();
    first.wait_for("some", PATIENCE, |event| event.is_text("early 7")).await.unwrap();
    // Cut off somewhere in the middle.
    let cursor = first.cursor().unwrap();
    let mut seen = first.events();
    drop(first);
    eventually("all of the early ones", PATIENCE, async || {
        let log = stage.api.events(&a.id).await?;
        Ok(log.iter().any(|event| event.is_text("early 20")).then_some(()))
    })
    .await
    .unwrap();
    stage.restart().await.unwrap();
    let second = Stream::open(&stage.api, &format!("after={cursor}")).await.unwrap();
    stage.simulator.write(&person.phone, &a.phone, "late", 20).await.unwrap();
    second.wait_for("the last", PATIENCE, |event| event.is_text("late 20")).await.unwrap();
    seen.extend(second.events());
    // What was read from the socket before the cursor was: some frames may have come after the last cursor was read.
    let mut ids = HashSet::new();
    seen.retain(|event| event.seq.is_some() && event.instance_id == a.id && ids.insert(event.id.clone()));
    let numbers: Vec<_> = seen.iter().map(|event| event.seq.unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "gapless and in order");
    let log = stage.api.events(&a.id).await.unwrap();
    assert_eq!(numbers.len(), log.len().min(numbers.len()));
    for text in ["early 1", "early 20", "late 1", "late 20"] {
        assert_eq!(seen.iter().filter(|event| event.is_text(text)).count(), 1, "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_a_hundred_times_at_once_is_one_message() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let draft = Draft::text(&person.phone, "only once").key("the-one-key");
    let answers = join_all((0..100).map(|_| stage.api.send(&a.id, &draft))).await;
    let ids: HashSet<_> = answers.into_iter().map(|answer| answer.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    let id = ids.into_iter().next().unwrap();
    stage.status(&id, "delivered").await.unwrap();
    // Once more after the fact, and another body under the same key.
    assert_eq!(stage.api.send(&a.id, &draft).await.unwrap().id, id);
    let other = Draft::text(&person.phone, "something else").key("the-one-key");
    let refused = stage.api.try_send(&a.id, &other).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "idempotency_mismatch"));
    // A later text has arrived: whatever the hundred did has arrived before it.
    let marker = stage.api.send(&a.id, &Draft::text(&person.phone, "marker")).await.unwrap();
    stage.status(&marker.id, "delivered").await.unwrap();
    let inbox = stage.simulator.inbox(&person.phone, &a.phone).await.unwrap();
    let texts: Vec<_> =
        inbox.messages.iter().map(|message| (message.text.as_deref().unwrap_or(""), message.surfaced)).collect();
    assert_eq!(texts, [("only once", 1), ("marker", 1)]);
    let truth = stage.simulator.ground_truth(&a.phone).await.unwrap();
    assert_eq!(truth.accepted.len(), 2);
    assert!(truth.accepted.iter().all(|taken| taken.copies == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_in_one_process_answers_soon_and_prints_what_to_do() {
    use warren_testkit::{Network, Options, Warren};
    let mut warren = Warren::start(Options::new(crate::binary(), Network::InProcess)).await.unwrap();
    println!("from start to the first answered request: {:?}", warren.first_answer());
    assert!(warren.first_answer() < Duration::from_secs(10), "{:?}", warren.first_answer());
    assert!(warren.simulator().is_some());
    let api = warren.api().unwrap();
    let instance = api.create_instance("first").await.unwrap();
    assert_eq!(instance.state, "created");
    // A clean stop, and the same keys and instance afterwards.
    let ended = warren.stop().await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("Admin key") && ended.stdout.contains("scan-qr"), "{}", ended.stdout);
    warren.restart().await.unwrap();
    let api = warren.api().unwrap();
    assert_eq!(api.instance(&instance.id).await.unwrap().name.as_deref(), Some("first"));
    let ended = warren.stop().await.unwrap();
    assert!(!ended.stdout.contains("API key"), "keys are shown once");
}
