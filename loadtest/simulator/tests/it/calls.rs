//! Calls: offered by people and refused by clients, ended before anybody took them.
use crate::support::{eventually, http, paired, person, post, simulator};
use serde_json::json;
use warren_simulator::Options;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::privacy::{PrivacyCategory, PrivacyValue};
use whatsapp_rust::wacore::types::call::CallAction;
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_rings_is_refused_or_ends() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({"name": "Budi"})).await;
    let dial = format!("/admin/people/{budi}/call");
    let made = post(&simulator, &dial, json!({"to": ALICE, "video": true})).await;
    let rung = alice
        .wait_for("the call", |event| match event {
            Event::IncomingCall(call) if matches!(call.action, CallAction::Offer { .. }) => Some(call.clone()),
            _ => None,
        })
        .await;
    assert_eq!(rung.action.call_id(), made["call_id"]);
    assert!(matches!(rung.action, CallAction::Offer { is_video: true, .. }));
    let creator: Jid = rung.action.call_creator().clone();
    alice.client.voip().reject_call(rung.action.call_id(), &rung.from, &creator).await.unwrap();
    let calls = format!("/admin/calls?phone={ALICE}");
    let refused = eventually("the refusal", &simulator, &calls, |calls| {
        let call = calls["calls"][0].clone();
        (call["phase"] == "refused").then_some(call)
    })
    .await;
    assert_eq!((refused["from"].as_str(), refused["to"].as_str()), (Some(budi.as_str()), Some(ALICE)));

    let made = post(&simulator, &dial, json!({"to": ALICE})).await;
    let id = made["call_id"].as_str().unwrap().to_owned();
    let hang_up = format!("/admin/people/{budi}/hang-up");
    let ended = post(&simulator, &hang_up, json!({"call_id": id, "reason": "timeout"})).await;
    assert_eq!(ended["phase"], "ended");
    alice
        .wait_for("its end", |event| match event {
            Event::IncomingCall(call) => {
                matches!(&call.action, CallAction::Terminate { call_id, .. } if *call_id == id).then_some(())
            }
            Event::MissedCall(call) => (call.call_id == id).then_some(()),
            _ => None,
        })
        .await;
    let again = json!({"call_id": id}).to_string();
    assert_eq!(http(&simulator, "POST", &hang_up, &again).await.0, 404);
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_from_nobody_known_does_not_ring_where_that_is_set() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    alice.client.set_privacy_setting(PrivacyCategory::CallAdd, PrivacyValue::Contacts).await.unwrap();
    let dial = format!("/admin/people/{budi}/call");
    let silent = post(&simulator, &dial, json!({"to": ALICE})).await["call_id"].clone();
    post(&simulator, &format!("/admin/people/{budi}/send"), json!({"to": ALICE, "text": "it is me"})).await;
    alice.wait_text("it is me").await;
    let loud = post(&simulator, &dial, json!({"to": ALICE})).await["call_id"].clone();
    let first = alice
        .wait_for("a call", |event| match event {
            Event::IncomingCall(call) => Some(call.action.call_id().to_owned()),
            _ => None,
        })
        .await;
    assert_eq!(json!(first), loud);
    assert_ne!(loud, silent);
    alice.stop().await;
    simulator.shutdown().await;
}
