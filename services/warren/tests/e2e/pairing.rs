//! Linking, unlinking, linking again.

use crate::main_path::is_sent;
use crate::{binary, stage};
use serde_json::json;
use std::time::Duration;
use warren_testkit::{Draft, Network, Options, PATIENCE, Stage, Stream, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_logged_out_instance_pairs_again_under_its_id() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    stage.simulator.happen(&a.phone, "unlink", json!({})).await.unwrap();
    stage.state(&a.id, "logged_out").await.unwrap();
    let refused = stage.api.try_send(&a.id, &Draft::text(&person.phone, "too late")).await.unwrap();
    println!("a send while logged out: {} {}", refused.status, refused.text);

    let phone = stage.pair_as(&a.id, Some(&a.phone)).await.unwrap();
    assert_eq!(phone, a.phone);
    let sent = stage.api.send(&a.id, &Draft::text(&person.phone, "back again").wait()).await.unwrap();
    assert!(is_sent(&sent), "{sent:?}");
    stage.simulator.write(&person.phone, &a.phone, "welcome back", 1).await.unwrap();
    eventually("the answer", PATIENCE, async || {
        let log = stage.api.events(&a.id).await?;
        Ok(log.iter().any(|event| event.is_text("welcome back")).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_asked_for_unlinks_the_device() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let answer = stage.api.post(&format!("/v1/instances/{}/logout", a.id), &json!({})).await.unwrap();
    assert_eq!(answer.status, 202, "{}", answer.text);
    stage.state(&a.id, "logged_out").await.unwrap();
    eventually("the device is gone", PATIENCE, async || Ok((!stage.simulator.is_connected(&a.phone).await?).then_some(())))
        .await
        .unwrap();
    stage.pair_as(&a.id, Some(&a.phone)).await.unwrap();
}

/// The library shows a code for 60 s (the first) or 20 s; it is the library's time, so this takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_runs_out_is_replaced_and_says_so() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    let stream = Stream::open(&stage.api, "type=pairing.qr").await.unwrap();
    stage.api.start_pairing(&id).await.unwrap();
    let first = stream.wait_for("the first code", PATIENCE, |event| event.kind == "pairing.qr").await.unwrap();
    assert_eq!(first.data["replaces_previous"], false);
    assert!(first.seq.is_none() && first.cursor.is_none(), "ephemeral");
    let is_second = |event: &warren_testkit::Event| event.data["replaces_previous"] == true;
    let second = stream.wait_for("the second code", Duration::from_secs(120), is_second).await.unwrap();
    assert_ne!(first.text("/qr"), second.text("/qr"));
    let shown = stage.api.pairing(&id).await.unwrap();
    assert_ne!(shown.qr.as_deref(), Some(first.text("/qr")));
    stage.simulator.scan(&stage.qr(&id).await.unwrap(), None).await.unwrap();
    stage.state(&id, "online").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_can_be_cancelled_and_begun_again() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    stage.api.start_pairing(&id).await.unwrap();
    let code = stage.qr(&id).await.unwrap();
    let answer = stage.api.delete(&format!("/v1/instances/{id}/pairing")).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text);
    stage.state(&id, "created").await.unwrap();
    let pairing = stage.api.pairing(&id).await.unwrap();
    assert_eq!((pairing.state.as_str(), pairing.qr), ("cancelled", None));
    eventually("the code is dead", PATIENCE, async || {
        let scan = stage.simulator.try_scan(&code, None).await?;
        anyhow::ensure!(!scan.status.is_success(), "a cancelled code was taken");
        Ok((scan.status == 404).then_some(()))
    })
    .await
    .unwrap();
    stage.pair_as(&id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_shown_as_a_picture() {
    let stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    stage.api.start_pairing(&id).await.unwrap();
    stage.qr(&id).await.unwrap();
    for (kind, content_type) in [("png", "image/png"), ("svg", "image/svg+xml")] {
        let picture = stage.api.get(&format!("/v1/instances/{id}/pairing/qr.{kind}")).await.unwrap();
        assert_eq!(picture.status, 200, "{}", picture.text);
        assert!(picture.headers["content-type"].to_str().unwrap().starts_with(content_type));
    }
}

/// The code is dead with the process that showed it; that is said, and a new one can be asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_that_a_kill_interrupts_begins_again() {
    let mut stage = stage().await;
    let id = stage.api.create_instance("a").await.unwrap().id;
    stage.api.start_pairing(&id).await.unwrap();
    stage.qr(&id).await.unwrap();
    stage.restart().await.unwrap();
    stage.state(&id, "created").await.unwrap();
    let log = stage.api.events(&id).await.unwrap();
    assert!(log.iter().any(|event| event.kind == "pairing.failed" && event.text("/reason") == "interrupted"));
    stage.pair_as(&id, None).await.unwrap();
}

/// The phone consented and our answer never arrived: WhatsApp knows no such device, which the first login tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_of_which_whatsapp_knows_nothing_has_failed() {
    let stage = stage().await;
    let phone = stage.pair("a").await.unwrap().phone;
    stage.simulator.happen(&phone, "failure", json!({"reason": 401})).await.unwrap();
    let id = stage.api.create_instance("b").await.unwrap().id;
    stage.api.start_pairing(&id).await.unwrap();
    let qr = stage.qr(&id).await.unwrap();
    stage.simulator.scan(&qr, Some(&phone)).await.unwrap();
    stage.state(&id, "logged_out").await.unwrap();
    assert_eq!(stage.api.instance(&id).await.unwrap().reason.as_deref(), Some("interrupted"));
    assert_eq!(stage.api.pairing(&id).await.unwrap().state, "failed");
    let log = stage.api.events(&id).await.unwrap();
    assert!(log.iter().any(|event| event.kind == "pairing.failed" && event.text("/reason") == "interrupted"));
    stage.pair_as(&id, Some(&phone)).await.unwrap();
}

/// As with WhatsApp itself, and as the scorecard measures it; the simulator's own authority signs.
#[tokio::test(flavor = "multi_thread")]
async fn pairs_and_sends_over_tls() {
    let over_tls = |mut options: Options| {
        if let Network::Simulator(url) = &mut options.network {
            *url = url.replacen("http://", "https://", 1);
        }
        options
    };
    let stage = Stage::start_with(binary(), over_tls).await.unwrap();
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let sent = stage.api.send(&a.id, &Draft::text(&person.phone, "in private").wait()).await.unwrap();
    assert!(is_sent(&sent), "{sent:?}");
}
