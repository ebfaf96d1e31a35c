//! App state: what the phone writes into it, what companions tell each other by it, and the snapshot for who comes late.
use crate::https::Https;
use crate::support::{http, paired, simulator};
use serde_json::json;
use warren_simulator::Options;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";

fn renamed(to: &'static str) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::SelfPushNameUpdated(update) if update.new_name == to => Some(()),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_set_by_one_companion_reaches_the_other() {
    let simulator = simulator(Options::default()).await;
    let scan = format!("?phone={ALICE}&name=Alice");
    let (first, _) = paired(&simulator, &scan).await;
    let (second, _) = paired(&simulator, &scan).await;
    assert_eq!(second.client.push_name(), "Alice");
    first.client.profile().set_push_name("Alicia").await.unwrap();
    second.wait_for("the new name", renamed("Alicia")).await;
    let (_, accounts) = http(&simulator, "GET", "/admin/accounts", "").await;
    assert_eq!(accounts["accounts"][0]["name"], "Alicia", "{accounts}");
    // And one that is typed on the phone reaches both.
    let renaming = json!({"name": "A."}).to_string();
    assert_eq!(http(&simulator, "PATCH", &format!("/admin/people/{ALICE}"), &renaming).await.0, 200);
    first.wait_for("the phone's name", renamed("A.")).await;
    second.wait_for("the phone's name", renamed("A.")).await;
    first.stop().await;
    second.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_late_starts_from_a_snapshot() {
    let simulator = simulator(Options::default()).await;
    let scan = format!("?phone={ALICE}");
    let (first, _) = paired(&simulator, &scan).await;
    let chat: Jid = "62811222333@s.whatsapp.net".parse().unwrap();
    let (status, _) = http(&simulator, "POST", "/admin/people", &json!({"phone": "62811222333"}).to_string()).await;
    assert_eq!(status, 200);
    for _ in 0..20 {
        first.client.chat_actions().pin_chat(&chat).await.unwrap();
        first.client.chat_actions().unpin_chat(&chat).await.unwrap();
    }
    first.client.chat_actions().pin_chat(&chat).await.unwrap();
    let stored = |media: &serde_json::Value| {
        let files = media["files"].as_array().unwrap().clone();
        files.iter().filter(|file| file["direct_path"].as_str().unwrap().contains("app-state")).count()
    };
    let (_, before) = http(&simulator, "GET", "/admin/media", "").await;
    assert_eq!(stored(&before), 0, "{before}");

    let second = crate::support::Phoneless::start_with(
        simulator.local_addr(),
        crate::support::seeded(&simulator).await,
        Https::new(&simulator),
    )
    .await;
    let (second, _) = crate::support::scanned(&simulator, second, &scan).await;
    second.wait_for("the pin", |event| matches!(event, Event::PinUpdate(_)).then_some(())).await;
    let (_, after) = http(&simulator, "GET", "/admin/media", "").await;
    assert_eq!(stored(&after), 1, "{after}");
    // What it writes on top of the snapshot is right for the other one too.
    second.client.chat_actions().mute_chat(&chat).await.unwrap();
    first.wait_for("the mute", |event| matches!(event, Event::MuteUpdate(_)).then_some(())).await;
    second.client.chat_actions().unpin_chat(&chat).await.unwrap();
    first
        .wait_for("the unpin", |event| match event {
            Event::PinUpdate(update) if update.action.pinned == Some(false) => Some(()),
            _ => None,
        })
        .await;
    first.stop().await;
    second.stop().await;
    simulator.shutdown().await;
}
