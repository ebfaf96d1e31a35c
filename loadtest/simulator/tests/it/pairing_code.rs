//! Linking by a typed code.
use std::sync::Arc;

use crate::support::{Phoneless, eventually, http, seeded, simulator};
use serde_json::json;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";

async fn showing(simulator: &Simulator) -> (Phoneless, String) {
    let client = Phoneless::start(simulator.local_addr(), seeded(simulator).await).await;
    client.wait_for("QR code", |event| matches!(event, Event::PairingQrCode(_)).then_some(())).await;
    let options = PairCodeOptions { phone_number: ALICE.to_owned(), ..Default::default() };
    let code = Arc::clone(&client.client).pair_with_code(options).await.unwrap();
    (client, code)
}

async fn type_code(simulator: &Simulator, code: &str) -> (u16, serde_json::Value) {
    let path = format!("/admin/mock-phone/enter-code?phone={ALICE}&name=Toko");
    http(simulator, "POST", &path, &json!({"code": code}).to_string()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_typed_code_pairs_and_connects() {
    let simulator = simulator(Options::default()).await;
    let (client, code) = showing(&simulator).await;
    let dashed = format!("{}-{}", &code[..4].to_lowercase(), &code[4..]);
    let (status, linked) = type_code(&simulator, &dashed).await;
    assert_eq!(status, 200, "{linked}");
    assert_eq!((linked["phone"].as_str(), linked["device"].as_u64()), (Some(ALICE), Some(1)));
    client.wait_connected().await;
    let (_, made) = http(&simulator, "POST", "/admin/people", "").await;
    let budi = made["people"][0]["phone"].as_str().unwrap();
    client.send(&format!("{budi}@s.whatsapp.net"), "halo").await;
    eventually("the text", &simulator, &format!("/admin/people/{budi}/inbox"), |inbox| {
        (inbox["messages"][0]["text"] == "halo").then_some(())
    })
    .await;
    let (status, _) = type_code(&simulator, &code).await;
    assert_eq!(status, 404, "the code is used up");
    client.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_code_is_told_to_the_phone_and_the_right_one_still_works() {
    let simulator = simulator(Options::default()).await;
    let (client, code) = showing(&simulator).await;
    let wrong = if code == "ABCD1234" { "ABCD1235" } else { "ABCD1234" };
    let (status, answer) = type_code(&simulator, wrong).await;
    assert_eq!((status, answer["code"].as_str()), (403, Some("wrong_code")), "{answer}");
    let (status, linked) = type_code(&simulator, &code).await;
    assert_eq!(status, 200, "{linked}");
    client.wait_connected().await;
    client.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_three_wrong_codes_the_client_is_to_show_another() {
    let simulator = simulator(Options::default()).await;
    let (client, code) = showing(&simulator).await;
    let wrong = if code == "ABCD1234" { "ABCD1235" } else { "ABCD1234" };
    for _ in 0..3 {
        assert_eq!(type_code(&simulator, wrong).await.0, 403);
    }
    client.wait_for("a request to refresh", |event| matches!(event, Event::PairingCodeRefresh(_)).then_some(())).await;
    for (code, status) in [("ABC", 422), ("ABCDIOU0", 422)] {
        assert_eq!(type_code(&simulator, code).await.0, status, "{code}");
    }
    let (status, _) =
        http(&simulator, "POST", "/admin/mock-phone/enter-code?phone=628999999", r#"{"code":"ABCD1234"}"#).await;
    assert_eq!(status, 404);
    client.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_says_why() {
    let simulator = simulator(Options::default()).await;
    let (status, _) = http(&simulator, "POST", "/admin/trouble", r#"{"refuse_codes":429}"#).await;
    assert_eq!(status, 200);
    let client = Phoneless::start(simulator.local_addr(), seeded(&simulator).await).await;
    client.wait_for("QR code", |event| matches!(event, Event::PairingQrCode(_)).then_some(())).await;
    let options = PairCodeOptions { phone_number: ALICE.to_owned(), ..Default::default() };
    let refused = Arc::clone(&client.client).pair_with_code(options).await.unwrap_err();
    assert_eq!(refused.rejection(), Some(whatsapp_rust::pair_code::PairCodeRejection::RateOverlimit));
    client.stop().await;
    simulator.shutdown().await;
}
