//! What waits in the queue: for its time, for the pace of its account, for the end of a restriction; and what leaves it
//! again, cancelled.

use crate::{binary, stage};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::SystemTime;
use warren_domain::Timestamp;
use warren_testkit::{Answer, Draft, PATIENCE, Paired, Person, Stage, eventually};

const NOBODY: &str = "628999000111";

pub(crate) fn in_ms(span: i64) -> Timestamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(now).unwrap() + span)
}

fn text(to: &str, body: &str) -> Draft {
    Draft::text(to, body)
}

fn scheduled(to: &str, body: &str, at: Timestamp) -> Draft {
    Draft::text(to, body).with("send_at", json!(at))
}

/// A moment that the API shows of a message.
fn moment(message: &Value, name: &str) -> Timestamp {
    message[name].as_str().unwrap_or_else(|| panic!("no {name} in {message}")).parse().unwrap()
}

async fn raw(stage: &Stage, message: &str) -> Value {
    stage.api.get(&format!("/v1/messages/{message}")).await.unwrap().body
}

async fn restriction(stage: &Stage, instance: &Paired) -> Value {
    stage.api.get(&format!("/v1/instances/{}", instance.id)).await.unwrap().body["restriction"].clone()
}

/// Waits until the instance is shown as restricted for this reason.
async fn restricted(stage: &Stage, instance: &Paired, reason: &str) -> Value {
    eventually("a restriction", PATIENCE, async || {
        let shown = restriction(stage, instance).await;
        Ok((shown["reason"] == reason).then_some(shown))
    })
    .await
    .unwrap()
}

async fn person(stage: &Stage) -> Person {
    stage.simulator.person(json!({})).await.unwrap()
}

async fn texts(stage: &Stage, person: &Person, from: &Paired) -> Vec<String> {
    let inbox = stage.simulator.inbox(&person.phone, &from.phone).await.unwrap();
    assert!(inbox.messages.iter().all(|message| message.surfaced == 1), "{inbox:?}");
    inbox.messages.into_iter().filter_map(|message| message.text).collect()
}

async fn disconnect(stage: &Stage, instance: &Paired) {
    stage.api.post(&format!("/v1/instances/{}/disconnect", instance.id), &json!({})).await.unwrap();
    stage.state(&instance.id, "disconnected").await.unwrap();
}

async fn connect(stage: &Stage, instance: &Paired) {
    stage.api.post(&format!("/v1/instances/{}/connect", instance.id), &json!({})).await.unwrap();
    stage.state(&instance.id, "online").await.unwrap();
}

async fn failed(stage: &Stage, message: &str, reason: &str) {
    eventually("it fails", PATIENCE, async || {
        let now = stage.api.message(message).await?;
        Ok((now.status == "failed" && now.reason.as_deref() == Some(reason)).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_goes_at_its_time_and_holds_up_nothing() {
    let stage = stage().await;
    let (instance, person) = (stage.pair("a").await.unwrap(), person(&stage).await);
    let due = in_ms(4_000);
    let later = stage.api.send(&instance.id, &scheduled(&person.phone, "later", due)).await.unwrap();
    stage.api.send(&instance.id, &text(&person.phone, "now").wait()).await.unwrap();
    let past = stage.api.send(&instance.id, &scheduled(&person.phone, "past", in_ms(-60_000)).wait()).await.unwrap();
    assert_eq!(past.reason, None);

    let waiting = raw(&stage, &later.id).await;
    assert!(in_ms(0) >= due || waiting["status"] == "queued", "{waiting}");
    assert_eq!(moment(&waiting, "send_at"), due);
    stage.status(&later.id, "sent").await.unwrap();
    let sent = raw(&stage, &later.id).await;
    assert!(moment(&sent, "handed_at") >= due, "{sent}");
    eventually("it arrives", PATIENCE, async || Ok((texts(&stage, &person, &instance).await.len() == 3).then_some(())))
        .await
        .unwrap();
    assert_eq!(texts(&stage, &person, &instance).await, ["now", "past", "later"]);

    for (send_at, expires_at) in [(in_ms(2_000), Some(in_ms(1_000))), (in_ms(367 * 24 * 3_600_000), None)] {
        let draft = scheduled(&person.phone, "never", send_at);
        let draft = expires_at.map_or(draft.clone(), |at| draft.with("expires_at", json!(at)));
        let refused = stage.api.try_send(&instance.id, &draft).await.unwrap();
        assert_eq!((refused.status.as_u16(), &refused.body["field"]), (422, &json!("send_at")), "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_message_survives_a_kill() {
    let mut stage = stage().await;
    let (instance, person) = (stage.pair("a").await.unwrap(), person(&stage).await);
    let due = in_ms(3_000);
    let later = stage.api.send(&instance.id, &scheduled(&person.phone, "later", due)).await.unwrap();
    stage.restart().await.unwrap();
    stage.status(&later.id, "sent").await.unwrap();
    assert!(moment(&raw(&stage, &later.id).await, "handed_at") >= due);
    eventually("it arrives", PATIENCE, async || Ok((texts(&stage, &person, &instance).await == ["later"]).then_some(())))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_message_is_cancelled() {
    let stage = stage().await;
    let (instance, person) = (stage.pair("a").await.unwrap(), person(&stage).await);
    let path = |id: &str| format!("/v1/messages/{id}");
    let later = stage.api.send(&instance.id, &scheduled(&person.phone, "never", in_ms(3_600_000))).await.unwrap();
    for round in 0..2 {
        let cancelled = stage.api.delete(&path(&later.id)).await.unwrap();
        assert_eq!(cancelled.status, 200, "round {round}: {}", cancelled.text);
        assert_eq!((&cancelled.body["status"], &cancelled.body["reason"]), (&json!("failed"), &json!("cancelled")));
    }
    let told = stage.api.events(&instance.id).await.unwrap();
    let told = told.iter().filter(|event| event.is_status(&later.id, "failed") && event.text("/reason") == "cancelled");
    assert_eq!(told.count(), 1);

    // Nobody needs to be online for it.
    disconnect(&stage, &instance).await;
    let (first, second) = (text(&person.phone, "cancelled"), text(&person.phone, "sent"));
    let (first, second) =
        (stage.api.send(&instance.id, &first).await.unwrap(), stage.api.send(&instance.id, &second).await.unwrap());
    let cancelled = stage.api.request(Method::DELETE, &path(&first.id), None, &[("idempotency-key", "c")]).await.unwrap();
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["reason"]), (200, &json!("cancelled")), "{}", cancelled.text);
    connect(&stage, &instance).await;
    stage.status(&second.id, "sent").await.unwrap();
    eventually("it arrives", PATIENCE, async || Ok((texts(&stage, &person, &instance).await == ["sent"]).then_some(())))
        .await
        .unwrap();

    // What was sent is taken back instead.
    let revoked = stage.api.delete(&format!("{}?wait=sent", path(&second.id))).await.unwrap();
    assert_eq!((revoked.status.as_u16(), &revoked.body["type"]), (200, &json!("revoke")), "{}", revoked.text);
    let nobodys = stage.api.delete(&path("01a2058b2e44715fa971c7b66cbd51ce")).await.unwrap();
    assert_eq!(nobodys.status, 404);
}

/// Cancelling races the sending: whatever wins, what is said to be cancelled is never seen, and the connection lives on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cancelled_is_never_seen() {
    let stage = stage().await;
    let (instance, person) = (stage.pair("a").await.unwrap(), person(&stage).await);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(stage.api.send(&instance.id, &text(&person.phone, &number.to_string())).await.unwrap().id);
    }
    let mut kept = Vec::new();
    for (number, id) in ids.iter().enumerate().rev() {
        let answer = stage.api.delete(&format!("/v1/messages/{id}")).await.unwrap();
        match answer.status.as_u16() {
            200 => {}
            // A revocation is a message of its own.
            202 | 409 => kept.push(number.to_string()),
            other => panic!("{other}: {}", answer.text),
        }
    }
    kept.reverse();
    let last = stage.api.send(&instance.id, &text(&person.phone, "last").wait()).await.unwrap();
    assert_eq!(last.reason, None);
    kept.push("last".into());
    let seen = eventually("all arrive", PATIENCE, async || {
        let seen = texts(&stage, &person, &instance).await;
        Ok((seen.last().map(String::as_str) == Some("last")).then_some(seen))
    })
    .await
    .unwrap();
    assert_eq!(seen, kept);
    let log = stage.api.events(&instance.id).await.unwrap();
    let online = log.iter().filter(|event| event.kind == "instance.state_changed" && event.text("/state") == "online");
    assert_eq!(online.count(), 1, "the connection broke");
}

fn batch(people: &[Person], count: usize) -> Value {
    let messages: Vec<_> = (0..count)
        .map(|number| match number % 100 {
            7 => json!({"to": "nobody", "type": "text", "text": {"body": "x"}}),
            8 => json!({"to": people[0].phone, "type": "text", "text": {"body": ""}}),
            9 => json!({"to": people[0].phone, "type": "text", "text": {"body": "x"}, "colour": "red"}),
            _ => json!({"to": people[number % people.len()].phone, "type": "text", "text": {"body": number.to_string()}}),
        })
        .collect();
    json!({"messages": messages})
}

async fn post_batch(stage: &Stage, instance: &str, key: &str, body: &Value) -> Answer {
    let path = format!("/v1/instances/{instance}/messages:batch");
    stage.api.request(Method::POST, &path, Some(body), &[("idempotency-key", key)]).await.unwrap()
}

fn accepted(answer: &Answer) -> Vec<String> {
    let results = answer.body["data"].as_array().unwrap();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index);
    }
    let accepted = results.iter().filter(|result| result["status"] == "accepted");
    accepted.map(|result| result["message"]["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_thousand_is_accepted_once_each_by_itself() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let mut people = Vec::new();
    for _ in 0..10 {
        people.push(person(&stage).await);
    }
    let body = batch(&people, 1_000);
    let answer = post_batch(&stage, &instance.id, "b", &body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let ids = accepted(&answer);
    assert_eq!(ids.len(), 970);
    let refused = |index: usize| {
        let result = &answer.body["data"][index];
        (result["problem"]["code"].as_str().unwrap(), result["problem"]["field"].as_str().unwrap())
    };
    assert_eq!(refused(7), ("invalid_recipient", "to"));
    assert_eq!(refused(108), ("invalid_request", "text.body"));
    assert_eq!(refused(909), ("invalid_request", "colour"));

    let again = post_batch(&stage, &instance.id, "b", &body).await;
    assert_eq!((again.status.as_u16(), accepted(&again)), (202, ids.clone()));
    assert_eq!(again.headers.get("idempotent-replayed").unwrap(), "true");
    let other = post_batch(&stage, &instance.id, "b", &batch(&people, 999)).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_mismatch"));

    eventually("all are sent", PATIENCE, async || {
        let page = stage.api.get(&format!("/v1/instances/{}/messages?status=queued", instance.id)).await?;
        Ok((page.body["data"] == json!([])).then_some(()))
    })
    .await
    .unwrap();
    for (number, person) in people.iter().enumerate() {
        let expected: Vec<_> =
            (0..1_000).filter(|n| n % 10 == number && !(7..10).contains(&(n % 100))).map(|n| n.to_string()).collect();
        eventually("all arrive, in order", PATIENCE, async || {
            Ok((texts(&stage, person, &instance).await == expected).then_some(()))
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_beyond_the_queue_limit_is_carried_on_by_repeating_it() {
    let stage = Stage::start_with(binary(), |options| options.env("WARREN_GATEWAY__QUEUE_LIMIT", "5")).await.unwrap();
    let unpaired = stage.api.create_instance("new").await.unwrap();
    let people = [person(&stage).await];
    let refused = post_batch(&stage, &unpaired.id, "u", &batch(&people, 3)).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "not_paired"));
    for body in [json!({"messages": []}), json!({"messages": vec![json!({}); 1_001]}), json!({"messages": [], "x": 1})] {
        let refused = post_batch(&stage, &unpaired.id, "v", &body).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_request"), "{}", refused.text);
    }
    let unknown = post_batch(&stage, "01a2058b2e44715fa971c7b66cbd51ce", "w", &batch(&people, 1)).await;
    assert_eq!(unknown.status, 404);

    let instance = stage.pair("a").await.unwrap();
    disconnect(&stage, &instance).await;
    let body = batch(&people, 7);
    let first = post_batch(&stage, &instance.id, "b", &body).await;
    let ids = accepted(&first);
    assert_eq!(ids.len(), 5, "{}", first.text);
    assert_eq!(first.body["data"][6]["problem"]["code"], "queue_full");
    let one_more = stage.api.try_send(&instance.id, &text(&people[0].phone, "x")).await.unwrap();
    assert_eq!((one_more.status.as_u16(), one_more.code()), (429, "queue_full"));
    connect(&stage, &instance).await;
    for id in &ids {
        stage.status(id, "sent").await.unwrap();
    }
    let second = post_batch(&stage, &instance.id, "b", &body).await;
    assert_eq!((accepted(&second).len(), &accepted(&second)[..5]), (7, &ids[..]), "{}", second.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_message_expires() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    disconnect(&stage, &instance).await;
    let expiring = text(NOBODY, "late").with("expires_at", json!(in_ms(1_500)));
    let held = scheduled(NOBODY, "later", in_ms(1_000)).with("expires_at", json!(in_ms(1_500)));
    for draft in [expiring, held] {
        let message = stage.api.send(&instance.id, &draft).await.unwrap();
        failed(&stage, &message.id, "expired").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pace_spreads_messages() {
    const PACE: i64 = 400;
    let paced = |options: warren_testkit::Options| {
        options.env("WARREN_WORKER__PACING", "on").env("WARREN_WORKER__PACE_MS", &PACE.to_string())
    };
    let mut stage = Stage::start_with(binary(), paced).await.unwrap();
    let instance = stage.pair("a").await.unwrap();
    let mut ids = Vec::new();
    for number in 0..8 {
        let person = person(&stage).await;
        ids.push(stage.api.send(&instance.id, &text(&person.phone, &number.to_string())).await.unwrap().id);
        if number == 4 {
            stage.status(&ids[1], "sent").await.unwrap();
            stage.restart().await.unwrap();
        }
    }
    let mut handed = Vec::new();
    for id in &ids {
        stage.status(id, "sent").await.unwrap();
        handed.push(moment(&raw(&stage, id).await, "handed_at").as_millis());
    }
    assert!(handed.is_sorted(), "not in their order: {handed:?}");
    // A claim is committed some while after the pace let it go, which shortens the gap to the next one: four in a row do not.
    let fours: Vec<_> = handed.windows(5).map(|five| five[4] - five[0]).collect();
    assert!(fours.iter().all(|four| *four >= 4 * PACE / 2), "{handed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_chats_are_budgeted_and_known_people_are_not() {
    let careful = |options: warren_testkit::Options| {
        options
            .env("WARREN_WORKER__PACING", "on")
            .env("WARREN_WORKER__PACE_MS", "0")
            .env("WARREN_WORKER__NEW_CHATS_PER_DAY", "2")
    };
    let stage = Stage::start_with(binary(), careful).await.unwrap();
    let instance = stage.pair("a").await.unwrap();
    let known = person(&stage).await;
    stage.simulator.write(&known.phone, &instance.phone, "hello", 1).await.unwrap();
    eventually("it arrives", PATIENCE, async || {
        Ok(stage.api.events(&instance.id).await?.into_iter().find(|event| event.is_text("hello")))
    })
    .await
    .unwrap();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let stranger = person(&stage).await;
        ids.push(stage.api.send(&instance.id, &text(&stranger.phone, "hi")).await.unwrap().id);
    }
    let shown = restricted(&stage, &instance, "new_chat_budget").await;
    assert_eq!(shown["scope"], "new_chats");
    let answer = stage.api.send(&instance.id, &text(&known.phone, "welcome").wait()).await.unwrap();
    assert!(answer.reason.is_none() && answer.status != "queued", "{answer:?}");
    let mut states = Vec::new();
    for id in &ids {
        states.push(stage.api.message(id).await.unwrap().status);
    }
    assert_eq!(states.iter().filter(|status| *status == "queued").count(), 1, "{states:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_number_waits_and_goes_on_by_itself() {
    let stage = stage().await;
    let (limited, free) = (stage.pair("limited").await.unwrap(), stage.pair("free").await.unwrap());
    let known = person(&stage).await;
    stage.simulator.write(&known.phone, &limited.phone, "hello", 1).await.unwrap();
    eventually("it arrives", PATIENCE, async || {
        Ok(stage.api.events(&limited.id).await?.into_iter().find(|event| event.is_text("hello")))
    })
    .await
    .unwrap();

    let lifted = in_ms(12_000);
    let trouble = json!({"reachout_limit": {"for_s": 12}});
    stage.simulator.happen(&limited.phone, "trouble", trouble).await.unwrap();
    let refused = stage.api.send(&limited.id, &text(&person(&stage).await.phone, "hi").wait()).await.unwrap();
    assert_eq!((refused.status.as_str(), refused.reason.as_deref()), ("failed", Some("reachout_limit")));
    let shown = restricted(&stage, &limited, "reachout_limit").await;
    assert_eq!(shown["scope"], "new_chats");
    let until = moment(&shown, "until").as_millis();
    assert!((lifted.as_millis() - until).abs() < 5_000, "{shown}");

    let stranger = person(&stage).await;
    let waiting = stage.api.send(&limited.id, &text(&stranger.phone, "later")).await.unwrap();
    let answer = stage.api.send(&limited.id, &text(&known.phone, "welcome").wait()).await.unwrap();
    assert_eq!(answer.reason, None, "{answer:?}");
    let other = stage.api.send(&free.id, &text(&stranger.phone, "from another").wait()).await.unwrap();
    assert_eq!(other.reason, None, "{other:?}");
    assert_eq!(restriction(&stage, &free).await, Value::Null);

    stage.status(&waiting.id, "sent").await.unwrap();
    assert!(moment(&raw(&stage, &waiting.id).await, "handed_at").as_millis() >= until, "too early");
    let told: Vec<_> = stage.api.events(&limited.id).await.unwrap();
    let told: Vec<_> = told.iter().filter(|event| event.kind == "account.restricted").map(|event| &event.data).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[0]["reason"], &told[0]["until"]), (&json!("reachout_limit"), &shown["until"]));
    assert_eq!((&told[0]["lifted"], &told[1]["lifted"], &told[1]["until"]), (&json!(false), &json!(true), &Value::Null));
    assert_eq!(restriction(&stage, &limited).await, Value::Null);
}

/// Where WhatsApp does not say until when, the queue tries again by itself after a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_may_begin_no_more_chats_goes_on_with_those_it_has() {
    let stage = stage().await;
    let capped = stage.pair("capped").await.unwrap();
    let (first, second) = (person(&stage).await, person(&stage).await);
    stage.simulator.happen(&capped.phone, "trouble", json!({"new_chats_left": 1})).await.unwrap();
    let began = stage.api.send(&capped.id, &text(&first.phone, "hi").wait()).await.unwrap();
    assert_eq!(began.reason, None, "{began:?}");
    let refused = stage.api.send(&capped.id, &text(&second.phone, "hi").wait()).await.unwrap();
    assert_eq!((refused.status.as_str(), refused.reason.as_deref()), ("failed", Some("reachout_limit")));
    let shown = restricted(&stage, &capped, "reachout_limit").await;
    assert_eq!((&shown["scope"], &shown["until"]), (&json!("new_chats"), &Value::Null));
    assert!(moment(&shown, "restarts_at") > in_ms(60_000), "{shown}");
    let known = stage.api.send(&capped.id, &text(&first.phone, "again").wait()).await.unwrap();
    assert_eq!(known.reason, None, "{known:?}");
}

/// The restriction is remembered: a restart neither forgets it nor tries again before its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_restriction_that_covers_all_survives_a_kill() {
    let mut stage = stage().await;
    let (instance, known) = (stage.pair("a").await.unwrap(), person(&stage).await);
    let first = stage.api.send(&instance.id, &text(&known.phone, "hi").wait()).await.unwrap();
    assert_eq!(first.reason, None);
    let trouble = json!({"reachout_limit": {"for_s": 12, "known_chats_pass": false}});
    stage.simulator.happen(&instance.phone, "trouble", trouble).await.unwrap();
    let refused = stage.api.send(&instance.id, &text(&known.phone, "again").wait()).await.unwrap();
    assert_eq!(refused.reason.as_deref(), Some("reachout_limit"));
    let shown = restricted(&stage, &instance, "reachout_limit").await;
    assert_eq!(shown["scope"], "all");
    stage.restart().await.unwrap();
    let waiting = stage.api.send(&instance.id, &text(&known.phone, "later")).await.unwrap();
    assert_eq!(restriction(&stage, &instance).await, shown);
    stage.status(&waiting.id, "sent").await.unwrap();
    let handed = moment(&raw(&stage, &waiting.id).await, "handed_at");
    assert!(handed >= moment(&shown, "until"), "{handed} before {shown}");
}
