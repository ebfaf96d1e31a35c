//! Who is on WhatsApp, what people show of themselves, who is there and who is typing.
use crate::https::Https;
use crate::support::{eventually, http, paired, paired_with_media, simulator};
use base64::Engine as _;
use serde_json::{Value, json};
use warren_simulator::{Options, Simulator};
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::net::{HttpClient as _, HttpRequest};
use whatsapp_rust::wacore::types::events::Event;

const ALICE: &str = "6281100000001";

async fn person(simulator: &Simulator, phone: &str) {
    let (status, made) = http(simulator, "POST", "/admin/people", &json!({"phone": phone}).to_string()).await;
    assert_eq!(status, 200, "{made}");
}

async fn post(simulator: &Simulator, path: &str, body: Value) {
    let (status, answer) = http(simulator, "POST", path, &body.to_string()).await;
    assert!(status < 300, "{path}: {answer}");
}

fn pn(phone: &str) -> Jid {
    format!("{phone}@s.whatsapp.net").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_found_as_they_were_registered() {
    let simulator = simulator(Options::default()).await;
    for phone in ["551187654321", "5215512345678", "5491112345678", "62811222333"] {
        person(&simulator, phone).await;
    }
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}")).await;
    let asked = ["5511987654321", "525512345678", "541112345678", "62811222333", "4915112345678"].map(pn);
    let found = alice.client.contacts().is_on_whatsapp(&asked).await.unwrap();
    let answers: Vec<_> = found.iter().map(|one| (one.jid.user.to_string(), one.is_registered)).collect();
    let expected = [
        ("551187654321", true),
        ("5215512345678", true),
        ("5491112345678", true),
        ("62811222333", true),
        ("4915112345678", false),
    ];
    assert_eq!(answers, expected.map(|(number, here)| (number.to_owned(), here)));
    let lid = found[3].lid.clone().unwrap();
    assert!(found[4].lid.is_none());
    let back = alice.client.contacts().is_on_whatsapp(std::slice::from_ref(&lid)).await.unwrap();
    assert_eq!(back[0].pn_jid.as_ref().unwrap().user.as_str(), "62811222333");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_and_texts_are_set_seen_and_announced() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired_with_media(&simulator, &format!("?phone={ALICE}")).await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002").await;
    let to_bob = pn("6281100000002");
    assert!(alice.client.contacts().get_profile_picture(&to_bob, true).await.unwrap().is_none());
    bob.send(&format!("{ALICE}@s.whatsapp.net"), "hi").await;
    alice.wait_text("hi").await;

    let picture = b"not really a JPEG".to_vec();
    let set = bob.client.profile().set_profile_picture(picture.clone()).await.unwrap();
    let told = alice
        .wait_for("the picture", |event| match event {
            Event::PictureUpdate(update) => Some((update.jid.clone(), update.picture_id.clone())),
            _ => None,
        })
        .await;
    assert_eq!(told, (to_bob.clone(), Some(set.id.clone())));
    for preview in [true, false] {
        let seen = alice.client.contacts().get_profile_picture(&to_bob, preview).await.unwrap().unwrap();
        assert_eq!(seen.id, set.id);
        let got = Https::new(&simulator).execute(HttpRequest::get(seen.url)).await.unwrap();
        assert_eq!((got.status_code, got.body), (200, picture.clone()));
    }
    bob.client.profile().set_status_text("sibuk").await.unwrap();
    alice.wait_for("the text", |event| matches!(event, Event::UserAboutUpdate(_)).then_some(())).await;
    let info = alice.client.contacts().get_user_info(std::slice::from_ref(&to_bob)).await.unwrap();
    let info = info.get(&to_bob).unwrap();
    assert_eq!((info.status.as_deref(), info.picture_id.as_deref()), (Some("sibuk"), Some(set.id.as_str())));
    assert!(!info.is_business);
    assert!(alice.client.get_business_profile(&to_bob).await.unwrap().is_none());
    bob.client.profile().remove_profile_picture().await.unwrap();
    assert!(alice.client.contacts().get_profile_picture(&to_bob, false).await.unwrap().is_none());

    // A person's, by admin request.
    person(&simulator, "62811222333").await;
    let shown = json!({"about": "ada", "picture": base64::prelude::BASE64_STANDARD.encode(&picture)}).to_string();
    let (status, answer) = http(&simulator, "PATCH", "/admin/people/62811222333/profile", &shown).await;
    assert_eq!((status, answer["about"].as_str()), (200, Some("ada")), "{answer}");
    assert!(alice.client.contacts().get_profile_picture(&pn("62811222333"), false).await.unwrap().is_some());
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_and_presence_go_both_ways() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, &format!("?phone={ALICE}&name=Alice")).await;
    person(&simulator, "62811222333").await;
    let budi = pn("62811222333");
    let signs = "/admin/people/62811222333/chat-states";
    alice.client.chatstate().send_composing(&budi).await.unwrap();
    alice.client.chatstate().send_recording(&budi).await.unwrap();
    alice.client.chatstate().send_paused(&budi).await.unwrap();
    let noted = eventually("three signs", &simulator, signs, |noted| {
        (noted["chat_states"].as_array()?.len() == 3).then(|| noted.clone())
    })
    .await;
    let states: Vec<_> = (0..3).map(|place| noted["chat_states"][place]["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["composing", "recording", "paused"]);
    assert_eq!(noted["chat_states"][0]["from"], ALICE);
    post(&simulator, "/admin/people/62811222333/chat-state", json!({"to": ALICE, "state": "composing"})).await;
    alice.wait_for("typing", |event| matches!(event, Event::ChatPresence(_)).then_some(())).await;

    alice.client.presence().subscribe(budi.clone()).await.unwrap();
    let presence_of = |unavailable: bool| {
        let budi = budi.clone();
        move |event: &Event| match event {
            Event::Presence(update) if update.from == budi && update.unavailable == unavailable => Some(()),
            _ => None,
        }
    };
    alice.wait_for("there", presence_of(false)).await;
    post(&simulator, "/admin/people/62811222333/presence", json!({"available": false})).await;
    alice.wait_for("away", presence_of(true)).await;

    let (status, _) = http(&simulator, "DELETE", signs, "").await;
    assert_eq!(status, 204);
    alice.client.presence().set_unavailable().await.unwrap();
    post(&simulator, "/admin/people/62811222333/presence", json!({"subscribe": ALICE})).await;
    alice.client.presence().set_available().await.unwrap();
    eventually("alice is there", &simulator, signs, |noted| {
        let states = noted["chat_states"].as_array()?;
        (states.last()?["state"] == "available").then_some(())
    })
    .await;
    alice.stop().await;
    eventually("alice is gone", &simulator, signs, |noted| {
        let states = noted["chat_states"].as_array()?;
        (states.last()?["state"] == "unavailable").then_some(())
    })
    .await;
    simulator.shutdown().await;
}
