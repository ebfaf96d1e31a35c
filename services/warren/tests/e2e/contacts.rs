//! People: which numbers have an account, what they show of themselves, who is there.

use crate::main_path::is_sent;
use crate::{binary, stage};
use reqwest::Method;
use serde_json::{Value, json};
use warren_testkit::{Answer, Draft, PATIENCE, Stage, Stream, eventually};

/// Each account, and the two ways in which its number is written: as it was registered, and as it was not.
const TWO_FORMS: [(&str, &str); 6] = [
    ("551187654321", "5511987654321"),
    ("5521998765432", "552198765432"),
    ("5215512345678", "525512345678"),
    ("525598765432", "5215598765432"),
    ("5491112345678", "541112345678"),
    ("541198765432", "5491198765432"),
];

async fn check(stage: &Stage, id: &str, phones: &[&str], query: &str) -> Answer {
    stage.api.post(&format!("/v1/instances/{id}/contacts/check{query}"), &json!({"phones": phones})).await.unwrap()
}

/// How many numbers WhatsApp was asked about until now.
async fn asked(stage: &Stage) -> u64 {
    let metrics = stage.warren.metrics().await.unwrap();
    let lines = metrics.lines().filter(|line| line.starts_with("warren_number_checks_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_are_found_in_either_form_and_answered_in_the_order_asked() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    for (registered, _) in TWO_FORMS {
        stage.simulator.person(json!({"phone": registered})).await.unwrap();
    }
    let indonesian = stage.simulator.person(json!({"phone": "62811222333"})).await.unwrap();

    // Both forms of each, strangers between them, one number twice and in two spellings.
    let mut phones = Vec::new();
    let mut expected = Vec::new();
    for (registered, other) in TWO_FORMS {
        phones.extend([other.to_owned(), "4915112345678".to_owned(), format!("+{registered}")]);
        let address = json!(format!("{registered}@s.whatsapp.net"));
        expected.extend([address.clone(), Value::Null, address]);
    }
    phones.extend(["+62811222333".to_owned(), "62811222333".to_owned()]);
    expected.extend([json!("62811222333@s.whatsapp.net"), json!("62811222333@s.whatsapp.net")]);
    let asking: Vec<&str> = phones.iter().map(String::as_str).collect();
    let answer = check(&stage, &a.id, &asking, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.body["data"].as_array().unwrap();
    assert_eq!(data.len(), phones.len());
    for ((found, phone), jid) in data.iter().zip(&phones).zip(&expected) {
        assert_eq!((&found["phone"], &found["jid"]), (&json!(phone), jid));
        assert_eq!(found["registered"], !jid.is_null());
        assert_eq!(found["lid"].is_null(), jid.is_null());
    }
    assert_eq!(data.last().unwrap()["lid"], json!(indonesian.lid));

    // What is known is not asked again, by whichever spelling; not even without a connection.
    let before = asked(&stage).await;
    assert_eq!(before, 2 * TWO_FORMS.len() as u64 + 2);
    stage.api.post(&format!("/v1/instances/{}/disconnect", a.id), &json!({})).await.unwrap();
    stage.state(&a.id, "disconnected").await.unwrap();
    let again = check(&stage, &a.id, &asking, "").await;
    assert_eq!(again.body, answer.body);
    assert_eq!(asked(&stage).await, before);
    let unknown = check(&stage, &a.id, &["62811222334"], "").await;
    assert_eq!((unknown.status.as_u16(), unknown.code()), (409, "not_online"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_asks_again() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let phone = "4915112345678";
    assert_eq!(check(&stage, &a.id, &[phone], "").await.body["data"][0]["registered"], false);
    stage.simulator.person(json!({"phone": phone})).await.unwrap();
    assert_eq!(check(&stage, &a.id, &[phone], "").await.body["data"][0]["registered"], false, "it is known");
    let fresh = check(&stage, &a.id, &[phone], "?refresh=true").await;
    assert_eq!(fresh.body["data"][0]["registered"], true, "{}", fresh.text);
    assert_eq!(check(&stage, &a.id, &[phone], "").await.body["data"][0]["registered"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_numbers_are_checked_at_once() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let made = json!({"count": 10});
    let people = stage.simulator.request(Method::POST, "/people", Some(&made)).await.unwrap().body;
    let people: Vec<_> = people["people"].as_array().unwrap().iter().map(|person| person["phone"].clone()).collect();
    let mut phones: Vec<String> = (0..990).map(|number| format!("49151{number:08}")).collect();
    for (place, person) in people.iter().enumerate() {
        phones.insert(place * 97, person.as_str().unwrap().to_owned());
    }
    let asking: Vec<&str> = phones.iter().map(String::as_str).collect();
    let answer = check(&stage, &a.id, &asking, "").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let data = answer.body["data"].as_array().unwrap();
    let shown: Vec<_> = data.iter().map(|found| found["phone"].as_str().unwrap()).collect();
    assert_eq!(shown, asking);
    let registered: Vec<_> = data.iter().filter(|found| found["registered"] == true).map(|found| &found["phone"]).collect();
    assert_eq!(registered, people.iter().collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn row_75_more_numbers_than_the_quota_are_refused() {
    let stage = Stage::start_with(binary(), |options| options.env("WARREN_GATEWAY__NUMBER_CHECKS_PER_INSTANCE", "3")).await;
    let stage = stage.unwrap();
    let a = stage.pair("a").await.unwrap();
    let fine = check(&stage, &a.id, &["4915112345671", "4915112345672"], "").await;
    assert_eq!(fine.status, 200, "{}", fine.text);
    let full = check(&stage, &a.id, &["4915112345673", "4915112345674"], "").await;
    assert_eq!((full.status.as_u16(), full.code()), (429, "quota"), "{}", full.text);
    assert!(full.headers.contains_key("retry-after"));
    assert!(!full.text.contains("49151"));
    // What is known costs nothing, what is left can be taken, and a look at a stranger counts too.
    assert_eq!(check(&stage, &a.id, &["4915112345671", "4915112345675"], "").await.status, 200);
    let stranger = stage.api.get(&format!("/v1/instances/{}/contacts/4915112345676", a.id)).await.unwrap();
    assert_eq!((stranger.status.as_u16(), stranger.code()), (429, "quota"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_numbers_are_refused_whole() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    for phones in [
        json!([]),
        json!(["+1 (555) abc"]),
        json!(["62811222333", ""]),
        json!(["1".repeat(40)]),
        json!(["0811222333"]),
        json!(["12036302@g.us"]),
        json!(["status@broadcast"]),
        json!(["62811222333@s.whatsapp.net"]),
        json!([62811222333_u64]),
    ] {
        let refused = stage.api.post(&format!("/v1/instances/{}/contacts/check", a.id), &json!({"phones": phones})).await;
        let refused = refused.unwrap();
        assert_eq!(refused.status, 422, "{phones}: {}", refused.text);
    }
    let many: Vec<String> = (0..1_001).map(|number| format!("49151{number:08}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = check(&stage, &a.id, &many, "").await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "too_many"));
    assert_eq!(check(&stage, &a.id, &["62811222333"], "?refresh=maybe").await.status, 422);
    let random = "0".repeat(32);
    assert_eq!(check(&stage, &random, &["62811222333"], "").await.status, 404);
    assert_eq!(asked(&stage).await, 0);
}

/// The message goes to the account that WhatsApp knows; the caller sees the number that it wrote to.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_reaches_a_number_in_either_form() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    for (registered, other) in TWO_FORMS {
        stage.simulator.person(json!({"phone": registered})).await.unwrap();
        for to in [other, registered] {
            let text = format!("to {to}");
            let sent = stage.api.send(&a.id, &Draft::text(to, &text).wait()).await.unwrap();
            assert!(is_sent(&sent), "{sent:?}");
            assert_eq!(sent.chat, format!("{to}@s.whatsapp.net"));
            eventually("it arrives", PATIENCE, async || {
                let inbox = stage.simulator.inbox(registered, &a.phone).await?;
                Ok(inbox.messages.iter().any(|message| message.text.as_deref() == Some(text.as_str())).then_some(()))
            })
            .await
            .unwrap();
            stage.status(&sent.id, "delivered").await.unwrap();
        }
    }
    // Each form of a number was asked about once.
    assert_eq!(asked(&stage).await, 2 * TWO_FORMS.len() as u64);
    let nobody = stage.api.send(&a.id, &Draft::text("5511912345678", "nobody").wait()).await.unwrap();
    let failed = eventually("it fails", PATIENCE, async || {
        Ok(Some(stage.api.message(&nobody.id).await?).filter(|message| message.status == "failed"))
    })
    .await
    .unwrap();
    assert_eq!(failed.reason.as_deref(), Some("not_on_whatsapp"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_shown_and_its_changes_are_told() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({"phone": "551187654321", "name": "Budi"})).await.unwrap();
    let jid = "551187654321@s.whatsapp.net";
    let of = |contact: &str, rest: &str| format!("/v1/instances/{}/contacts/{contact}{rest}", a.id);

    let none = stage.api.get(&of("5511987654321", "/picture")).await.unwrap();
    assert_eq!((none.status.as_u16(), none.code()), (404, "no_picture"), "{}", none.text);
    // Who has talked with the account tells it of changes.
    stage.simulator.write(&person.phone, &a.phone, "hello", 1).await.unwrap();
    eventually("it arrives", PATIENCE, async || {
        Ok(stage.api.events(&a.id).await?.iter().any(|event| event.is_text("hello")).then_some(()))
    })
    .await
    .unwrap();
    let shown = json!({"about": "ada", "picture": "bm90IGEgSlBFRw=="});
    let path = format!("/people/{}/profile", person.phone);
    stage.simulator.request(Method::PATCH, &path, Some(&shown)).await.unwrap();
    let changes = eventually("both changes are told", PATIENCE, async || {
        let events = stage.api.events(&a.id).await?;
        let changes: Vec<_> = events.into_iter().filter(|event| event.kind == "contact.updated").collect();
        Ok((changes.len() == 2).then_some(changes))
    })
    .await
    .unwrap();
    let picture = changes.iter().find_map(|change| change.data["picture_id"].as_str()).unwrap();
    assert!(changes.iter().any(|change| change.data["about"] == "ada"));
    assert!(changes.iter().all(|change| change.text("/from/jid") == jid || change.text("/from/lid") == person.lid));

    // By the form it was not registered in, and by its hidden address.
    for contact in ["5511987654321", &person.lid] {
        let card = stage.api.get(&of(contact, "")).await.unwrap();
        assert_eq!(card.status, 200, "{}", card.text);
        assert_eq!(card.body["pn"], jid);
        assert_eq!(card.body["lid"], json!(person.lid));
        assert_eq!(card.body["push_name"], "Budi");
        assert_eq!(card.body["about"], "ada");
        assert_eq!(card.body["picture_id"], picture);
        let found = stage.api.get(&of(contact, "/picture?preview=true")).await.unwrap();
        assert_eq!((found.status.as_u16(), found.body["id"].as_str()), (200, Some(picture)), "{}", found.text);
        assert!(found.body["url"].as_str().unwrap().starts_with("https://"));
        let addresses = stage.api.get(&of(contact, "/addresses")).await.unwrap();
        assert_eq!(addresses.body, json!({"pn": jid, "lid": person.lid}));
    }
    let nobody = stage.api.get(&of("4915112345678", "")).await.unwrap();
    assert_eq!((nobody.status.as_u16(), nobody.code()), (404, "not_on_whatsapp"));
    assert_eq!(stage.api.get(&of("nobody", "")).await.unwrap().status, 404);
    assert_eq!(stage.api.get(&of("4915112345678", "/picture?preview=maybe")).await.unwrap().status, 422);
}

/// The same, of somebody the session has never heard of.
#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_number_is_found_by_the_hidden_address() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let path = format!("/v1/instances/{}/contacts/{}/addresses", a.id, person.lid);
    let addresses = stage.api.get(&path).await.unwrap();
    assert_eq!(addresses.body, json!({"pn": format!("{}@s.whatsapp.net", person.phone), "lid": person.lid}));
    let nobody = stage.api.get(&format!("/v1/instances/{}/contacts/42@lid/addresses", a.id)).await.unwrap();
    assert_eq!((nobody.status.as_u16(), nobody.code()), (404, "not_on_whatsapp"), "{}", nobody.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_and_presence_are_told_as_they_happen() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let person = stage.simulator.person(json!({})).await.unwrap();
    let stream = Stream::open(&stage.api, "type=chat.typing&type=presence.updated").await.unwrap();
    let people = format!("/people/{}", person.phone);
    let post = async |what: &str, body: Value| {
        let answer = stage.simulator.request(Method::POST, &format!("{people}/{what}"), Some(&body)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
    };

    for (state, shown) in [("composing", "typing"), ("recording", "recording"), ("paused", "paused")] {
        post("chat-state", json!({"to": a.phone, "state": state})).await;
        let told = stream.wait_for(shown, PATIENCE, |event| event.data["activity"] == shown).await.unwrap();
        assert!(told.seq.is_none() && told.kind == "chat.typing");
        assert!([person.jid.as_str(), person.lid.as_str()].contains(&told.text("/from/jid")), "{told:?}");
    }
    let path = format!("/v1/instances/{}/contacts/{}/presence/subscribe", a.id, person.phone);
    let subscribed = stage.api.post(&path, &json!({})).await.unwrap();
    assert_eq!(subscribed.status, 204, "{}", subscribed.text);
    stream.wait_for("there", PATIENCE, |event| event.data["state"] == "available").await.unwrap();
    post("presence", json!({"available": false})).await;
    stream.wait_for("gone", PATIENCE, |event| event.data["state"] == "unavailable").await.unwrap();

    // The other way round.
    let own = format!("/v1/instances/{}/presence", a.id);
    post("presence", json!({"subscribe": a.phone})).await;
    for state in ["unavailable", "available"] {
        let shown = stage.api.request(Method::PUT, &own, Some(&json!({"state": state})), &[]).await.unwrap();
        assert_eq!(shown.status, 204, "{}", shown.text);
        eventually("it is seen", PATIENCE, async || {
            let seen = stage.simulator.request(Method::GET, &format!("{people}/chat-states"), None).await?;
            let states = seen.body["chat_states"].as_array().cloned().unwrap_or_default();
            Ok(states.last().filter(|seen| seen["state"] == state).map(|_| ()))
        })
        .await
        .unwrap();
    }
    let odd = stage.api.request(Method::PUT, &own, Some(&json!({"state": "asleep"})), &[]).await.unwrap();
    assert_eq!(odd.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_changes_what_it_shows() {
    let stage = stage().await;
    let a = stage.pair("a").await.unwrap();
    let path = format!("/v1/instances/{}/profile", a.id);
    let change = async |body: Value| stage.api.request(Method::PATCH, &path, Some(&body), &[]).await.unwrap();
    let changed = change(json!({"push_name": "Toko Maju", "about": "@ 9-17"})).await;
    assert_eq!(changed.status, 204, "{}", changed.text);
    eventually("the name is known", PATIENCE, async || {
        let shown = stage.api.get(&format!("/v1/instances/{}", a.id)).await?;
        Ok((shown.body["push_name"] == "Toko Maju").then_some(()))
    })
    .await
    .unwrap();
    let profile = stage.simulator.request(Method::GET, &format!("/people/{}/profile", a.phone), None).await.unwrap();
    assert_eq!(profile.body["about"], "@ 9-17");
    for body in [
        json!({}),
        json!({"push_name": ""}),
        json!({"push_name": "x".repeat(26)}),
        json!({"push_name": "toko@maju"}),
        json!({"about": "x".repeat(140)}),
        json!({"about": "a\u{0}b"}),
        json!({"picture": "x"}),
    ] {
        assert_eq!(change(body.clone()).await.status, 422, "{body}");
    }
}

/// A name that is given before the phone shared its keys, which take their time after a pairing.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_given_right_after_pairing_is_shown() {
    let stage = stage().await;
    let person = stage.simulator.person(json!({"online": false})).await.unwrap();
    let id = stage.api.create_instance("a").await.unwrap().id;
    stage.pair_as(&id, Some(&person.phone)).await.unwrap();
    let body = json!({"push_name": "Toko Maju"});
    let changed = stage.api.request(Method::PATCH, &format!("/v1/instances/{id}/profile"), Some(&body), &[]).await.unwrap();
    assert_eq!(changed.status, 204, "{}", changed.text);
    let is_shown = async || {
        let shown = stage.api.get(&format!("/v1/instances/{id}")).await?;
        Ok((shown.body["push_name"] == "Toko Maju").then_some(()))
    };
    eventually("the name is known", PATIENCE, is_shown).await.unwrap();
    stage.simulator.change_habits(&person.phone, json!({"online": true})).await.unwrap();
    stage.simulator.happen(&person.phone, "drop", json!({})).await.unwrap();
    stage.state(&id, "online").await.unwrap();
    eventually("the name is known still", PATIENCE, is_shown).await.unwrap();
}
