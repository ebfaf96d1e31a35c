//! Linking by a code that is typed on the phone.

use crate::main_path::is_sent;
use crate::stage;
use reqwest::Method;
use serde_json::json;
use std::time::Duration;
use warren_domain::{
    Timestamp,
    time::{Clock as _, SystemClock},
};
use warren_testkit::{Answer, Draft, PATIENCE, Stage, Stream, eventually};

const PHONE: &str = "6281100000001";

async fn begin(stage: &Stage, id: &str, phone: &str) -> Answer {
    let body = json!({"method": "code", "phone": phone});
    stage.api.post(&format!("/v1/instances/{id}/pairing"), &body).await.unwrap()
}

async fn code(stage: &Stage, id: &str) -> String {
    eventually("a code", PATIENCE, async || Ok(stage.api.pairing(id).await?.code)).await.unwrap()
}

async fn type_code(stage: &Stage, phone: &str, code: &str) -> Answer {
    let path = format!("/mock-phone/enter-code?phone={phone}&name=Toko");
    stage.simulator.request(Method::POST, &path, Some(&json!({"code": code}))).await.unwrap()
}

/// Waits for the end of a pairing; its reason.
async fn failure(stage: &Stage, id: &str) -> String {
    let failed = eventually("the pairing fails", PATIENCE, async || {
        let pairing = stage.api.pairing(id).await?;
        Ok((pairing.state == "failed").then_some(pairing))
    })
    .await
    .unwrap();
    assert_eq!((failed.code, failed.qr), (None, None));
    stage.state(id, "created").await.unwrap();
    let log = stage.api.events(id).await.unwrap();
    let event = log.into_iter().rev().find(|event| event.kind == "pairing.failed").unwrap();
    assert_eq!(Some(event.text("/reason")), failed.reason.as_deref());
    event.text("/reason").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_links_and_connects() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    let stream = Stream::open(&stage.api, "type=pairing.code&type=pairing.qr").await.unwrap();
    let begun = begin(&stage, &id, &format!("+{PHONE}")).await;
    assert_eq!((begun.status.as_u16(), &begun.body["state"]), (202, &json!("starting")), "{}", begun.text);
    let shown = stream.wait_for("the code", PATIENCE, |event| event.kind == "pairing.code").await.unwrap();
    assert_eq!(shown.data["replaces_previous"], false);
    assert!(shown.seq.is_none() && shown.data["expires_at"].is_string());
    let pairing = stage.api.pairing(&id).await.unwrap();
    assert_eq!((pairing.state.as_str(), pairing.code.as_deref()), ("waiting", Some(shown.text("/code"))));
    assert!(pairing.qr.is_none() && pairing.expires_at.is_some());
    let parts: Vec<_> = shown.text("/code").split('-').map(str::len).collect();
    assert_eq!(parts, [4, 4]);

    // A second pairing beside it is refused, by either way.
    assert_eq!(begin(&stage, &id, PHONE).await.code(), "pairing_in_progress");
    let by_qr = stage.api.post(&format!("/v1/instances/{id}/pairing"), &json!({"method": "qr"})).await.unwrap();
    assert_eq!((by_qr.status.as_u16(), by_qr.code()), (409, "pairing_in_progress"));

    let linked = type_code(&stage, PHONE, shown.text("/code")).await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    stage.state(&id, "online").await.unwrap();
    assert_eq!(stage.api.instance(&id).await.unwrap().phone.as_deref(), Some(PHONE));
    assert!(stream.events().iter().all(|event| event.kind == "pairing.code"), "no QR code was shown");
    let person = stage.simulator.person(json!({})).await.unwrap();
    let sent = stage.api.send(&id, &Draft::text(&person.phone, "halo").wait()).await.unwrap();
    assert!(is_sent(&sent), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_is_forgiven_and_three_bring_another() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    begin(&stage, &id, PHONE).await;
    let first = code(&stage, &id).await;
    let wrong = if first == "ABCD-1234" { "ABCD-1235" } else { "ABCD-1234" };
    for _ in 0..3 {
        assert_eq!(type_code(&stage, PHONE, wrong).await.status, 403);
    }
    let second =
        eventually("another code", PATIENCE, async || Ok(stage.api.pairing(&id).await?.code.filter(|code| *code != first)))
            .await
            .unwrap();
    assert_eq!(type_code(&stage, PHONE, wrong).await.status, 403);
    let linked = type_code(&stage, PHONE, &second).await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    stage.state(&id, "online").await.unwrap();
}

/// The library's code is good for three minutes; it is the library's time, so this takes its time. The QR codes of the
/// connection run out before that, which must not cost the code.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_runs_out_is_replaced_and_says_so() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    let stream = Stream::open(&stage.api, "type=pairing.code").await.unwrap();
    begin(&stage, &id, PHONE).await;
    let first = stream.wait_for("the first code", PATIENCE, |event| event.kind == "pairing.code").await.unwrap();
    let is_second = |event: &warren_testkit::Event| event.data["replaces_previous"] == true;
    let second = stream.wait_for("the second code", Duration::from_secs(300), is_second).await.unwrap();
    assert_ne!(first.text("/code"), second.text("/code"));
    let expired: Timestamp = first.text("/expires_at").parse().unwrap();
    // It is given up by a clock that only runs forward, and says so by one that is set now and then.
    let early = expired.as_millis() - SystemClock.now().as_millis();
    assert!(early < 2_000, "the first code was given up {early} ms before its time");
    let linked = type_code(&stage, PHONE, second.text("/code")).await;
    assert_eq!(linked.status, 200, "{}", linked.text);
    stage.state(&id, "online").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_code_is_dead_and_another_way_is_free() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    begin(&stage, &id, PHONE).await;
    let shown = code(&stage, &id).await;
    let cancelled = stage.api.delete(&format!("/v1/instances/{id}/pairing")).await.unwrap();
    assert_eq!(cancelled.status, 204, "{}", cancelled.text);
    let pairing = stage.api.pairing(&id).await.unwrap();
    assert_eq!((pairing.state.as_str(), pairing.code), ("cancelled", None));
    eventually("the code is dead", PATIENCE, async || {
        let typed = type_code(&stage, PHONE, &shown).await;
        anyhow::ensure!(!typed.status.is_success(), "a cancelled code was taken");
        Ok((typed.status == 404).then_some(()))
    })
    .await
    .unwrap();
    stage.pair_as(&id, None).await.unwrap();
    assert_eq!(begin(&stage, &id, PHONE).await.code(), "already_paired");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_refuses_ends_the_pairing_with_its_reason() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    for (refusal, reason) in
        [(429, "code_limit"), (400, "number_refused"), (403, "code_unavailable"), (452, "code_unavailable")]
    {
        stage.simulator.request(Method::POST, "/trouble", Some(&json!({"refuse_codes": refusal}))).await.unwrap();
        assert_eq!(begin(&stage, &id, PHONE).await.status, 202);
        assert_eq!(failure(&stage, &id).await, reason);
    }
    stage.simulator.request(Method::POST, "/trouble", Some(&json!({"refuse_codes": 0}))).await.unwrap();
    assert_eq!(begin(&stage, &id, PHONE).await.status, 202);
    code(&stage, &id).await;
    stage.api.delete(&format!("/v1/instances/{id}/pairing")).await.unwrap();
    // Row 74: the sixth within ten minutes would lock the number at WhatsApp.
    let sixth = begin(&stage, &id, PHONE).await;
    assert_eq!((sixth.status.as_u16(), sixth.code()), (429, "too_many_codes"), "{}", sixth.text);
    stage.pair_as(&id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_number_is_refused_at_once() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    for phone in ["", "12345", "0811000001", "+62 811", &"1".repeat(16), "62811000001@s.whatsapp.net", "1203@g.us"] {
        let refused = begin(&stage, &id, phone).await;
        assert_eq!((refused.status.as_u16(), refused.body["field"].as_str()), (422, Some("phone")), "{}", refused.text);
        assert!(phone.is_empty() || !refused.text.contains(phone));
    }
    let path = format!("/v1/instances/{id}/pairing");
    for body in [json!({"method": "code"}), json!({"method": "qr", "phone": PHONE}), json!({"method": "code", "phone": 1})] {
        assert_eq!(stage.api.post(&path, &body).await.unwrap().status, 422, "{body}");
    }
    let untouched = stage.api.pairing(&id).await.unwrap();
    assert_eq!((untouched.state.as_str(), untouched.code), ("none", None));
}
