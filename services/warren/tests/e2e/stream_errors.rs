//! What WhatsApp says when it ends a connection, and what follows: one table, one test a row.

use crate::main_path::is_sent;
use crate::{binary, stage};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use warren_testkit::{Draft, Options, PATIENCE, Paired, Stage, eventually};

pub(crate) async fn logins(stage: &Stage, phone: &str) -> u64 {
    let account = stage.simulator.account(phone).await.unwrap();
    account["devices"].as_array().unwrap().iter().map(|device| device["logins"].as_u64().unwrap()).sum()
}

/// Waits for a further login and shows that the connection works; returns how long the login took.
async fn back(stage: &Stage, instance: &Paired, before: u64, deadline: Duration) -> Duration {
    let since = Instant::now();
    eventually("a new login", deadline, async || Ok((logins(stage, &instance.phone).await > before).then_some(())))
        .await
        .unwrap();
    let took = since.elapsed();
    stage.state(&instance.id, "online").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let sent = stage.api.send(&instance.id, &Draft::text(&person.phone, "still here").wait()).await.unwrap();
    assert!(is_sent(&sent), "{sent:?}");
    took
}

/// The server says this; the instance is back soon.
async fn comes_back(what: &str, body: Value) {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let before = logins(&stage, &instance.phone).await;
    stage.simulator.happen(&instance.phone, what, body).await.unwrap();
    back(&stage, &instance, before, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_comes_back() {
    comes_back("drop", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_comes_back_because_nobody_else_owns_it() {
    comes_back("stream-error", json!({"conflict": "replaced"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_409_comes_back_because_nobody_else_owns_it() {
    comes_back("stream-error", json!({"code": 409})).await;
}

/// Somebody else logs in with the same session, again and again: fighting him helps nobody.
#[tokio::test(flavor = "multi_thread")]
async fn three_kicks_quarantine_until_somebody_connects_it() {
    let lasting = |options: Options| options.env("WARREN_WORKER__HANDOVER_S", "0");
    let stage = Stage::start_with(binary(), lasting).await.unwrap();
    let instance = stage.pair("a").await.unwrap();
    for kick in 1..=3 {
        let before = logins(&stage, &instance.phone).await;
        stage.simulator.happen(&instance.phone, "stream-error", json!({"conflict": "replaced"})).await.unwrap();
        if kick < 3 {
            back(&stage, &instance, before, PATIENCE).await;
        }
    }
    stage.state(&instance.id, "quarantined").await.unwrap();
    assert_eq!(stage.api.instance(&instance.id).await.unwrap().reason.as_deref(), Some("replaced"));
    let before = logins(&stage, &instance.phone).await;
    let answer = stage.api.post(&format!("/v1/instances/{}/connect", instance.id), &json!({})).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text);
    back(&stage, &instance, before, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_503_comes_back() {
    comes_back("stream-error", json!({"code": 503})).await;
}

/// The library waits for the server to close; we do not.
#[tokio::test(flavor = "multi_thread")]
async fn code_503_comes_back_also_when_the_socket_stays_open() {
    comes_back("stream-error", json!({"code": 503, "close": false})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_515_comes_back_at_once() {
    comes_back("stream-error", json!({"code": 515})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_code_comes_back() {
    comes_back("stream-error", json!({"code": 599, "text": "what is this"})).await;
}

/// Told to slow down: not before a minute has passed.
#[tokio::test(flavor = "multi_thread")]
async fn code_429_comes_back_after_a_minute() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let before = logins(&stage, &instance.phone).await;
    stage.simulator.happen(&instance.phone, "stream-error", json!({"code": 429})).await.unwrap();
    let took = back(&stage, &instance, before, Duration::from_secs(150)).await;
    assert!(took > Duration::from_secs(50), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_401_logs_out_and_stays_away() {
    logs_out("stream-error", json!({"code": 401, "conflict": "device_removed"}), "removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn code_516_logs_out_and_stays_away() {
    logs_out("stream-error", json!({"code": 516}), "removed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_account_is_said_to_be_locked() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    stage.simulator.happen(&instance.phone, "failure", json!({"reason": 403})).await.unwrap();
    stage.simulator.happen(&instance.phone, "drop", json!({})).await.unwrap();
    stage.state(&instance.id, "logged_out").await.unwrap();
    assert_eq!(stage.api.instance(&instance.id).await.unwrap().reason.as_deref(), Some("account_locked"));
}

/// The server says this; the session is over.
async fn logs_out(what: &str, body: Value, reason: &str) {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let before = logins(&stage, &instance.phone).await;
    stage.simulator.happen(&instance.phone, what, body).await.unwrap();
    stage.state(&instance.id, "logged_out").await.unwrap();
    assert_eq!(stage.api.instance(&instance.id).await.unwrap().reason.as_deref(), Some(reason));
    assert_eq!(logins(&stage, &instance.phone).await, before);
    let log = stage.api.events(&instance.id).await.unwrap();
    assert!(log.iter().any(|event| event.kind == "instance.state_changed" && event.text("/state") == "logged_out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_refused_with_503_is_tried_again() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let before = logins(&stage, &instance.phone).await;
    stage.simulator.happen(&instance.phone, "failure", json!({"reason": 503})).await.unwrap();
    stage.simulator.happen(&instance.phone, "drop", json!({})).await.unwrap();
    back(&stage, &instance, before, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_refused_with_401_logs_out() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    stage.simulator.happen(&instance.phone, "failure", json!({"reason": 401})).await.unwrap();
    stage.simulator.happen(&instance.phone, "drop", json!({})).await.unwrap();
    stage.state(&instance.id, "logged_out").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_for_a_time_is_shown_and_waited_out() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    stage.simulator.happen(&instance.phone, "failure", json!({"reason": 402})).await.unwrap();
    stage.simulator.happen(&instance.phone, "drop", json!({})).await.unwrap();
    stage.state(&instance.id, "restricted").await.unwrap();
}

/// An ack that never comes: the connection is rebuilt, the stanza repeated, seen once.
#[tokio::test(flavor = "multi_thread")]
async fn an_ack_that_never_comes_rebuilds_the_connection() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    // A receipt would say that the server took it.
    let person = stage.simulator.person(json!({"auto_receipt": false})).await.unwrap();
    stage.simulator.happen(&instance.phone, "trouble", json!({"withhold_acks": 1})).await.unwrap();
    let message = stage.api.send(&instance.id, &Draft::text(&person.phone, "heard?")).await.unwrap();
    stage.status(&message.id, "sent").await.unwrap();
    let truth = stage.simulator.ground_truth(&instance.phone).await.unwrap();
    assert_eq!(truth.accepted.iter().map(|taken| (taken.copies, taken.distinct_stanzas)).collect::<Vec<_>>(), [(2, 1)]);
    let inbox = stage.simulator.inbox(&person.phone, &instance.phone).await.unwrap();
    assert_eq!(inbox.messages.iter().map(|message| message.surfaced).collect::<Vec<_>>(), [1]);
    assert_eq!(inbox.retries_sent, 0);
}

/// What the server refuses for good is reported with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_fails_with_its_reason() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    // The last one restricts the account: see `queue`.
    for (code, reason) in [(404, "rejected"), (463, "reachout_limit")] {
        stage.simulator.happen(&instance.phone, "trouble", json!({"nack": code})).await.unwrap();
        let draft = Draft::text(&person.phone, "please").wait();
        let answer = stage.api.try_send(&instance.id, &draft).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body["status"].as_str()), (200, Some("failed")), "{}", answer.text);
        assert_eq!(answer.body["reason"], reason);
        if reason == "rejected" {
            stage.simulator.happen(&instance.phone, "trouble", json!({"nack": 0})).await.unwrap();
            let sent = stage.api.send(&instance.id, &Draft::text(&person.phone, "thank you").wait()).await.unwrap();
            assert!(is_sent(&sent), "{sent:?}");
        }
    }
}
