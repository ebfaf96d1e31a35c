//! Files that come in.

use super::{Desk, KINDS, file, mime_type, sha256};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

impl Desk {
    /// The person sends a file of this kind; the object of its event, and the message's id here.
    async fn receives(&self, kind: &str, message: Value) -> (Value, String) {
        let (id, _) = self.hears(message).await;
        let event = self.event("message.received", |event| event.text("/whatsapp_id") == id).await;
        assert_eq!(event.data["type"], kind);
        (event.data[kind].clone(), event.text("/message_id").to_owned())
    }

    /// Fetching it is refused for this reason, and an event says so.
    async fn is_refused(&self, media: &Value, message: &str, reason: &str) {
        let media = media["id"].as_str().unwrap();
        let answer = self.stage.api.get(&format!("/v1/media/{media}")).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body["reason"]), (410, &json!(reason)), "{}", answer.text);
        let event = self.event("media.updated", |event| event.text("/media_id") == media).await;
        assert_eq!((event.text("/state"), event.text("/reason")), ("failed", reason));
        assert_eq!(event.text("/message_id"), message);
        assert_eq!(self.info(media).await["reason"], reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_comes_in_and_is_fetched_when_asked_for() {
    let desk = Desk::open().await;
    for (place, (kind, sent_as)) in KINDS.into_iter().enumerate() {
        let bytes = file("document", 40_000 + place);
        let media = json!({
            "base64": BASE64_STANDARD.encode(&bytes), "mime_type": mime_type(kind), "file_name": "../a.pdf",
            "width": 640, "height": 480, "seconds": 3,
        });
        let (attachment, message) = desk.receives(kind, json!({"kind": sent_as, "caption": "look", "media": media})).await;
        assert_eq!(
            (&attachment["state"], &attachment["sha256"]),
            (&json!("pending"), &json!(sha256(&bytes))),
            "{attachment}"
        );
        assert_eq!((&attachment["size"], &attachment["mime_type"]), (&json!(bytes.len()), &json!(mime_type(kind))));
        match sent_as {
            "voice" => assert_eq!((&attachment["voice"], &attachment["seconds"]), (&json!(true), &json!(3))),
            "document" => assert_eq!((&attachment["filename"], &attachment["caption"]), (&json!("a.pdf"), &json!("look"))),
            "image" => assert_eq!((&attachment["width"], &attachment["caption"]), (&json!(640), &json!("look"))),
            _ => {}
        }
        let id = attachment["id"].as_str().unwrap();
        assert_eq!(desk.info(id).await["state"], "pending");
        // Two at once are one fetch.
        let path = format!("/v1/media/{id}");
        let (first, second) = tokio::join!(desk.stage.api.get(&path), desk.stage.api.get(&path));
        for answer in [first.unwrap(), second.unwrap()] {
            assert_eq!(answer.status, 200, "{}", answer.text);
            assert_eq!(answer.headers["content-length"], bytes.len().to_string().as_str());
        }
        let event = desk.event("media.updated", |event| event.text("/media_id") == id).await;
        assert_eq!((event.text("/state"), event.text("/message_id")), ("ready", message.as_str()));
        assert!(desk.bytes(id).await == bytes, "what is here is what was sent");
        let info = desk.info(id).await;
        assert_eq!((&info["state"], &info["sha256"]), (&json!("ready"), &json!(sha256(&bytes))));
    }
    let stats = desk.stage.simulator.request(reqwest::Method::GET, "/stats", None).await.unwrap().body;
    assert_eq!(stats["media_downloads"], KINDS.len(), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_received_file_is_sent_on() {
    let desk = Desk::open().await;
    let bytes = file("image", 10_000);
    let media = json!({"base64": BASE64_STANDARD.encode(&bytes), "mime_type": "image/png"});
    let (attachment, _) = desk.receives("image", json!({"kind": "image", "media": media})).await;
    // Nobody fetched it: the send does.
    let message = desk.send(&desk.person.phone, "image", json!({"id": attachment["id"]})).await;
    assert_eq!(desk.seen(&message).await["media"]["sha256"], sha256(&bytes));
}

/// Row 87 of the bad inputs.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_was_announced_is_refused() {
    let desk = Desk::with(|options| options.env("WARREN_MEDIA__MAX_IMAGE_BYTES", "100000")).await;
    let of = |media: Value| json!({"kind": "image", "media": media});
    let wrong = json!({"size": 5_000, "declared_sha256": "00".repeat(32)});
    let (media, message) = desk.receives("image", of(wrong)).await;
    desk.is_refused(&media, &message, "media_integrity").await;

    let (media, message) = desk.receives("image", of(json!({"size": 5_000, "declared_size": 6_000}))).await;
    desk.is_refused(&media, &message, "media_integrity").await;

    // It says that it is small, and is not.
    let (media, message) = desk.receives("image", of(json!({"size": 200_000, "declared_size": 6_000}))).await;
    desk.is_refused(&media, &message, "too_large").await;

    // It says itself that it is too large: nothing is asked.
    let (media, message) = desk.receives("image", of(json!({"size": 200_000}))).await;
    desk.is_refused(&media, &message, "too_large").await;

    desk.trouble(json!({"corrupt": true})).await;
    let (media, message) = desk.receives("image", of(json!({"size": 7_000}))).await;
    desk.is_refused(&media, &message, "media_integrity").await;
    assert_eq!(desk.kept(), 0, "refused files were kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_whatsapp_has_no_more_is_gone_and_one_that_is_away_is_not() {
    let desk = Desk::open().await;
    let of = |size: u32| json!({"kind": "document", "media": {"size": size}});
    desk.trouble(json!({"status": 410})).await;
    let (media, message) = desk.receives("document", of(3_000)).await;
    desk.is_refused(&media, &message, "gone").await;

    desk.trouble(json!({"status": 503})).await;
    let (media, _) = desk.receives("document", of(3_001)).await;
    let id = media["id"].as_str().unwrap();
    let answer = desk.stage.api.get(&format!("/v1/media/{id}")).await.unwrap();
    assert_eq!(answer.body["code"], "media_unavailable", "{}", answer.text);
    assert_eq!(desk.info(id).await["state"], "pending");
    desk.trouble(json!({"status": 0})).await;
    let answer = desk.stage.api.get(&format!("/v1/media/{id}")).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers["content-length"].to_str().unwrap()), (200, "3001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_may_fetch_files_as_they_come_in() {
    let desk = Desk::with(|options| options.env("WARREN_WORKER__MEDIA_FETCH", "on_receipt")).await;
    let (media, _) = desk.receives("video", json!({"kind": "video", "media": {"size": 9_000}})).await;
    let id = media["id"].as_str().unwrap();
    let event = desk.event("media.updated", |event| event.text("/media_id") == id).await;
    assert_eq!((event.text("/state"), event.data["size"].as_u64()), ("ready", Some(9_000)));
}
