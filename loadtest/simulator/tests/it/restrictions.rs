//! An account that may not write to strangers for a while, or to so many only.
use crate::support::{ack_of, http, paired, simulator};
use serde_json::json;
use warren_simulator::Options;

const ALICE: &str = "6281100000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_out_of_reach_until_the_time_is_over() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let (_, made) = http(&simulator, "POST", "/admin/people", r#"{"count":2}"#).await;
    let to: Vec<String> =
        (0..2).map(|place| format!("{}@s.whatsapp.net", made["people"][place]["phone"].as_str().unwrap())).collect();
    let known = alice.send(&to[0], "before").await;
    assert_eq!(alice.wait_for("ack", ack_of(known)).await, None);
    assert_eq!(alice.client.mex().fetch_reachout_timelock().await.unwrap().is_active, Some(false));

    let trouble = format!("/admin/accounts/{ALICE}/trouble");
    let (status, answer) = http(&simulator, "POST", &trouble, r#"{"reachout_limit":{"for_s":3600}}"#).await;
    assert_eq!(status, 200, "{answer}");
    let until = answer["reachout_limit"]["until_ms"].as_u64().unwrap() / 1_000;
    let limit = alice.client.mex().fetch_reachout_timelock().await.unwrap();
    assert_eq!(limit.is_active, Some(true));
    assert_eq!(limit.time_enforcement_ends.as_deref(), Some(until.to_string().as_str()));
    let stranger = alice.send(&to[1], "hello").await;
    assert_eq!(alice.wait_for("nack", ack_of(stranger)).await.as_deref(), Some("463"));
    let known = alice.send(&to[0], "still").await;
    assert_eq!(alice.wait_for("ack", ack_of(known)).await, None);

    // A stranger that writes first is none any more.
    let person = made["people"][1]["phone"].as_str().unwrap();
    let body = json!({"to": ALICE, "text": "who is there"}).to_string();
    http(&simulator, "POST", &format!("/admin/people/{person}/send"), &body).await;
    alice.wait_text("who is there").await;
    let answered = alice.send(&to[1], "me").await;
    assert_eq!(alice.wait_for("ack", ack_of(answered)).await, None);

    let all = json!({"reachout_limit": {"for_s": 3600, "known_chats_pass": false}}).to_string();
    http(&simulator, "POST", &trouble, &all).await;
    let known = alice.send(&to[0], "nobody").await;
    assert_eq!(alice.wait_for("nack", ack_of(known)).await.as_deref(), Some("463"));
    http(&simulator, "POST", &trouble, &json!({"reachout_limit": {"for_s": 1, "known_chats_pass": false}}).to_string())
        .await;
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let id = alice.send(&to[0], "again").await;
        if alice.wait_for("an answer", ack_of(id)).await.is_none() {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the limit did not end");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert!(stats["messages_restricted"].as_u64() >= Some(2), "{stats}");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_chats_are_counted_and_one_too_many_is_refused() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let (_, made) = http(&simulator, "POST", "/admin/people", r#"{"count":3}"#).await;
    let to = |place: usize| format!("{}@s.whatsapp.net", made["people"][place]["phone"].as_str().unwrap());
    let known = alice.send(&to(0), "before").await;
    assert_eq!(alice.wait_for("ack", ack_of(known)).await, None);

    let trouble = format!("/admin/accounts/{ALICE}/trouble");
    let (status, answer) = http(&simulator, "POST", &trouble, r#"{"new_chats_left":1}"#).await;
    assert_eq!((status, &answer["new_chats_left"]), (200, &json!(1)));
    let sent = [(0, None), (1, None), (1, None), (2, Some("475")), (0, None)];
    for (place, error) in sent {
        let id = alice.send(&to(place), "hello").await;
        assert_eq!(alice.wait_for("an answer", ack_of(id)).await.as_deref(), error, "to {place}");
    }
    // Everybody's quota counts beside the account's own.
    http(&simulator, "POST", &trouble, r#"{"new_chats_left":true}"#).await;
    http(&simulator, "POST", "/admin/trouble", r#"{"new_chats_left":0}"#).await;
    let id = alice.send(&to(2), "hello").await;
    assert_eq!(alice.wait_for("an answer", ack_of(id)).await.as_deref(), Some("475"));
    alice.stop().await;
    simulator.shutdown().await;
}
