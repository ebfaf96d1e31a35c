//! Trouble on demand: lines that lose, repeat, damage and delay, refused logins, senseless stanzas, scripts.

use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Phoneless, eventually, http, paired, person, post, simulator};
use serde_json::{Value, json};
use warren_simulator::{Options, Simulator};
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";

async fn alice() -> (Simulator, Phoneless, String) {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    // The first message of a session is another matter.
    write(&simulator, &budi, "first").await;
    alice.wait_text("first").await;
    (simulator, alice, budi)
}

async fn write(simulator: &Simulator, from: &str, text: &str) {
    post(simulator, &format!("/admin/people/{from}/send"), json!({"to": ALICE, "text": text})).await;
}

async fn trouble(simulator: &Simulator, faults: Value) {
    post(simulator, &format!("/admin/accounts/{ALICE}/trouble"), faults).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_comes_at_the_next_login() {
    let (simulator, alice, budi) = alice().await;
    trouble(&simulator, json!({"drop_deliveries": 1})).await;
    write(&simulator, &budi, "lost").await;
    write(&simulator, &budi, "after it").await;
    alice.wait_text("after it").await;
    assert_eq!(alice.count("lost"), 0);
    post(&simulator, &format!("/admin/accounts/{ALICE}/drop"), json!({})).await;
    alice.wait_text("lost").await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_message_is_read_once_and_a_damaged_one_is_asked_for_again() {
    let (simulator, alice, budi) = alice().await;
    trouble(&simulator, json!({"repeat_deliveries": 1})).await;
    write(&simulator, &budi, "twice").await;
    alice.wait_text("twice").await;
    trouble(&simulator, json!({"damage_deliveries": 1})).await;
    write(&simulator, &budi, "damaged").await;
    alice.wait_text("damaged").await;
    write(&simulator, &budi, "last").await;
    alice.wait_text("last").await;
    // What could not be read is asked for of whoever wrote it, and of the own phone: each may bring it.
    assert_eq!(alice.count("twice"), 1);
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert!(stats["retry_receipts"].as_u64() >= Some(1), "{stats}");
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_line_delays_what_is_delivered() {
    let (simulator, alice, budi) = alice().await;
    trouble(&simulator, json!({"delivery_delay_ms": 600})).await;
    let begun = Instant::now();
    write(&simulator, &budi, "late").await;
    alice.wait_text("late").await;
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    // Two hundred bytes and more a message: what comes behind the first waits for it.
    trouble(&simulator, json!({"delivery_delay_ms": 0, "bytes_per_second": 500})).await;
    let begun = Instant::now();
    for text in ["narrow", "behind it"] {
        write(&simulator, &budi, text).await;
        alice.wait_text(text).await;
    }
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_ban_says_why_and_for_how_long() {
    let (simulator, alice, _) = alice().await;
    let ban = json!({"reason": 402, "code": 101, "expire_s": 3_600});
    post(&simulator, &format!("/admin/accounts/{ALICE}/failure"), ban).await;
    post(&simulator, &format!("/admin/accounts/{ALICE}/drop"), json!({})).await;
    let expires = alice.wait_for("a temporary ban", |event| match event {
        Event::TemporaryBan(ban) => Some(ban.expire),
        _ => None,
    });
    assert_eq!(expires.await.num_seconds(), 3_600);
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_are_too_many_are_refused() {
    let (simulator, alice, budi) = alice().await;
    post(&simulator, &format!("/admin/accounts/{ALICE}/failure"), json!({"reason": 503, "count": 2})).await;
    post(&simulator, &format!("/admin/accounts/{ALICE}/drop"), json!({})).await;
    // The client tries again by itself.
    eventually("both were refused", &simulator, "/admin/stats", |stats| {
        (stats["logins_refused"].as_u64() >= Some(2)).then_some(())
    })
    .await;
    write(&simulator, &budi, "there again").await;
    alice.wait_text("there again").await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stanzas_that_make_no_sense_do_not_end_a_client() {
    let (simulator, alice, budi) = alice().await;
    for kind in ["unknown_tag", "empty_message", "unknown_ciphertext", "garbage", "unknown_notification", "no_address"] {
        let answer = post(&simulator, &format!("/admin/accounts/{ALICE}/poison"), json!({"kind": kind})).await;
        assert_eq!(answer["connections"], 1, "{kind}");
        write(&simulator, &budi, kind).await;
        alice.wait_text(kind).await;
    }
    let (status, _) = http(&simulator, "POST", &format!("/admin/accounts/{ALICE}/poison"), r#"{"kind":"nonsense"}"#).await;
    assert_eq!(status, 422);
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_is_not_heard() {
    let (simulator, alice, budi) = alice().await;
    let block = |block: bool| json!({"phone": ALICE, "block": block}).to_string();
    let path = format!("/admin/people/{budi}/block");
    assert_eq!(http(&simulator, "POST", &path, &block(true)).await.0, 204);
    alice.send(&format!("{budi}@s.whatsapp.net"), "do you hear me").await;
    let truth = format!("/admin/accounts/{ALICE}/ground-truth");
    eventually("it was taken", &simulator, &truth, |truth| truth["accepted"].get(0).map(|_| ())).await;
    assert_eq!(http(&simulator, "POST", &path, &block(false)).await.0, 204);
    alice.send(&format!("{budi}@s.whatsapp.net"), "and now").await;
    let inbox = format!("/admin/people/{budi}/inbox");
    let heard = eventually("it has come", &simulator, &inbox, |inbox| {
        let texts: Vec<_> = inbox["messages"].as_array()?.iter().filter_map(|message| message["text"].as_str()).collect();
        (!texts.is_empty()).then(|| json!(texts))
    });
    assert_eq!(heard.await, json!(["and now"]));
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_does_its_steps_in_time_and_tells_what_failed() {
    let (simulator, alice, budi) = alice().await;
    let steps = json!({"steps": [
        {"at_ms": 400, "path": format!("/admin/people/{budi}/send"), "body": {"to": ALICE, "text": "by script"}},
        {"at_ms": 0, "path": format!("/admin/accounts/{ALICE}/drop")},
        {"at_ms": 0, "path": "/admin/accounts/1/drop"},
    ]});
    let begun = Instant::now();
    let (status, script) = http(&simulator, "POST", "/admin/scripts", &steps.to_string()).await;
    assert_eq!((status, &script["steps"]), (202, &json!(3)));
    alice.wait_text("by script").await;
    assert!(begun.elapsed() >= Duration::from_millis(400));
    let ended = eventually("it is over", &simulator, "/admin/scripts", |answer| {
        answer["scripts"].get(0).filter(|script| script["running"] == false).cloned()
    })
    .await;
    let failed: Vec<_> = ended["failures"].as_array().unwrap().iter().map(|failure| &failure["status"]).collect();
    assert_eq!((&ended["done"], failed), (&json!(3), vec![&json!(422)]), "{ended}");

    for wrong in [
        json!({"steps": []}),
        json!({"steps": [{"at_ms": 0, "path": "/admin/scripts"}]}),
        json!({"steps": [{"at_ms": 0, "path": "/v1"}]}),
    ] {
        assert_eq!(http(&simulator, "POST", "/admin/scripts", &wrong.to_string()).await.0, 422, "{wrong}");
    }
    let long = json!({"steps": [{"at_ms": 3_600_000, "path": "/admin/trouble"}]});
    let (_, long) = http(&simulator, "POST", "/admin/scripts", &long.to_string()).await;
    let (status, stopped) = http(&simulator, "DELETE", &format!("/admin/scripts/{}", long["id"]), "").await;
    assert_eq!((status, &stopped["running"]), (200, &json!(false)));
    tokio::time::timeout(PATIENCE, simulator.shutdown()).await.unwrap();
}
