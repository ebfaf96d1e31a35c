//! Every type of message, in both directions between a client and a person.
use crate::support::{Phoneless, eventually, http, paired_with_media, person, simulator};
use serde_json::{Value, json};
use warren_simulator::{Options, Simulator};
use whatsapp_rust::buffa::MessageField;
use whatsapp_rust::download::MediaType;
use whatsapp_rust::media::{AudioOptions, audio_message};
use whatsapp_rust::wacore::download::Downloadable;
use whatsapp_rust::wacore::types::events::Event;
use whatsapp_rust::waproto::whatsapp::message::{
    ContactMessage, ExtendedTextMessage, LocationMessage, ProtocolMessage, protocol_message,
};
use whatsapp_rust::waproto::whatsapp::{ContextInfo, Message};
use whatsapp_rust::{Jid, RevokeType, UploadOptions};

const ALICE: &str = "6281100000001";

async fn inbox(simulator: &Simulator, phone: &str, kind: &str) -> Value {
    eventually(kind, simulator, &format!("/admin/people/{phone}/inbox"), |inbox| {
        let items = inbox["messages"].as_array()?;
        let item = items.iter().find(|item| item["kind"] == kind)?;
        (item["media"]["state"] != "pending").then(|| item.clone())
    })
    .await
}

async fn write(simulator: &Simulator, phone: &str, message: Value) -> Value {
    let body = json!({"to": ALICE, "message": message}).to_string();
    let (status, sent) = http(simulator, "POST", &format!("/admin/people/{phone}/send"), &body).await;
    assert_eq!(status, 200, "{sent}");
    sent["messages"][0].clone()
}

async fn read(alice: &Phoneless, sent: &Value) -> Message {
    let id = sent["id"].as_str().unwrap();
    alice
        .wait_for("the message", |event| match event {
            Event::Messages(batch) => {
                let found = batch.messages.iter().find(|inbound| inbound.info.id == id)?;
                Some((*found.message).clone())
            }
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_what_a_client_writes() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    let to: Jid = format!("{budi}@s.whatsapp.net").parse().unwrap();
    let send = |message: Message| {
        let (client, to) = (alice.client.clone(), to.clone());
        async move { client.send_message(to, message).await.unwrap().message_id }
    };
    let quote = ContextInfo {
        stanza_id: Some("QUOTED".to_owned()),
        participant: Some(to.to_string()),
        mentioned_jid: vec![to.to_string(), "4915112345678@s.whatsapp.net".to_owned()],
        ..Default::default()
    };
    let text = ExtendedTextMessage {
        text: Some("hi @x".to_owned()),
        context_info: MessageField::some(quote),
        ..Default::default()
    };
    let first = send(Message { extended_text_message: MessageField::some(text), ..Default::default() }).await;
    let item = inbox(&simulator, &budi, "text").await;
    assert_eq!((item["text"].as_str(), item["quoted_id"].as_str()), (Some("hi @x"), Some("QUOTED")));
    assert_eq!(item["mentions"], json!([budi, "4915112345678@s.whatsapp.net"]));

    let place = LocationMessage {
        degrees_latitude: Some(-6.2),
        degrees_longitude: Some(106.8),
        name: Some("Kantor".to_owned()),
        ..Default::default()
    };
    send(Message { location_message: MessageField::some(place), ..Default::default() }).await;
    let item = inbox(&simulator, &budi, "location").await;
    assert_eq!((item["location"]["latitude"].as_f64(), item["location"]["name"].as_str()), (Some(-6.2), Some("Kantor")));

    let card = ContactMessage {
        display_name: Some("Ani".to_owned()),
        vcard: Some("BEGIN:VCARD\nEND:VCARD".to_owned()),
        ..Default::default()
    };
    send(Message { contact_message: MessageField::some(card), ..Default::default() }).await;
    assert_eq!(inbox(&simulator, &budi, "contacts").await["contacts"][0]["name"], "Ani");

    let voice = alice.client.upload(vec![7; 5_000], MediaType::Audio, UploadOptions::new()).await.unwrap();
    send(audio_message(voice, AudioOptions { ptt: Some(true), duration_seconds: Some(3), ..Default::default() })).await;
    let item = inbox(&simulator, &budi, "voice").await;
    assert_eq!((item["media"]["state"].as_str(), item["media"]["size"].as_u64()), (Some("ready"), Some(5_000)), "{item}");
    assert_eq!(item["media"]["seconds"], 3);

    let new = Message { conversation: Some("hi @y".to_owned()), ..Default::default() };
    alice.client.edit_message(to.clone(), first.clone(), new).await.unwrap();
    let item = inbox(&simulator, &budi, "edit").await;
    assert_eq!((item["target_id"].as_str(), item["text"].as_str()), (Some(first.as_str()), Some("hi @y")));
    alice.client.revoke_message(to.clone(), first.clone(), RevokeType::Sender).await.unwrap();
    assert_eq!(inbox(&simulator, &budi, "revoke").await["target_id"], first.as_str());
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_sees_what_a_person_writes() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let budi = person(&simulator, json!({})).await;
    let id = alice.send(&format!("{budi}@s.whatsapp.net"), "halo").await;
    inbox(&simulator, &budi, "text").await;

    let sent = write(&simulator, &budi, json!({"text": "ya", "quoted_id": id, "mentions": [ALICE]})).await;
    let message = read(&alice, &sent).await;
    let text = message.extended_text_message.as_option().unwrap();
    let context = text.context_info.as_option().unwrap();
    assert_eq!(text.text.as_deref(), Some("ya"));
    assert_eq!(context.stanza_id.as_deref(), Some(id.as_str()));
    assert_eq!(context.participant.as_deref(), Some(format!("{ALICE}@s.whatsapp.net").as_str()));
    assert_eq!(context.quoted_message.as_option().unwrap().conversation.as_deref(), Some("halo"));
    assert_eq!(context.mentioned_jid, [format!("{ALICE}@s.whatsapp.net")]);

    for kind in ["image", "video", "audio", "voice", "document", "sticker"] {
        let media = json!({"size": 70_000, "file_name": "a.bin", "mime_type": "x/y", "seconds": 2});
        let sent = write(&simulator, &budi, json!({"kind": kind, "media": media, "caption": "c"})).await;
        let message = read(&alice, &sent).await;
        let file: &dyn Downloadable = match kind {
            "image" => message.image_message.as_option().unwrap(),
            "video" => message.video_message.as_option().unwrap(),
            "document" => message.document_message.as_option().unwrap(),
            "sticker" => message.sticker_message.as_option().unwrap(),
            _ => message.audio_message.as_option().unwrap(),
        };
        let bytes = alice.client.download(file).await.unwrap();
        use sha2::Digest as _;
        assert_eq!(hex::encode(sha2::Sha256::digest(&bytes)), sent["media"]["sha256"].as_str().unwrap(), "{kind}");
        if let Some(audio) = message.audio_message.as_option() {
            assert_eq!(audio.ptt, Some(kind == "voice"));
        }
    }

    let sent = write(&simulator, &budi, json!({"kind": "location", "location": {"latitude": 1.5, "longitude": 2.5}})).await;
    let message = read(&alice, &sent).await;
    assert_eq!(message.location_message.as_option().unwrap().degrees_latitude, Some(1.5));
    let cards = json!([{"name": "A", "vcard": "v1"}, {"name": "B", "vcard": "v2"}]);
    let sent = write(&simulator, &budi, json!({"kind": "contacts", "contacts": cards})).await;
    assert_eq!(read(&alice, &sent).await.contacts_array_message.as_option().unwrap().contacts.len(), 2);

    let sent = write(&simulator, &budi, json!({"kind": "reaction", "target_id": id, "emoji": "👍"})).await;
    let message = read(&alice, &sent).await;
    let reaction = message.reaction_message.as_option().unwrap();
    assert_eq!((reaction.text.as_deref(), reaction.key.as_option().unwrap().from_me), (Some("👍"), Some(false)));
    let first = write(&simulator, &budi, json!({"text": "satu"})).await;
    let sent = write(&simulator, &budi, json!({"kind": "edit", "target_id": first["id"], "text": "dua"})).await;
    let message = read(&alice, &sent).await;
    let protocol: &ProtocolMessage = message.protocol_message.as_option().unwrap();
    assert_eq!(protocol.edited_message.as_option().unwrap().conversation.as_deref(), Some("dua"));
    assert_eq!(protocol.key.as_option().unwrap().id.as_deref(), first["id"].as_str());
    let sent = write(&simulator, &budi, json!({"kind": "revoke", "target_id": first["id"]})).await;
    let message = read(&alice, &sent).await;
    assert_eq!(message.protocol_message.as_option().unwrap().r#type, Some(protocol_message::Type::REVOKE));
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test]
async fn drafts_that_say_nothing_are_refused() {
    let simulator = simulator(Options::default()).await;
    let (one, two) = (person(&simulator, json!({})).await, person(&simulator, json!({})).await);
    for message in [
        json!({}),
        json!({"kind": "image"}),
        json!({"kind": "image", "media": {}}),
        json!({"kind": "image", "media": {"base64": "%"}}),
        json!({"kind": "image", "media": {"size": 200_000_000_000_u64}}),
        json!({"kind": "poll"}),
        json!({"kind": "unknown"}),
        json!({"kind": "reaction", "emoji": "x"}),
        json!({"text": "x", "mentions": ["abc"]}),
    ] {
        let body = json!({"to": two, "message": message}).to_string();
        let (status, answer) = http(&simulator, "POST", &format!("/admin/people/{one}/send"), &body).await;
        assert_eq!(status, 422, "{message}: {answer}");
    }
    simulator.shutdown().await;
}
