//! What people hide, whom they block, posts for those they name, and businesses that show more.
use crate::support::{eventually, http, paired, person, post, simulator};
use serde_json::json;
use warren_simulator::Options;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::privacy::{PrivacyCategory, PrivacyValue};
use whatsapp_rust::waproto::whatsapp::message::extended_text_message::FontType;

const ALICE: &str = "6281100000001@s.whatsapp.net";
const BOB: &str = "6281100000002@s.whatsapp.net";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_for_contacts_only_when_its_owner_says_so() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002").await;
    let to_alice: Jid = ALICE.parse().unwrap();
    alice.client.profile().set_profile_picture(b"JPEG".to_vec()).await.unwrap();
    assert!(bob.client.contacts().get_profile_picture(&to_alice, false).await.unwrap().is_some());
    alice.client.set_privacy_setting(PrivacyCategory::Profile, PrivacyValue::Contacts).await.unwrap();
    let settings = alice.client.fetch_privacy_settings().await.unwrap();
    assert_eq!(settings.get_value(&PrivacyCategory::Profile), Some(&PrivacyValue::Contacts));
    assert!(bob.client.contacts().get_profile_picture(&to_alice, false).await.unwrap().is_none());
    alice.send(BOB, "hi").await;
    bob.wait_text("hi").await;
    assert!(bob.client.contacts().get_profile_picture(&to_alice, false).await.unwrap().is_some());
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_reaches_nobody_and_does_not_learn_of_it() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002").await;
    let to_bob: Jid = BOB.parse().unwrap();
    bob.send(ALICE, "before").await;
    alice.wait_text("before").await;
    alice.client.blocking().block(&to_bob).await.unwrap();
    assert!(alice.client.blocking().is_blocked(&to_bob).await.unwrap());
    let hidden = bob.send(ALICE, "while blocked").await;
    let truth = "/admin/accounts/6281100000002/ground-truth";
    eventually("the server took it", &simulator, truth, |truth| {
        truth["accepted"].as_array()?.iter().any(|accepted| accepted["id"] == hidden.as_str()).then_some(())
    })
    .await;
    alice.client.blocking().unblock(&to_bob).await.unwrap();
    bob.send(ALICE, "after").await;
    alice.wait_text("after").await;
    assert_eq!(alice.count("while blocked"), 0);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_reaches_the_people_it_names() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002").await;
    let made = post(&simulator, "/admin/people", json!({"name": "Budi"})).await;
    let budi = made["people"][0]["phone"].as_str().unwrap().to_owned();
    // Posts name people by LID.
    let audience: Vec<Jid> = vec![bob.client.lid().unwrap(), made["people"][0]["lid"].as_str().unwrap().parse().unwrap()];
    for place in ["morning", "evening"] {
        let status = alice.client.status();
        status.send_text(place, 0xFF1E_6E4F, FontType::SYSTEM, &audience, Default::default()).await.unwrap();
        let got = bob.wait_text(place).await;
        assert_eq!(got.info.source.chat.to_string(), "status@broadcast");
        let inbox = format!("/admin/people/{budi}/inbox");
        let found = eventually("the post", &simulator, &inbox, |inbox| {
            inbox["messages"].as_array()?.iter().find(|message| message["text"] == place).cloned()
        })
        .await;
        assert_eq!((found["group"].as_str(), found["from"].as_str()), (Some("status@broadcast"), Some("6281100000001")));
    }
    // A person's post is for those it has exchanged messages with.
    let write = format!("/admin/people/{budi}/send");
    post(&simulator, &write, json!({"to": "6281100000002", "text": "hi"})).await;
    bob.wait_text("hi").await;
    for text in ["noon", "night"] {
        post(&simulator, &write, json!({"to": "status@broadcast", "text": text})).await;
        assert_eq!(bob.wait_text(text).await.info.source.chat.to_string(), "status@broadcast");
    }
    assert_eq!(alice.count("noon"), 0);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_shows_its_name_and_profile() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let shop = person(&simulator, json!({"name": "Toko"})).await;
    let jid: Jid = format!("{shop}@s.whatsapp.net").parse().unwrap();
    let about = json!({"business": {"verified_name": "Toko Budi", "description": "Fish @ the harbour",
        "category": "Grocery", "email": "toko@example.org", "websites": ["https://example.org"]}});
    let path = format!("/admin/people/{shop}/profile");
    let (status, shown) = http(&simulator, "PATCH", &path, &about.to_string()).await;
    assert_eq!((status, shown["business"]["verified_name"].as_str()), (200, Some("Toko Budi")), "{shown}");
    let found = alice.client.contacts().is_on_whatsapp(std::slice::from_ref(&jid)).await.unwrap();
    assert!(found[0].is_business);
    assert_eq!(found[0].verified_name.as_ref().and_then(|name| name.name.as_deref()), Some("Toko Budi"));
    let profile = alice.client.get_business_profile(&jid).await.unwrap().unwrap();
    assert_eq!((profile.description.as_str(), profile.email.as_deref()), ("Fish @ the harbour", Some("toko@example.org")));
    assert_eq!(profile.categories[0].name, "Grocery");
    let too_long = json!({"business": {"description": "x".repeat(3_000)}}).to_string();
    assert_eq!(http(&simulator, "PATCH", &path, &too_long).await.0, 422);
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lets_nobody_add_them_is_not_added() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002").await;
    alice.client.set_privacy_setting(PrivacyCategory::GroupAdd, PrivacyValue::None).await.unwrap();
    let made = post(&simulator, "/admin/groups", json!({"subject": "Open", "owner": "6281100000002"})).await;
    let group: Jid = made["id"].as_str().unwrap().parse().unwrap();
    let outcome = bob.client.groups().add_participants(&group, &[ALICE.parse().unwrap()]).await.unwrap();
    assert_eq!(outcome[0].error.as_deref(), Some("403"));
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}
