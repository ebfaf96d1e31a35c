//! Unmodified clients of the published library against the simulator: pairing, texts, receipts.
use std::time::Duration;

use crate::support::{eventually, http, paired, simulator};
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
async fn a_scan_pairs_and_connects() {
    let simulator = simulator(Options::default()).await;
    let (client, scanned) = paired(&simulator, "?phone=6281100000001&name=Toko").await;
    assert_eq!(scanned["phone"], "6281100000001");
    assert_eq!(scanned["device"], 1);
    assert_eq!(scanned["jid"], "6281100000001:1@s.whatsapp.net");
    let accounts = eventually("published keys", &simulator, "/admin/accounts", |answer| {
        let device = &answer["accounts"][0]["devices"][0];
        (device["connected"] == true && device["pre_keys"].as_u64() >= Some(20)).then(|| answer.clone())
    })
    .await;
    assert_eq!(accounts["accounts"][0]["name"], "Toko");
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert_eq!(stats["iq_unknown"], 0, "{stats}");
    client.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_exchange_texts_and_receipts() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    let id = alice.send("6281100000002@s.whatsapp.net", "hello bob").await;
    let got = bob.wait_text("hello bob").await;
    assert_eq!(got.info.id, id);
    assert_eq!(got.info.push_name, "Alice");
    assert_eq!(got.info.source.chat.to_string(), "6281100000001@s.whatsapp.net");
    alice.wait_for("delivery receipt", receipt_of(ReceiptType::Delivered, &id)).await;
    let chat = got.info.source.chat.clone();
    bob.client.mark_as_read(&chat, None, &[&id]).await.unwrap();
    alice.wait_for("read receipt", receipt_of(ReceiptType::Read, &id)).await;
    for round in 0..5 {
        let text = format!("back {round}");
        bob.send("6281100000001@s.whatsapp.net", &text).await;
        alice.wait_text(&text).await;
        let text = format!("forth {round}");
        alice.send("6281100000002@s.whatsapp.net", &text).await;
        bob.wait_text(&text).await;
    }
    let truth = eventually("all acked", &simulator, "/admin/accounts/6281100000002/ground-truth", |answer| {
        let emitted = answer["emitted"].as_array()?;
        (emitted.len() == 6 && emitted.iter().all(|entry| entry["acked"] == true)).then(|| answer.clone())
    })
    .await;
    assert_eq!(truth["accepted"].as_array().unwrap().len(), 5);
    assert_eq!(truth["accepted"][0]["copies"], 1);
    // The phone of the account reads along, at its own pace.
    let phone = eventually("all on bob's phone", &simulator, "/admin/people/6281100000002/inbox", |inbox| {
        (inbox["messages"].as_array()?.len() == 6).then(|| inbox.clone())
    })
    .await;
    assert_eq!(phone["undecryptable"], 0);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_receive_read_and_write() {
    for lid_migrated in [false, true] {
        let simulator = simulator(Options { lid_migrated, ..Options::default() }).await;
        let (client, _) = paired(&simulator, "?phone=6281100000001").await;
        let (status, made) = http(&simulator, "POST", "/admin/people", r#"{"name":"Budi","auto_read":true}"#).await;
        assert_eq!(status, 200, "{made}");
        let phone = made["people"][0]["phone"].as_str().unwrap().to_owned();
        let id = client.send(&format!("{phone}@s.whatsapp.net"), "halo").await;
        client.wait_for("delivered", receipt_of(ReceiptType::Delivered, &id)).await;
        client.wait_for("read", receipt_of(ReceiptType::Read, &id)).await;
        let inbox = format!("/admin/people/{phone}/inbox");
        let message = eventually("inbox", &simulator, &inbox, |answer| answer["messages"].get(0).cloned()).await;
        assert_eq!(message["text"], "halo");
        assert_eq!(message["surfaced"], 1);
        assert_eq!(message["from"], "6281100000001");
        let body = json!({"to": "6281100000001", "text": "apa kabar"}).to_string();
        let (status, sent) = http(&simulator, "POST", &format!("/admin/people/{phone}/send"), &body).await;
        assert_eq!(status, 200, "{sent}");
        let got = client.wait_text("apa kabar").await;
        assert_eq!(got.info.id, sent["messages"][0]["id"].as_str().unwrap());
        assert_eq!(got.info.push_name, "Budi");
        assert_eq!(got.info.source.chat.is_lid(), lid_migrated);
        let people = eventually("receipts", &simulator, "/admin/people", |answer| {
            (answer["people"][0]["receipts_delivered"].as_u64() >= Some(1)).then(|| answer.clone())
        })
        .await;
        assert_eq!(people["people"][0]["undecryptable"], 0);
        client.stop().await;
        simulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_companion_of_an_account_gets_everything() {
    let simulator = simulator(Options::default()).await;
    let (first, one) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    bob.send("6281100000001@s.whatsapp.net", "to one companion").await;
    first.wait_text("to one companion").await;
    let (second, two) = paired(&simulator, "?phone=6281100000001").await;
    assert_eq!((one["device"].as_u64(), two["device"].as_u64()), (Some(1), Some(2)));
    // Bob's device list is stale now. The ack tells, and the message after it reaches both.
    let body = json!({"to": "6281100000001", "text": "from a person"}).to_string();
    let (_, made) = http(&simulator, "POST", "/admin/people", "").await;
    let person = made["people"][0]["phone"].as_str().unwrap();
    let (status, _) = http(&simulator, "POST", &format!("/admin/people/{person}/send"), &body).await;
    assert_eq!(status, 200);
    first.wait_text("from a person").await;
    second.wait_text("from a person").await;
    let mut reached = false;
    for attempt in 0..20 {
        let text = format!("to both {attempt}");
        bob.send("6281100000001@s.whatsapp.net", &text).await;
        first.wait_text(&text).await;
        reached = tokio::time::timeout(Duration::from_secs(1), second.wait_text(&text)).await.is_ok();
        if reached {
            break;
        }
    }
    assert!(reached, "the new companion never showed up in Bob's device list");
    // What one companion writes, the other sees as its own account's.
    first.send("6281100000002@s.whatsapp.net", "from companion one").await;
    bob.wait_text("from companion one").await;
    let copy = second.wait_text("from companion one").await;
    assert!(copy.info.source.is_from_me);
    assert_eq!(copy.info.source.chat.to_string(), "6281100000002@s.whatsapp.net");
    eventually("own copies", &simulator, "/admin/accounts", |answer| {
        (answer["accounts"][0]["phone_own_copies"].as_u64()? >= 1).then_some(())
    })
    .await;
    for client in [first, second, bob] {
        client.stop().await;
    }
    simulator.shutdown().await;
}
