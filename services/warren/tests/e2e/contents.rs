//! Every type of message that carries no media, out and in: what one side says, the other side sees.

use crate::stage;
use reqwest::Method;
use serde_json::{Value, json};
use warren_testkit::{Event, PATIENCE, Paired, Person, Stage, eventually};

/// An instance and a person who have each said something.
struct Talk {
    stage: Stage,
    instance: Paired,
    person: Person,
}

impl Talk {
    async fn begin() -> Self {
        let stage = stage().await;
        let instance = stage.pair("a").await.unwrap();
        let person = stage.simulator.person(json!({})).await.unwrap();
        Self { stage, instance, person }
    }

    /// Sends and waits for the server; the message's id here, and at WhatsApp.
    async fn says(&self, kind: &str, content: Value) -> (String, String) {
        let body = json!({"to": self.person.phone, "type": kind, kind: content});
        self.ask(Method::POST, &format!("/v1/instances/{}/messages", self.instance.id), &body).await
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> (String, String) {
        let answer = self.stage.api.request(method, &format!("{path}?wait=sent"), Some(body), &[]).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (text("id"), text("whatsapp_id"))
    }

    /// What the person saw under this id.
    async fn seen(&self, whatsapp_id: &str) -> Value {
        let path = format!("/people/{}/inbox?from={}&limit=100", self.person.phone, self.instance.phone);
        eventually("the person sees it", PATIENCE, async || {
            let inbox = self.stage.simulator.request(Method::GET, &path, None).await?.body;
            let messages = inbox["messages"].as_array().cloned().unwrap_or_default();
            Ok(messages.into_iter().find(|message| message["id"] == whatsapp_id))
        })
        .await
        .unwrap()
    }

    /// The person writes; its id at WhatsApp.
    async fn hears(&self, message: Value) -> String {
        let body = json!({"to": self.instance.phone, "message": message});
        let path = format!("/people/{}/send", self.person.phone);
        let answer = self.stage.simulator.request(Method::POST, &path, Some(&body)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.body["messages"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The event of what the person wrote.
    async fn event(&self, kind: &str, whatsapp_id: &str) -> Event {
        eventually("its event", PATIENCE, async || {
            let log = self.stage.api.events(&self.instance.id).await?;
            Ok(log.into_iter().find(|event| event.kind == kind && event.text("/whatsapp_id") == whatsapp_id))
        })
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn places_cards_and_mentions_go_out() {
    let talk = Talk::begin().await;
    let place = json!({"latitude": -6.2, "longitude": 106.8, "name": "Monas", "address": "Jakarta"});
    let (_, id) = talk.says("location", place.clone()).await;
    let seen = talk.seen(&id).await;
    assert_eq!((&seen["kind"], &seen["location"]), (&json!("location"), &place));

    let cards = json!([{"name": "Budi; Santoso", "phones": ["+6281100000009"]}, {"name": "Sari", "vcard": "BEGIN:VCARD\nFN:Sari\nEND:VCARD"}]);
    let (_, id) = talk.says("contacts", cards).await;
    let seen = talk.seen(&id).await;
    assert_eq!(seen["kind"], "contacts");
    assert_eq!(seen["contacts"][0]["name"], "Budi; Santoso");
    assert!(seen["contacts"][0]["vcard"].as_str().unwrap().contains("waid=6281100000009:+6281100000009"));
    assert_eq!(seen["contacts"][1]["vcard"], "BEGIN:VCARD\nFN:Sari\nEND:VCARD");

    let text = json!({"body": format!("@{} look", talk.person.phone), "mentions": [talk.person.phone]});
    let (_, id) = talk.says("text", text).await;
    assert_eq!(talk.seen(&id).await["mentions"], json!([talk.person.phone]));
}

#[tokio::test(flavor = "multi_thread")]
async fn places_cards_and_mentions_come_in() {
    let talk = Talk::begin().await;
    let place = json!({"latitude": 52.5, "longitude": 13.4, "name": "Tor", "address": "Berlin"});
    let id = talk.hears(json!({"kind": "location", "location": place})).await;
    let event = talk.event("message.received", &id).await;
    assert_eq!((&event.data["type"], &event.data["location"]), (&json!("location"), &place));

    let vcard = "BEGIN:VCARD\nFN:Budi\nTEL;waid=6281100000009:+62\nEND:VCARD";
    let id = talk.hears(json!({"kind": "contacts", "contacts": [{"name": "Budi", "vcard": vcard}]})).await;
    let event = talk.event("message.received", &id).await;
    let card = json!([{"name": "Budi", "phones": ["6281100000009"], "vcard": vcard}]);
    assert_eq!((&event.data["type"], &event.data["contacts"]), (&json!("contacts"), &card));

    let id = talk.hears(json!({"kind": "text", "text": "@you", "mentions": [talk.instance.phone]})).await;
    let event = talk.event("message.received", &id).await;
    assert_eq!(event.data["text"]["mentions"].as_array().unwrap().len(), 1, "{:?}", event.data);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_text_is_reacted_to_edited_and_taken_back() {
    let talk = Talk::begin().await;
    let (message, target) = talk.says("text", json!({"body": "helo"})).await;
    let path = format!("/v1/messages/{message}");
    let (_, id) = talk.ask(Method::POST, &format!("{path}/reactions"), &json!({"emoji": "👍"})).await;
    let seen = talk.seen(&id).await;
    assert_eq!((&seen["kind"], &seen["target_id"], &seen["emoji"]), (&json!("reaction"), &json!(target), &json!("👍")));

    let (_, id) = talk.ask(Method::PATCH, &path, &json!({"text": {"body": "hello"}})).await;
    let seen = talk.seen(&id).await;
    assert_eq!((&seen["kind"], &seen["target_id"], &seen["text"]), (&json!("edit"), &json!(target), &json!("hello")));

    let (_, id) = talk.ask(Method::DELETE, &path, &json!({})).await;
    let seen = talk.seen(&id).await;
    assert_eq!((&seen["kind"], &seen["target_id"]), (&json!("revoke"), &json!(target)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_does_to_messages_is_an_event() {
    let talk = Talk::begin().await;
    let (ours, target) = talk.says("text", json!({"body": "how was it?"})).await;
    talk.seen(&target).await;
    let id = talk.hears(json!({"kind": "reaction", "target_id": target, "emoji": "❤️"})).await;
    let reaction = &talk.event("message.reaction", &id).await.data["reaction"];
    assert_eq!((&reaction["message_id"], &reaction["whatsapp_id"]), (&json!(ours), &json!(target)));
    assert_eq!((&reaction["emoji"], &reaction["from_me"]), (&json!("❤️"), &json!(false)));

    let target = talk.hears(json!({"kind": "text", "text": "god"})).await;
    let theirs = talk.event("message.received", &target).await.text("/message_id").to_owned();
    let id = talk.hears(json!({"kind": "edit", "target_id": target, "text": "good"})).await;
    let edit = &talk.event("message.edited", &id).await.data["edit"];
    assert_eq!((&edit["message_id"], &edit["body"], &edit["from_me"]), (&json!(theirs), &json!("good"), &json!(true)));

    let id = talk.hears(json!({"kind": "revoke", "target_id": target})).await;
    let revoke = &talk.event("message.revoked", &id).await.data["revoke"];
    assert_eq!((&revoke["message_id"], &revoke["whatsapp_id"]), (&json!(theirs), &json!(target)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_to_a_message_is_refused() {
    let talk = Talk::begin().await;
    let theirs = talk.hears(json!({"kind": "text", "text": "mine"})).await;
    let theirs = talk.event("message.received", &theirs).await.text("/message_id").to_owned();
    let (place, _) = talk.says("location", json!({"latitude": 1, "longitude": 1})).await;
    let refused = async |method: Method, path: &str, body: Value| {
        let answer = talk.stage.api.request(method, path, Some(&body), &[]).await.unwrap();
        (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default().to_owned())
    };
    let edit = json!({"text": {"body": "x"}});
    let of = |message: &str| format!("/v1/messages/{message}");
    assert_eq!(refused(Method::PATCH, &of(&theirs), edit.clone()).await, (409, "not_editable".into()));
    assert_eq!(refused(Method::PATCH, &of(&place), edit.clone()).await, (409, "not_editable".into()));
    assert_eq!(refused(Method::DELETE, &of(&theirs), json!({})).await, (409, "not_revocable".into()));
    let nobodys = of("01a2058b2e44715fa971c7b66cbd51ce");
    assert_eq!(refused(Method::DELETE, &nobodys, json!({})).await, (404, "not_found".into()));
    assert_eq!(
        refused(Method::POST, &format!("{nobodys}/reactions"), json!({"emoji": "👍"})).await,
        (404, "not_found".into())
    );
    let reaction = format!("{}/reactions", of(&place));
    assert_eq!(refused(Method::POST, &reaction, json!({"emoji": "fine"})).await, (422, "invalid_request".into()));
    assert_eq!(refused(Method::PATCH, &of(&place), json!({"text": {"body": ""}})).await, (422, "invalid_request".into()));
}
