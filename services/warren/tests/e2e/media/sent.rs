//! Files that go out.

use super::{Desk, KINDS, file, mime_type, sha256};
use serde_json::json;
use std::time::Duration;
use warren_testkit::{PATIENCE, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_goes_out() {
    let desk = Desk::open().await;
    for (place, (kind, seen_as)) in KINDS.into_iter().enumerate() {
        let bytes = file(seen_as, 70_000 + place);
        let media = desk.upload("report.pdf", mime_type(kind), &bytes).await;
        let mut given = json!({"id": media["id"]});
        if matches!(kind, "image" | "video" | "document") {
            given["caption"] = json!("look");
        }
        if seen_as == "voice" {
            given["voice"] = json!(true);
        }
        let message = desk.send(&desk.person.phone, kind, given).await;
        let seen = desk.seen(&message).await;
        assert_eq!((&seen["kind"], &seen["media"]["state"]), (&json!(seen_as), &json!("ready")), "{seen}");
        assert_eq!(seen["media"]["sha256"], sha256(&bytes), "{seen_as}");
        assert_eq!(seen["media"]["declared_size"], bytes.len(), "{seen_as}");
        assert_eq!(seen["media"]["mime_type"], mime_type(kind));
        match kind {
            "image" => assert_eq!((&seen["media"]["width"], &seen["media"]["height"]), (&json!(640), &json!(480))),
            "sticker" => assert_eq!(seen["media"]["width"], 512),
            "document" => assert_eq!(seen["media"]["file_name"], "report.pdf"),
            _ => {}
        }
        if matches!(kind, "image" | "video" | "document") {
            assert_eq!(seen["caption"], "look");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_sent_again_is_uploaded_once() {
    let desk = Desk::open().await;
    let bytes = file("document", 6 * 1024 * 1024);
    let media = desk.upload("a.pdf", "application/pdf", &bytes).await;
    let first = desk.send(&desk.person.phone, "document", json!({"id": media["id"]})).await;
    let quoted = desk.seen(&first).await;
    assert_eq!(quoted["media"]["sha256"], sha256(&bytes));
    let again =
        json!({"to": desk.person.phone, "type": "document", "document": {"id": media["id"]}, "reply_to": first["id"]});
    let answer = desk.stage.api.post(&format!("/v1/instances/{}/messages", desk.instance.id), &again).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.text);
    let seen = desk.seen(&answer.body).await;
    assert_eq!((&seen["quoted_id"], &seen["media"]["state"]), (&first["whatsapp_id"], &json!("ready")));
    assert_eq!(seen["media"]["direct_path"], quoted["media"]["direct_path"]);
    let stats = desk.stage.simulator.request(reqwest::Method::GET, "/stats", None).await.unwrap().body;
    assert_eq!(stats["media_uploads"], 1, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_host_that_is_away_holds_up_only_the_chat_of_the_file() {
    let desk = Desk::open().await;
    let bytes = file("image", 5_000);
    let media = desk.upload("a.png", "image/png", &bytes).await;
    desk.trouble(json!({"upload_status": 503})).await;
    let message = desk.send(&desk.person.phone, "image", json!({"id": media["id"]})).await;
    let behind = desk.send(&desk.person.phone, "text", json!({"body": "behind it"})).await;
    let other = desk.stage.simulator.person(json!({})).await.unwrap();
    let beside = desk.send(&other.phone, "text", json!({"body": "beside it"})).await;
    desk.stage.status(beside["id"].as_str().unwrap(), "sent").await.unwrap();
    for waiting in [&message, &behind] {
        assert_eq!(desk.stage.api.message(waiting["id"].as_str().unwrap()).await.unwrap().status, "queued");
    }
    desk.trouble(json!({"upload_status": 0})).await;
    assert_eq!(desk.seen(&message).await["media"]["sha256"], sha256(&bytes));
    desk.stage.status(behind["id"].as_str().unwrap(), "sent").await.unwrap();
    let order: Vec<_> = desk.inbox(&desk.person.phone).await.unwrap().iter().map(|seen| seen["id"].clone()).collect();
    assert_eq!(order, [message["whatsapp_id"].clone(), behind["whatsapp_id"].clone()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_host_that_stays_away_or_refuses_fails_the_message_and_not_the_file() {
    let desk = Desk::with(|options| options.env("WARREN_WORKER__MEDIA_ATTEMPTS", "1")).await;
    let media = desk.upload("a.png", "image/png", &file("image", 100)).await;
    for (status, reason) in [(503, "media"), (413, "too_large"), (400, "media")] {
        desk.trouble(json!({"upload_status": status})).await;
        let message = desk.send(&desk.person.phone, "image", json!({"id": media["id"]})).await;
        assert_eq!(desk.failed(&message).await["reason"], reason, "{status}");
    }
    assert_eq!(desk.info(media["id"].as_str().unwrap()).await["state"], "ready");
    desk.trouble(json!({"upload_status": 0})).await;
    let message = desk.send(&desk.person.phone, "image", json!({"id": media["id"]})).await;
    assert_eq!(desk.seen(&message).await["media"]["state"], "ready");
}

/// Killed between the upload and the send: the next owner sends what was uploaded, once.
#[cfg(feature = "fault-injection")]
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_media_uploaded() {
    let mut desk = Desk::open().await;
    desk.stage.restart_with(|options| options.fault("media.uploaded")).await.unwrap();
    desk.stage.state(&desk.instance.id, "online").await.unwrap();
    let bytes = file("document", 200_000);
    let media = desk.upload("a.pdf", "application/pdf", &bytes).await;
    let message = desk.send(&desk.person.phone, "document", json!({"id": media["id"]})).await;
    let ended = desk.stage.warren.died(PATIENCE).await.unwrap();
    assert_eq!(ended.code, None, "it ended by itself and not by the fault: {}", ended.stderr);
    assert!(desk.inbox(&desk.person.phone).await.unwrap().is_empty(), "nothing left yet");
    desk.stage.restart().await.unwrap();
    let seen = desk.seen(&message).await;
    assert_eq!((&seen["media"]["sha256"], &seen["surfaced"]), (&json!(sha256(&bytes)), &json!(1)));
    let stats = desk.stage.simulator.request(reqwest::Method::GET, "/stats", None).await.unwrap().body;
    assert_eq!(stats["media_uploads"], 1, "{stats}");
}

/// To WhatsApp and from there, through encryption and decryption.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_passes_in_flat_memory() {
    const SIZE: usize = 64 * 1024 * 1024;
    /// How much memory may grow while it passes, whatever its size.
    const GROWTH: u64 = 30 * 1024 * 1024;
    let desk = Desk::open().await;
    // What the first of anything costs is no growth.
    let small = desk.upload("a.pdf", "application/pdf", &file("document", 2_000_000)).await;
    desk.seen(&desk.send(&desk.person.phone, "document", json!({"id": small["id"]})).await).await;
    let bytes = file("document", SIZE);
    let media = desk.upload("b.pdf", "application/pdf", &bytes).await;
    let mut most = 0;
    let before = desk.stage.warren.memory().unwrap();
    let message = desk.send(&desk.person.phone, "document", json!({"id": media["id"]})).await;
    eventually("it is sent", 2 * PATIENCE, async || {
        most = most.max(desk.stage.warren.memory()?);
        let sent = desk.stage.api.message(message["id"].as_str().unwrap()).await?.status != "queued";
        Ok(sent.then_some(()))
    })
    .await
    .unwrap();
    assert!(most < before + GROWTH, "memory grew from {before} to {most}");
    assert_eq!(desk.seen(&message).await["media"]["sha256"], sha256(&bytes));

    let (id, _) = desk.hears(json!({"kind": "document", "media": {"size": SIZE}})).await;
    let event = desk.event("message.received", |event| event.text("/whatsapp_id") == id).await;
    let media = event.text("/document/id").to_owned();
    let mut most = 0;
    let before = desk.stage.warren.memory().unwrap();
    let path = format!("/v1/media/{media}");
    let fetched = desk.stage.api.get(&path);
    let watched = eventually("it is here", 2 * PATIENCE, async || {
        most = most.max(desk.stage.warren.memory()?);
        Ok((desk.info(&media).await["state"] == "ready").then_some(()))
    });
    let (fetched, watched) = tokio::join!(fetched, watched);
    watched.unwrap();
    assert!(most < before + GROWTH, "memory grew from {before} to {most}");
    assert_eq!(fetched.unwrap().status, 200);
}

/// A stop does not wait for a file, and loses neither the file nor its message.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_a_file_waits_keeps_its_message() {
    let mut desk = Desk::open().await;
    let bytes = file("image", 5_000);
    let media = desk.upload("a.png", "image/png", &bytes).await;
    desk.trouble(json!({"upload_status": 503})).await;
    let message = desk.send(&desk.person.phone, "image", json!({"id": media["id"]})).await;
    let began = std::time::Instant::now();
    let path = format!("/v1/instances/{}/restart", desk.instance.id);
    let answer = desk.stage.api.post(&path, &json!({})).await.unwrap();
    assert!(answer.status.is_success(), "{}", answer.text);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    desk.trouble(json!({"upload_status": 0})).await;
    desk.stage.restart().await.unwrap();
    assert_eq!(desk.seen(&message).await["media"]["sha256"], sha256(&bytes));
    eventually("it is sent once", PATIENCE, async || Ok((desk.inbox(&desk.person.phone).await?.len() == 1).then_some(())))
        .await
        .unwrap();
}
