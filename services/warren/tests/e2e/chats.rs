//! What others see this account doing: typing, recording, reading.

use crate::stage;
use reqwest::Method;
use serde_json::{Value, json};
use warren_testkit::{PATIENCE, eventually};

#[tokio::test]
async fn others_see_typing_and_reading() {
    let stage = stage().await;
    let instance = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();

    for (activity, state) in [("typing", "composing"), ("recording", "recording"), ("paused", "paused")] {
        let path = format!("/v1/instances/{}/chats/{}/activity", instance.id, person.phone);
        let shown = stage.api.request(Method::PUT, &path, Some(&json!({"activity": activity})), &[]).await.unwrap();
        assert_eq!(shown.status, 204, "{}", shown.text);
        eventually("it is seen", PATIENCE, async || {
            let seen = stage.simulator.request(Method::GET, &format!("/people/{}/chat-states", person.phone), None).await?;
            let states = seen.body["chat_states"].as_array().cloned().unwrap_or_default();
            Ok(states.into_iter().find(|seen| seen["state"] == state))
        })
        .await
        .unwrap();
    }

    let body = json!({"to": instance.phone, "text": "hello"});
    stage.simulator.request(Method::POST, &format!("/people/{}/send", person.phone), Some(&body)).await.unwrap();
    let received = eventually("it arrives", PATIENCE, async || {
        let log = stage.api.events(&instance.id).await?;
        Ok(log.into_iter().find(|event| event.kind == "message.received"))
    })
    .await
    .unwrap();
    let id = received.data["message_id"].as_str().unwrap().to_owned();
    let read = stage.api.post(&format!("/v1/messages/{id}/read"), &json!({})).await.unwrap();
    assert_eq!(read.status, 204, "{}", read.text);
    eventually("the person sees it read", PATIENCE, async || {
        let people = stage.simulator.request(Method::GET, "/people", None).await?.body;
        let people = people["people"].as_array().cloned().unwrap_or_default();
        let found = people.into_iter().find(|found| found["phone"] == person.phone.as_str());
        Ok(found.filter(|found| found["receipts_read"] == 1))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn nothing_is_asked_of_whatsapp_without_a_connection() {
    let stage = stage().await;
    let new = stage.api.create_instance("new").await.unwrap();
    let path = |id: &str, chat: &str| format!("/v1/instances/{id}/chats/{chat}/activity");
    let ask = async |path: String, body: Value| stage.api.request(Method::PUT, &path, Some(&body), &[]).await.unwrap();
    let typing = json!({"activity": "typing"});

    let unpaired = ask(path(&new.id, "628123456789"), typing.clone()).await;
    assert_eq!((unpaired.status.as_u16(), unpaired.code()), (409, "not_paired"));
    let nobody = ask(path(&new.id, "nobody"), typing.clone()).await;
    assert_eq!(nobody.status, 404);
    let unknown = ask(path(&new.id, "628123456789"), json!({"activity": "sleeping"})).await;
    assert_eq!(unknown.status, 422);

    let paired = stage.pair("a").await.unwrap();
    stage.api.post(&format!("/v1/instances/{}/disconnect", paired.id), &json!({})).await.unwrap();
    eventually("disconnected", PATIENCE, async || {
        Ok((stage.api.instance(&paired.id).await?.state == "disconnected").then_some(()))
    })
    .await
    .unwrap();
    let away = ask(path(&paired.id, "628123456789"), typing).await;
    assert_eq!((away.status.as_u16(), away.code()), (409, "not_online"));
}
