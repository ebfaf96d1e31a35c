//! People who act by rule, and the page.

use std::time::{Duration, Instant};

use crate::support::{eventually, http, paired, person, simulator};
use serde_json::json;
use warren_simulator::Options;
use whatsapp_rust::wacore::types::events::Event;
use whatsapp_rust::wacore::types::presence::ReceiptType;

fn receipt_of(kind: ReceiptType, id: &str) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::Receipt(receipt) if receipt.r#type == kind && receipt.message_ids.iter().any(|known| known == id) => Some(()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_types_and_answers_accounts_but_no_other_person() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let echo = person(&simulator, json!({"echo": true, "typing_ms": 50, "auto_read": true})).await;
    let other = person(&simulator, json!({"echo": true})).await;

    let id = alice.send(&format!("{echo}@s.whatsapp.net"), "hello wall").await;
    alice.wait_for("read receipt", receipt_of(ReceiptType::Read, &id)).await;
    alice.wait_for("typing", |event| matches!(event, Event::ChatPresence(_)).then_some(())).await;
    let answer = alice.wait_text("hello wall").await;
    assert_eq!(answer.info.source.sender.user, echo.as_str());

    // Two of them would never stop.
    let body = json!({"to": other, "text": "who is there"}).to_string();
    let (status, _) = http(&simulator, "POST", &format!("/admin/people/{echo}/send"), &body).await;
    assert_eq!(status, 200);
    let inbox = format!("/admin/people/{other}/inbox");
    eventually("it has come", &simulator, &inbox, |answer| answer["messages"].get(0).map(|_| ())).await;
    let id = alice.send(&format!("{echo}@s.whatsapp.net"), "still there").await;
    alice.wait_text("still there").await;
    alice.wait_for("read receipt", receipt_of(ReceiptType::Read, &id)).await;
    let (_, inbox) = http(&simulator, "GET", &format!("/admin/people/{echo}/inbox?from={other}"), "").await;
    assert_eq!(inbox["messages"], json!([]));
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_slow_confirms_late() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let slow = person(&simulator, json!({"slow_ms": 700})).await;
    let begun = Instant::now();
    let id = alice.send(&format!("{slow}@s.whatsapp.net"), "take your time").await;
    alice.wait_for("delivery receipt", receipt_of(ReceiptType::Delivered, &id)).await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_is_away_comes_back_by_himself_even_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { data_dir: Some(folder.path().to_owned()), ..Options::default() };
    let first = simulator(options()).await;
    let (alice, _) = paired(&first, "?phone=6281100000001").await;
    let away = person(&first, json!({"offline_for_s": 1})).await;
    let id = alice.send(&format!("{away}@s.whatsapp.net"), "are you there").await;
    alice.wait_for("delivery receipt", receipt_of(ReceiptType::Delivered, &id)).await;
    alice.stop().await;

    let path = format!("/admin/people/{away}");
    let (status, _) = http(&first, "PATCH", &path, r#"{"offline_for_s":1}"#).await;
    assert_eq!(status, 200);
    first.shutdown().await;
    let second = simulator(options()).await;
    eventually("it is back", &second, "/admin/people", |answer| {
        answer["people"].as_array()?.iter().find(|one| one["phone"] == away.as_str() && one["online"] == true).map(|_| ())
    })
    .await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn habits_that_are_none_are_refused() {
    let simulator = simulator(Options::default()).await;
    let somebody = person(&simulator, json!({})).await;
    for body in [r#"{"ecko":true}"#, r#"{"slow_ms":600001}"#, r#"{"offline_for_s":0}"#, r#"{"phone":"628"}"#] {
        let (status, answer) = http(&simulator, "PATCH", &format!("/admin/people/{somebody}"), body).await;
        assert_eq!((status, &answer["code"]), (422, &json!("invalid")), "{body}");
    }
    simulator.shutdown().await;
}
