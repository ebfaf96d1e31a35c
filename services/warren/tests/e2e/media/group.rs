//! Files in a group of three: whoever sends one, the other two have it.

use super::{Desk, KINDS, file, mime_type, sha256};
use serde_json::{Value, json};
use warren_testkit::{PATIENCE, Paired, eventually};

/// The hash of the bytes of a file that an instance received, as the API gives them out.
async fn received(desk: &Desk, by: &Paired, whatsapp_id: &str, kind: &str) -> String {
    let event = eventually("the message with the file", PATIENCE, async || {
        let log = desk.stage.api.events(&by.id).await?;
        Ok(log.into_iter().find(|event| event.kind == "message.received" && event.text("/whatsapp_id") == whatsapp_id))
    })
    .await
    .unwrap();
    assert_eq!(event.data["type"], kind);
    let media = event.text(&format!("/{kind}/id")).to_owned();
    sha256(&desk.bytes(&media).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_file_goes_around_in_a_group_of_three() {
    let desk = Desk::open().await;
    let other = desk.stage.pair("b").await.unwrap();
    let members = json!({"subject": "Trip", "participants": [other.phone, desk.person.phone]});
    let made = desk.stage.api.post(&format!("/v1/instances/{}/groups", desk.instance.id), &members).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text);
    let group = made.body["id"].as_str().unwrap();
    for (place, (kind, seen_as)) in KINDS.into_iter().enumerate() {
        let bytes = file(seen_as, 60_000 + place);
        let media = desk.upload("trip.pdf", mime_type(kind), &bytes).await;
        let mut given = json!({"id": media["id"]});
        if seen_as == "voice" {
            given["voice"] = json!(true);
        }
        let message = desk.send(group, kind, given).await;
        let seen = desk.seen(&message).await;
        assert_eq!((&seen["kind"], &seen["group"]), (&json!(seen_as), &made.body["id"]), "{seen}");
        assert_eq!(seen["media"]["sha256"], sha256(&bytes), "{seen_as}");
        let whatsapp_id = message["whatsapp_id"].as_str().unwrap();
        assert_eq!(received(&desk, &other, whatsapp_id, kind).await, sha256(&bytes), "{seen_as}");

        let said: Value = json!({"to": group, "message": {"kind": seen_as, "media": {"size": 50_000 + place}}});
        let path = format!("/people/{}/send", desk.person.phone);
        let answer = desk.stage.simulator.request(reqwest::Method::POST, &path, Some(&said)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        let sent = &answer.body["messages"][0];
        for instance in [&desk.instance, &other] {
            let hash = received(&desk, instance, sent["id"].as_str().unwrap(), kind).await;
            assert_eq!(hash, sent["media"]["sha256"].as_str().unwrap(), "{seen_as}");
        }
    }
}
