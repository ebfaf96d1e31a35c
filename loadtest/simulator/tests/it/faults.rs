//! What goes wrong on purpose: absence, replacement, removal, lost acks, lost keys, restarts.
use std::sync::Arc;

use crate::support::{PATIENCE, Phoneless, ack_of, eventually, http, paired, person, post, simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::NodeFilter;
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";
const BOB: &str = "6281100000002";

async fn write_as(simulator: &Simulator, phone: &str, to: &str, text: &str, count: u64) {
    post(simulator, &format!("/admin/people/{phone}/send"), json!({"to": to, "text": text, "count": count})).await;
}

fn device(accounts: &Value, phone: &str) -> Option<Value> {
    let account = accounts["accounts"].as_array()?.iter().find(|account| account["phone"] == phone)?;
    account["devices"].get(0).cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrives_in_absence_is_delivered_at_the_next_login_and_once() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    write_as(&simulator, &budi, ALICE, "before", 1).await;
    alice.wait_text("before").await;
    // A client that has just paired may log in twice.
    let (_, before) = http(&simulator, "GET", "/admin/gaps", "").await;
    let before = before["count"].as_u64().unwrap();
    let store = alice.stop().await;

    write_as(&simulator, &budi, ALICE, "absent", 40).await;
    eventually("40 waiting", &simulator, "/admin/accounts", |accounts| {
        (device(accounts, ALICE)?["queued_messages"].as_u64()? >= 40).then_some(())
    })
    .await;
    let alice = Phoneless::start(simulator.local_addr(), store).await;
    alice.wait_connected().await;
    for number in 1..=40 {
        alice.wait_text(&format!("absent {number}")).await;
    }
    let preview = alice.find(|event| match event {
        Event::OfflineSyncPreview(preview) => Some(preview.messages),
        _ => None,
    });
    assert!(preview.is_some_and(|messages| messages >= 40), "{preview:?}");
    eventually("all retired", &simulator, "/admin/accounts", |accounts| {
        (device(accounts, ALICE)?["queue"] == 0).then_some(())
    })
    .await;
    assert_eq!(alice.count("absent 7"), 1);
    let (_, gaps) = http(&simulator, "GET", &format!("/admin/gaps?after={before}"), "").await;
    assert_eq!((gaps["count"].as_u64(), &gaps["gaps"][0]["phone"]), (Some(before + 1), &json!(ALICE)), "{gaps}");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_comes_back_and_loses_nothing() {
    let simulator = simulator(Options::default()).await;
    let (pairing, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    // The library's pairing task announces the end of its stream only after it answered: when it is slow, that ends the first
    // login instead, and the next one replaces it. A client that did not pair itself has no such task.
    let alice = Phoneless::start(simulator.local_addr(), pairing.stop().await).await;
    alice.wait_connected().await;
    let (_, accounts) = http(&simulator, "GET", "/admin/accounts", "").await;
    let before = device(&accounts, ALICE).unwrap();
    let budi = person(&simulator, json!({})).await;
    for round in 1..=3 {
        let cut = post(&simulator, &format!("/admin/accounts/{ALICE}/drop"), json!({})).await;
        assert_eq!(cut["connections"], 1);
        write_as(&simulator, &budi, ALICE, &format!("round {round}"), 1).await;
        alice.wait_text(&format!("round {round}")).await;
    }
    let after = eventually("logins", &simulator, "/admin/accounts", |accounts| {
        let after = device(accounts, ALICE)?;
        (after["logins"].as_u64()? >= before["logins"].as_u64()? + 3).then_some(after)
    })
    .await;
    assert_eq!(after["replaced"], before["replaced"]);
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_login_replaces_the_first() {
    let simulator = simulator(Options::default()).await;
    let (first, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let second = first.twin(simulator.local_addr()).await;
    second.wait_connected().await;
    first.wait_for("StreamReplaced", |event| matches!(event, Event::StreamReplaced(_)).then_some(())).await;
    let (_, accounts) = http(&simulator, "GET", "/admin/accounts", "").await;
    let device = device(&accounts, ALICE).unwrap();
    assert_eq!((device["replaced"].as_u64(), device["connected"].as_bool()), (Some(1), Some(true)));
    second.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unlinked_device_is_logged_out_and_stays_out() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let unlinked = post(&simulator, &format!("/admin/accounts/{ALICE}/unlink"), json!({})).await;
    assert_eq!(unlinked["removed"], 1);
    alice.wait_for("LoggedOut", |event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    let again = alice.twin(simulator.local_addr()).await;
    again.wait_for("LoggedOut", |event| matches!(event, Event::LoggedOut(_)).then_some(())).await;
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert_eq!(stats["logins_refused"], 1);
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn injected_trouble_withholds_refuses_and_loses() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    let to = format!("{budi}@s.whatsapp.net");
    let trouble = format!("/admin/accounts/{ALICE}/trouble");

    post(&simulator, &trouble, json!({"nack": 463})).await;
    let refused = alice.send(&to, "refused").await;
    assert_eq!(alice.wait_for("nack", ack_of(refused)).await.as_deref(), Some("463"));

    post(&simulator, &trouble, json!({"nack": 0, "drop_messages": 1})).await;
    let lost = alice.send(&to, "lost").await;
    post(&simulator, &trouble, json!({"withhold_acks": 1})).await;
    let unacked = alice.send(&to, "unacked").await;
    let fine = alice.send(&to, "fine").await;
    assert_eq!(alice.wait_for("ack", ack_of(fine.clone())).await, None);
    assert!(alice.find(ack_of(lost)).is_none());
    assert!(alice.find(ack_of(unacked)).is_none());

    let inbox = eventually("two texts", &simulator, &format!("/admin/people/{budi}/inbox"), |inbox| {
        (inbox["messages"].as_array()?.len() == 2).then(|| inbox.clone())
    })
    .await;
    assert_eq!(inbox["messages"][0]["text"], "unacked");
    assert_eq!(inbox["messages"][1]["text"], "fine");
    let (_, truth) = http(&simulator, "GET", &format!("/admin/accounts/{ALICE}/ground-truth"), "").await;
    assert_eq!((truth["nacked"].as_u64(), truth["dropped"].as_u64()), (Some(1), Some(1)));
    assert_eq!(truth["accepted"].as_array().unwrap().len(), 2);
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offline_person_confirms_when_it_is_back() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({"online": false})).await;
    let id = alice.send(&format!("{budi}@s.whatsapp.net"), "are you there").await;
    let delivered = move |event: &Event| match event {
        Event::Receipt(receipt) if receipt.message_ids.contains(&id) => Some(()),
        _ => None,
    };
    let accepted = format!("/admin/accounts/{ALICE}/ground-truth");
    eventually("accepted", &simulator, &accepted, |truth| truth["accepted"].get(0).map(|_| ())).await;
    assert!(alice.find(&delivered).is_none());
    let (status, _) = http(&simulator, "PATCH", &format!("/admin/people/{budi}"), r#"{"online":true}"#).await;
    assert_eq!(status, 200);
    alice.wait_for("delivered", delivered).await;
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_lost_its_sessions_asks_again_and_gets_the_text_once() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    let to = format!("{budi}@s.whatsapp.net");
    let inbox = format!("/admin/people/{budi}/inbox");
    // A reply makes the client leave the pre-key phase: what it sends next needs the session.
    alice.send(&to, "first").await;
    eventually("first", &simulator, &inbox, |inbox| inbox["messages"].get(0).map(|_| ())).await;
    write_as(&simulator, &budi, ALICE, "reply", 1).await;
    alice.wait_text("reply").await;
    let forgotten = post(&simulator, &format!("/admin/people/{budi}/forget-sessions"), json!({})).await;
    assert!(forgotten["forgotten"].as_u64() >= Some(1));
    alice.send(&to, "second").await;
    let inbox =
        eventually("second", &simulator, &inbox, |inbox| (inbox["messages"].as_array()?.len() == 2).then(|| inbox.clone()))
            .await;
    assert_eq!(inbox["messages"][1]["text"], "second");
    assert_eq!(inbox["messages"][1]["surfaced"], 1);
    assert!(inbox["retries_sent"].as_u64() >= Some(1), "{inbox}");
    let (_, truth) = http(&simulator, "GET", &format!("/admin/accounts/{ALICE}/ground-truth"), "").await;
    assert!(truth["retry_receipts_received"].as_u64() >= Some(1), "{truth}");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_stanza_again_is_relayed_but_surfaces_once() {
    for dedupe_repeated_ids in [false, true] {
        let simulator = simulator(Options { dedupe_repeated_ids, ..Options::default() }).await;
        let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
        let budi = person(&simulator, json!({})).await;
        let sent = alice.client.wait_for_sent_node(NodeFilter::tag("message"));
        let id = alice.send(&format!("{budi}@s.whatsapp.net"), "once").await;
        let node = tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap();
        alice.client.send_node((*node).clone()).await.unwrap();
        let truth = eventually("two copies", &simulator, &format!("/admin/accounts/{ALICE}/ground-truth"), |truth| {
            (truth["accepted"][0]["copies"] == 2).then(|| truth.clone())
        })
        .await;
        assert_eq!(truth["accepted"][0]["id"], id);
        assert_eq!(truth["accepted"][0]["distinct_stanzas"], 1);
        let copies = if dedupe_repeated_ids { 1 } else { 2 };
        let inbox = eventually("the copies", &simulator, &format!("/admin/people/{budi}/inbox"), |inbox| {
            (inbox["messages"][0]["copies"] == copies).then(|| inbox.clone())
        })
        .await;
        assert_eq!(inbox["messages"].as_array().unwrap().len(), 1);
        assert_eq!(inbox["messages"][0]["surfaced"], 1);
        let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
        assert_eq!(stats["messages_deduplicated"], u64::from(dedupe_repeated_ids));
        alice.stop().await;
        simulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_is_told_and_the_next_one_succeeds() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    post(&simulator, &format!("/admin/accounts/{ALICE}/failure"), json!({"reason": 503})).await;
    alice.forget();
    post(&simulator, &format!("/admin/accounts/{ALICE}/stream-error"), json!({"code": 503})).await;
    // The client treats a 503 as passing: it tries again by itself.
    alice.wait_connected().await;
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert_eq!(stats["logins_refused"], 1);
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_simulator_keeps_its_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(folder.path().to_owned()), ..Options::default() };
    let first = simulator(options.clone()).await;
    let address = first.local_addr();
    let trust = first.trust();
    let (alice, _) = paired(&first, &format!("?phone={ALICE}&name=Alice")).await;
    let (bob, _) = paired(&first, &format!("?phone={BOB}&name=Bob")).await;
    let budi = person(&first, json!({"auto_read": true})).await;
    write_as(&first, &budi, ALICE, "one", 1).await;
    alice.wait_text("one").await;
    alice.send(&format!("{budi}@s.whatsapp.net"), "two").await;
    alice.send(&format!("{BOB}@s.whatsapp.net"), "three").await;
    bob.wait_text("three").await;
    let bobs = bob.stop().await;
    alice.send(&format!("{BOB}@s.whatsapp.net"), "while bob is away").await;
    eventually("queued for bob", &first, "/admin/accounts", |accounts| {
        (device(accounts, BOB)?["queued_messages"] == 1).then_some(())
    })
    .await;
    first.shutdown().await;

    let listener = TcpListener::bind(address).await.unwrap();
    let second = Simulator::start(listener, options).await.unwrap();
    assert_eq!(second.trust().static_public_key, trust.static_public_key);
    assert_eq!(second.trust().tls_ca_pem, trust.tls_ca_pem);
    // The client that stayed comes back by itself; the sessions on both sides still fit.
    write_as(&second, &budi, ALICE, "after the restart", 1).await;
    alice.wait_text("after the restart").await;
    let bob = Phoneless::start(address, Arc::clone(&bobs)).await;
    bob.wait_text("while bob is away").await;
    alice.send(&format!("{budi}@s.whatsapp.net"), "four").await;
    let inbox = eventually("inbox", &second, &format!("/admin/people/{budi}/inbox"), |inbox| {
        (inbox["messages"].as_array()?.len() == 2).then(|| inbox.clone())
    })
    .await;
    assert_eq!(inbox["messages"][1]["text"], "four");
    assert_eq!(inbox["undecryptable"], 0);
    alice.stop().await;
    bob.stop().await;
    second.shutdown().await;
}
