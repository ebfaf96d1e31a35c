//! The history a phone hands to a companion: when it is linked, and when it asks for more.
use crate::support::{eventually, paired, person, post, simulator};
use serde_json::json;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::wacore::types::events::{Event, LazyHistorySync};
use whatsapp_rust::waproto::buffa::Message as _;
use whatsapp_rust::waproto::whatsapp::HistorySync;
use whatsapp_rust::waproto::whatsapp::history_sync::HistorySyncType;

const ALICE: &str = "6281100000001";

fn read(lazy: &LazyHistorySync) -> HistorySync {
    HistorySync::decode_from_slice(&lazy.decompress().unwrap()).unwrap()
}

/// The texts of the one chat, oldest first, with whether the account wrote each.
fn texts(history: &HistorySync) -> Vec<(String, bool)> {
    let messages = history.conversations[0].messages.iter().map(|one| one.message.as_option().unwrap());
    messages
        .map(|message| {
            let text = message.message.as_option().unwrap().conversation.clone().unwrap_or_default();
            (text, message.key.as_option().unwrap().from_me.unwrap_or_default())
        })
        .collect()
}

fn of_kind(kind: HistorySyncType) -> impl Fn(&Event) -> Option<HistorySync> {
    move |event| match event {
        Event::HistorySync(lazy) if lazy.sync_type() == kind as i32 => Some(read(lazy)),
        _ => None,
    }
}

async fn wrote(simulator: &Simulator, person: &str, texts: &[&str]) {
    for text in texts {
        post(simulator, &format!("/admin/people/{person}/send"), json!({"to": ALICE, "text": text})).await;
    }
    eventually("all arrived", simulator, &format!("/admin/people/{ALICE}/inbox"), |inbox| {
        let last = inbox["messages"].as_array()?.last()?["text"].clone();
        (last == *texts.last()?).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_companion_learns_what_was_said_and_asks_for_more() {
    let simulator = simulator(Options::default()).await;
    let scan = format!("?phone={ALICE}&name=Alice");
    let (first, _) = paired(&simulator, &scan).await;
    let budi = person(&simulator, json!({"name": "Budi"})).await;
    wrote(&simulator, &budi, &["one", "two"]).await;
    first.send(&format!("{budi}@s.whatsapp.net"), "three").await;
    eventually("the answer", &simulator, &format!("/admin/people/{budi}/inbox"), |inbox| {
        inbox["messages"].as_array()?.iter().any(|message| message["text"] == "three").then_some(())
    })
    .await;

    let (second, _) = paired(&simulator, &scan).await;
    let bootstrap = second.wait_for("the history", of_kind(HistorySyncType::INITIAL_BOOTSTRAP)).await;
    let expected = [("one", false), ("two", false), ("three", true)];
    assert_eq!(texts(&bootstrap), expected.map(|(text, own)| (text.to_owned(), own)));
    assert_eq!(bootstrap.conversations[0].name.as_deref(), Some("Budi"));
    assert_eq!(bootstrap.phone_number_to_lid_mappings.len(), 1);
    let names = second.wait_for("the names", of_kind(HistorySyncType::PUSH_NAME)).await;
    assert!(names.pushnames.iter().any(|name| name.pushname.as_deref() == Some("Budi")));

    let chat = bootstrap.conversations[0].id.parse().unwrap();
    let newest = bootstrap.conversations[0].messages.last().unwrap().message.as_option().unwrap();
    let id = newest.key.as_option().unwrap().id.clone().unwrap();
    let request = second.client.fetch_message_history(&chat, &id, true, i64::MAX, 1).await.unwrap();
    let (session, older) = second
        .wait_for("older messages", |event| match event {
            Event::HistorySync(lazy) if lazy.sync_type() == HistorySyncType::ON_DEMAND as i32 => {
                Some((lazy.peer_data_request_session_id().map(ToOwned::to_owned), read(lazy)))
            }
            _ => None,
        })
        .await;
    assert_eq!(session, Some(request));
    assert_eq!(texts(&older), [("two".to_owned(), false)]);
    first.stop().await;
    second.stop().await;
    simulator.shutdown().await;
}
