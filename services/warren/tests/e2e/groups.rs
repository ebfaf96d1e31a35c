//! Groups: made and changed through the API, told about by events, written to and heard from.

use crate::stage;
use futures::{StreamExt as _, stream::FuturesUnordered};
use reqwest::Method;
use serde_json::{Value, json};
use warren_testkit::{Answer, Event, PATIENCE, Paired, Person, Stage, eventually};

/// Two instances and a person.
struct Circle {
    stage: Stage,
    a: Paired,
    b: Paired,
    person: Person,
}

impl Circle {
    async fn begin() -> Self {
        let stage = stage().await;
        let a = stage.pair("a").await.unwrap();
        let b = stage.pair("b").await.unwrap();
        let person = stage.simulator.person(json!({})).await.unwrap();
        Self { stage, a, b, person }
    }

    /// A group of the three, made by `a`; both instances know of it.
    async fn together(&self) -> String {
        let body = json!({"subject": "Trip", "participants": [self.b.phone, self.person.phone]});
        let made = self.ask(Method::POST, &self.a, "", Some(body)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let group = made.body["id"].as_str().unwrap().to_owned();
        for instance in [&self.a, &self.b] {
            self.update(instance, &group, "created").await;
        }
        group
    }

    async fn ask(&self, method: Method, instance: &Paired, path: &str, body: Option<Value>) -> Answer {
        let path = format!("/v1/instances/{}/groups{path}", instance.id);
        self.stage.api.request(method, &path, body.as_ref(), &[]).await.unwrap()
    }

    async fn done(&self, method: Method, instance: &Paired, path: &str, body: Option<Value>) -> Value {
        let answer = self.ask(method, instance, path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        answer.body
    }

    async fn refused(&self, method: Method, instance: &Paired, path: &str, body: Option<Value>) -> (u16, String) {
        let answer = self.ask(method, instance, path, body).await;
        (answer.status.as_u16(), answer.code().to_owned())
    }

    /// The person, on the phone, changes a group.
    async fn person_does(&self, group: &str, mut what: Value) {
        what["by"] = json!(self.person.phone);
        let done = self.stage.simulator.request(Method::POST, &format!("/groups/{group}"), Some(&what)).await.unwrap();
        assert!(done.status.is_success(), "{}", done.text);
    }

    /// The latest event of this change in this group.
    async fn update(&self, instance: &Paired, group: &str, change: &str) -> Event {
        let is_it = |event: &Event| {
            event.kind == "group.updated" && event.text("/group") == group && event.text("/change") == change
        };
        eventually(&format!("the event {change}"), PATIENCE, async || {
            Ok(self.stage.api.events(&instance.id).await?.into_iter().rfind(is_it))
        })
        .await
        .unwrap()
    }

    /// Sends into the group and waits for the server; the message's id here, and at WhatsApp.
    async fn says(&self, instance: &Paired, group: &str, kind: &str, content: Value) -> (String, String) {
        let body = json!({"to": group, "type": kind, kind: content});
        self.tell(Method::POST, &format!("/v1/instances/{}/messages", instance.id), &body).await
    }

    async fn tell(&self, method: Method, path: &str, body: &Value) -> (String, String) {
        let answer = self.stage.api.request(method, &format!("{path}?wait=sent"), Some(body), &[]).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body["reason"]), (200, &Value::Null), "{}", answer.text);
        let text = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (text("id"), text("whatsapp_id"))
    }

    /// What the person saw under this id.
    async fn seen(&self, whatsapp_id: &str) -> Value {
        let path = format!("/people/{}/inbox?limit=1000", self.person.phone);
        eventually("the person sees it", PATIENCE, async || {
            let inbox = self.stage.simulator.request(Method::GET, &path, None).await?.body;
            let messages = inbox["messages"].as_array().cloned().unwrap_or_default();
            Ok(messages.into_iter().find(|message| message["id"] == whatsapp_id))
        })
        .await
        .unwrap()
    }

    /// The person writes into the group; its id at WhatsApp.
    async fn hears(&self, group: &str, message: Value) -> String {
        let body = json!({"to": group, "message": message});
        let path = format!("/people/{}/send", self.person.phone);
        let answer = self.stage.simulator.request(Method::POST, &path, Some(&body)).await.unwrap();
        assert!(answer.status.is_success(), "{}", answer.text);
        answer.body["messages"][0]["id"].as_str().unwrap().to_owned()
    }

    /// The event of a message at an instance.
    async fn event(&self, instance: &Paired, kind: &str, whatsapp_id: &str) -> Event {
        eventually(&format!("{kind} of {whatsapp_id}"), PATIENCE, async || {
            let log = self.stage.api.events(&instance.id).await?;
            Ok(log.into_iter().find(|event| event.kind == kind && event.text("/whatsapp_id") == whatsapp_id))
        })
        .await
        .unwrap()
    }

    async fn receipts(&self, message: &str) -> Vec<Value> {
        let answer = self.stage.api.get(&format!("/v1/messages/{message}/receipts")).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["data"].as_array().unwrap().clone()
    }
}

/// Whether somebody of a list has this number.
fn is_phone(person: &Value, phone: &str) -> bool {
    person["pn"] == format!("{phone}@s.whatsapp.net")
}

fn role(group: &Value, phone: &str) -> Option<String> {
    let participants = group["participants"].as_array().unwrap();
    let found = participants.iter().find(|participant| is_phone(participant, phone))?;
    found["role"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_made_changed_and_left() {
    let circle = Circle::begin().await;
    let (a, b, person) = (&circle.a, &circle.b, &circle.person);
    let nobody = "628999999999";
    let body = json!({"subject": "Trip", "description": "To the sea", "participants": [b.phone, nobody]});
    let made = circle.ask(Method::POST, a, "", Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let group = made.body["id"].as_str().unwrap();
    assert_eq!(made.headers["location"], format!("/v1/instances/{}/groups/{group}", a.id));
    assert_eq!((&made.body["subject"], &made.body["description"]), (&json!("Trip"), &json!("To the sea")));
    assert_eq!(
        (role(&made.body, &a.phone), role(&made.body, &b.phone)),
        (Some("super_admin".into()), Some("member".into()))
    );
    assert!(is_phone(&made.body["missing"][0], nobody) && made.body["missing"].as_array().unwrap().len() == 1);
    let created = circle.update(b, group, "created").await;
    assert_eq!(created.text("/subject"), "Trip");
    assert!(is_phone(&created.data["actor"], &a.phone), "{:?}", created.data);

    let path = format!("/{group}");
    let change = json!({"subject": "Journey", "description": null, "announce": true, "locked": true});
    let changed = circle.done(Method::PATCH, a, &path, Some(change)).await;
    assert_eq!((&changed["subject"], &changed["description"]), (&json!("Journey"), &Value::Null));
    assert_eq!((&changed["announce"], &changed["locked"]), (&json!(true), &json!(true)));
    assert_eq!(circle.update(b, group, "subject").await.text("/subject"), "Journey");
    assert_eq!(circle.update(b, group, "description").await.data["description"], Value::Null);
    // The two settings are told one after the other.
    eventually("it is locked", PATIENCE, async || {
        Ok((circle.update(b, group, "settings").await.data["locked"] == json!(true)).then_some(()))
    })
    .await
    .unwrap();

    // The library would write these as addresses, which nobody could read.
    for text in ["info@shop", "@ a_5@b", "1234@s.whatsapp.net"] {
        let described = circle.done(Method::PATCH, a, &path, Some(json!({"description": text}))).await;
        assert_eq!(described["description"], text);
    }
    let made = circle.done(Method::POST, a, "", Some(json!({"subject": "Other", "description": "info@shop"}))).await;
    assert_eq!(made["description"], "info@shop");
    let refused = (422, "group_text".to_owned());
    assert_eq!(circle.refused(Method::POST, a, "", Some(json!({"subject": "info@shop"}))).await, refused);
    assert_eq!(circle.refused(Method::PATCH, a, &path, Some(json!({"subject": "info@shop"}))).await, refused);

    let people = || Some(json!({"participants": [person.phone]}));
    let participants = format!("{path}/participants");
    let added = circle.done(Method::POST, a, &participants, people()).await;
    assert_eq!(added["data"][0]["result"], "done", "{added}");
    let came = circle.update(b, group, "participants_added").await;
    assert!(is_phone(&came.data["participants"][0], &person.phone), "{:?}", came.data);
    let again = circle.done(Method::POST, a, &participants, people()).await;
    assert_eq!(again["data"][0]["result"], "already_in");
    let unknown = circle.done(Method::POST, a, &participants, Some(json!({"participants": [nobody]}))).await;
    assert_eq!(unknown["data"][0]["result"], "not_on_whatsapp");
    for (action, change, now) in
        [("promote", "participants_promoted", "admin"), ("demote", "participants_demoted", "member")]
    {
        let done = circle.done(Method::POST, a, &format!("{participants}/{action}"), people()).await;
        assert_eq!(done["data"][0]["result"], "done", "{done}");
        circle.update(b, group, change).await;
        assert_eq!(role(&circle.done(Method::GET, a, &path, None).await, &person.phone).as_deref(), Some(now));
    }
    let removed = circle.done(Method::POST, a, &format!("{participants}/remove"), people()).await;
    assert_eq!(removed["data"][0]["result"], "done");
    circle.update(b, group, "participants_removed").await;
    let gone = circle.done(Method::POST, a, &format!("{participants}/remove"), people()).await;
    assert_eq!(gone["data"][0]["result"], "not_in_group");

    circle.done(Method::POST, b, &format!("{path}/leave"), None).await;
    circle.update(b, group, "left").await;
    circle.update(a, group, "participants_removed").await;
    assert_eq!(circle.refused(Method::GET, b, &path, None).await, (403, "not_allowed_in_group".into()));
    assert_eq!(circle.done(Method::GET, b, "", None).await["data"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_join_by_an_invite_and_groups_are_listed() {
    let circle = Circle::begin().await;
    let (a, b) = (&circle.a, &circle.b);
    let mut groups = Vec::new();
    for subject in ["One", "Two", "Three"] {
        let made = circle.done(Method::POST, a, "", Some(json!({"subject": subject}))).await;
        groups.push(made["id"].as_str().unwrap().to_owned());
    }
    let first = circle.done(Method::GET, a, "?limit=2", None).await;
    let rest =
        circle.done(Method::GET, a, &format!("?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()), None).await;
    let ids = |page: &Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((ids(&first).len(), ids(&rest).len(), &rest["next_cursor"]), (2, 1, &Value::Null));
    let mut listed = [ids(&first), ids(&rest)].concat();
    listed.sort();
    groups.sort();
    assert_eq!(listed, groups);

    let (group, path) = (&groups[0], format!("/{}", groups[0]));
    let invite = circle.done(Method::GET, a, &format!("{path}/invite"), None).await;
    let (code, link) = (invite["code"].as_str().unwrap(), invite["link"].as_str().unwrap());
    assert_eq!(link, format!("https://chat.whatsapp.com/{code}"));
    let preview = circle.done(Method::GET, b, &format!("/invites/{code}"), None).await;
    assert_eq!((&preview["id"], &preview["size"], &preview["participants"]), (&json!(group), &json!(1), &json!([])));
    let joined = circle.done(Method::POST, b, "/join", Some(json!({"link": link}))).await;
    assert_eq!(joined, json!({"group": group, "state": "joined"}));
    circle.update(b, group, "joined").await;
    circle.update(a, group, "participants_added").await;
    assert_eq!(circle.refused(Method::POST, b, "/join", Some(json!({"code": code}))).await, (409, "already_so".into()));
    // A member is no admin.
    let member = circle.refused(Method::GET, b, &format!("{path}/invite"), None).await;
    assert_eq!(member, (403, "not_allowed_in_group".into()));

    let renewed = circle.done(Method::POST, a, &format!("{path}/invite/revoke"), None).await;
    assert_ne!(renewed["code"], code);
    circle.update(b, group, "invite_revoked").await;
    let old = circle.refused(Method::GET, b, &format!("/invites/{code}"), None).await;
    assert_eq!(old, (404, "invite_not_found".into()));

    // Where an admin has to approve it, joining waits.
    let waiting = json!({"subject": "Closed", "owner": circle.person.phone, "approval": true});
    let closed = circle.stage.simulator.request(Method::POST, "/groups", Some(&waiting)).await.unwrap().body;
    let code = json!({"code": closed["invite_code"]});
    assert_eq!(circle.done(Method::POST, b, "/join", Some(code)).await["state"], "waiting_for_approval");
    let closed = closed["id"].as_str().unwrap();
    circle.person_does(closed, json!({"approve": [b.phone]})).await;
    circle.update(b, closed, "joined").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_told_in_the_order_they_were_made() {
    const EACH: usize = 100;
    let circle = Circle::begin().await;
    let (group, b) = (circle.together().await, &circle.b);
    let promote = json!({"participants": [circle.person.phone]});
    circle.done(Method::POST, &circle.a, &format!("/{group}/participants/promote"), Some(promote)).await;
    circle.stage.api.post(&format!("/v1/instances/{}/disconnect", b.id), &json!({})).await.unwrap();
    circle.stage.state(&b.id, "disconnected").await.unwrap();

    // Those that wait for the instance come in one burst, the others one by one.
    let made: Vec<_> = (0..2 * EACH).map(|change| format!("Trip {change}")).collect();
    for (change, subject) in made.iter().enumerate() {
        if change == EACH {
            circle.stage.api.post(&format!("/v1/instances/{}/connect", b.id), &json!({})).await.unwrap();
            circle.stage.state(&b.id, "online").await.unwrap();
        }
        circle.person_does(&group, json!({"subject": subject})).await;
    }
    let told = eventually("every change is told", PATIENCE, async || {
        let log = circle.stage.api.events(&b.id).await?.into_iter();
        let told: Vec<_> = log.filter(|event| event.text("/change") == "subject").collect();
        Ok((told.len() == made.len()).then_some(told))
    })
    .await
    .unwrap();
    let misplaced = told.iter().zip(&made).find(|(event, made)| event.text("/subject") != made.as_str());
    assert!(misplaced.is_none(), "{misplaced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_goes_out_to_a_group_and_comes_in() {
    let circle = Circle::begin().await;
    let group = circle.together().await;
    let (a, b, person) = (&circle.a, &circle.b, &circle.person);
    let place = json!({"latitude": -6.2, "longitude": 106.8, "name": "Monas", "address": "Jakarta"});
    let vcard = "BEGIN:VCARD\nFN:Sari\nEND:VCARD";

    // Out: the person and the other instance see the same.
    let (_, id) = circle.says(a, &group, "text", json!({"body": "@you", "mentions": [person.phone]})).await;
    let seen = circle.seen(&id).await;
    assert_eq!((&seen["text"], &seen["mentions"]), (&json!("@you"), &json!([person.phone])));
    assert_eq!((&seen["from"], &seen["group"]), (&json!(a.phone), &json!(group)));
    let event = circle.event(b, "message.received", &id).await;
    assert_eq!((event.text("/text/body"), event.text("/chat")), ("@you", group.as_str()));
    assert!(is_phone(&event.data["from"], &a.phone), "{:?}", event.data);
    assert_eq!(event.data["text"]["mentions"], json!([format!("{}@s.whatsapp.net", person.phone)]));

    let (_, id) = circle.says(a, &group, "location", place.clone()).await;
    assert_eq!(circle.seen(&id).await["location"], place);
    assert_eq!(circle.event(b, "message.received", &id).await.data["location"], place);

    let (_, id) = circle.says(a, &group, "contacts", json!([{"name": "Sari", "vcard": vcard}])).await;
    assert_eq!(circle.seen(&id).await["contacts"], json!([{"name": "Sari", "vcard": vcard}]));
    assert_eq!(circle.event(b, "message.received", &id).await.data["contacts"][0]["vcard"], vcard);

    // In: the person writes, both instances see it.
    for (message, pointer, expected) in [
        (json!({"kind": "text", "text": "hi all", "mentions": [a.phone]}), "/text/body", json!("hi all")),
        (json!({"kind": "location", "location": place}), "/location", place.clone()),
        (json!({"kind": "contacts", "contacts": [{"name": "Sari", "vcard": vcard}]}), "/contacts/0/vcard", json!(vcard)),
    ] {
        let id = circle.hears(&group, message).await;
        for instance in [a, b] {
            let event = circle.event(instance, "message.received", &id).await;
            assert_eq!(event.data.pointer(pointer), Some(&expected), "{:?}", event.data);
            assert_eq!((event.text("/chat"), &event.data["group"]), (group.as_str(), &json!(true)));
            assert!(is_phone(&event.data["from"], &person.phone), "{:?}", event.data);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_messages_of_a_group_is_seen_by_all() {
    let circle = Circle::begin().await;
    let group = circle.together().await;
    let (a, b) = (&circle.a, &circle.b);
    let (ours, target) = circle.says(a, &group, "text", json!({"body": "helo"})).await;
    let at_b = circle.event(b, "message.received", &target).await.text("/message_id").to_owned();
    circle.seen(&target).await;

    // `b` reacts to what `a` wrote: `a` and the person see it, with the author of the target.
    let (_, id) = circle.tell(Method::POST, &format!("/v1/messages/{at_b}/reactions"), &json!({"emoji": "👍"})).await;
    let reaction = circle.event(a, "message.reaction", &id).await;
    let about = &reaction.data["reaction"];
    assert_eq!((&about["message_id"], &about["emoji"]), (&json!(ours), &json!("👍")));
    assert!(is_phone(&reaction.data["from"], &b.phone));
    let seen = circle.seen(&id).await;
    assert_eq!((&seen["kind"], &seen["target_id"], &seen["from"]), (&json!("reaction"), &json!(target), &json!(b.phone)));

    // `b` answers it, the person sees what was answered.
    let body = json!({"to": group, "type": "text", "text": {"body": "yes?"}, "reply_to": at_b});
    let (_, id) = circle.tell(Method::POST, &format!("/v1/instances/{}/messages", b.id), &body).await;
    assert_eq!(circle.seen(&id).await["quoted_id"], target);
    assert_eq!(circle.event(a, "message.received", &id).await.data["reply_to"]["whatsapp_id"], target);

    let path = format!("/v1/messages/{ours}");
    let (_, id) = circle.tell(Method::PATCH, &path, &json!({"text": {"body": "hello"}})).await;
    let edit = circle.event(b, "message.edited", &id).await;
    assert_eq!((&edit.data["edit"]["message_id"], &edit.data["edit"]["body"]), (&json!(at_b), &json!("hello")));
    assert_eq!(circle.seen(&id).await["text"], "hello");
    let (_, id) = circle.tell(Method::DELETE, &path, &json!({})).await;
    assert_eq!(circle.event(b, "message.revoked", &id).await.data["revoke"]["message_id"], at_b);
    assert_eq!(circle.seen(&id).await["kind"], "revoke");

    // The same by the person.
    let target = circle.hears(&group, json!({"kind": "text", "text": "god"})).await;
    for (change, kind) in [
        (json!({"kind": "reaction", "target_id": target, "emoji": "❤️"}), "message.reaction"),
        (json!({"kind": "edit", "target_id": target, "text": "good"}), "message.edited"),
        (json!({"kind": "revoke", "target_id": target}), "message.revoked"),
    ] {
        let id = circle.hears(&group, change).await;
        for instance in [a, b] {
            let received = circle.event(instance, "message.received", &target).await;
            let done = circle.event(instance, kind, &id).await;
            let name = done.text("/type");
            assert_eq!(done.data[name]["message_id"], received.data["message_id"], "{:?}", done.data);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_the_weakest_of_the_members() {
    let circle = Circle::begin().await;
    let group = circle.together().await;
    let (a, b, person) = (&circle.a, &circle.b, &circle.person);
    circle.stage.simulator.change_habits(&person.phone, json!({"auto_receipt": false})).await.unwrap();
    let (id, whatsapp_id) = circle.says(a, &group, "text", json!({"body": "who is there?"})).await;
    let of = |receipts: &[Value], phone: &str| receipts.iter().find(|receipt| is_phone(receipt, phone)).unwrap().clone();
    let receipts = circle.receipts(&id).await;
    assert_eq!(receipts.len(), 2, "{receipts:?}");
    eventually("b has it", PATIENCE, async || {
        Ok(of(&circle.receipts(&id).await, &b.phone)["delivered_at"].as_str().map(|_| ()))
    })
    .await
    .unwrap();
    let received = circle.event(b, "message.received", &whatsapp_id).await;
    let read = format!("/v1/messages/{}/read", received.text("/message_id"));
    assert_eq!(circle.stage.api.post(&read, &json!({})).await.unwrap().status, 204);
    eventually("b has read it", PATIENCE, async || {
        Ok(of(&circle.receipts(&id).await, &b.phone)["read_at"].as_str().map(|_| ()))
    })
    .await
    .unwrap();
    // One has read it, the other has not got it.
    assert_eq!(of(&circle.receipts(&id).await, &person.phone)["delivered_at"], Value::Null);
    assert_eq!(circle.stage.api.message(&id).await.unwrap().status, "sent");

    circle.seen(&whatsapp_id).await;
    let path = format!("/people/{}/read", person.phone);
    let ids = json!({"ids": [whatsapp_id]});
    assert!(circle.stage.simulator.request(Method::POST, &path, Some(&ids)).await.unwrap().status.is_success());
    circle.stage.status(&id, "read").await.unwrap();
    let log = circle.stage.api.events(&a.id).await.unwrap();
    let climbed: Vec<_> =
        log.iter().filter(|event| event.text("/message_id") == id).map(|event| event.text("/status").to_owned()).collect();
    assert_eq!(climbed, ["sent", "delivered", "read"]);

    // Of a message to a person, and of one received.
    let body = json!({"to": b.phone, "type": "text", "text": {"body": "you"}});
    let (direct, _) = circle.tell(Method::POST, &format!("/v1/instances/{}/messages", a.id), &body).await;
    circle.stage.status(&direct, "delivered").await.unwrap();
    let receipts = circle.receipts(&direct).await;
    assert!(receipts.len() == 1 && receipts[0]["delivered_at"].is_string(), "{receipts:?}");
    assert_eq!(circle.receipts(received.text("/message_id")).await, Vec::<Value>::new());
}

/// What is being asked when a connection is ended on purpose is answered first, and what comes then is refused: nobody is left
/// not knowing what became of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_waits_for_what_is_being_asked() {
    let circle = Circle::begin().await;
    let group = circle.together().await;
    let path = format!("/{group}");
    let (mut done, mut late) = (0, 0);
    let restart = format!("/v1/instances/{}/restart", circle.a.id);
    for _ in 0..6 {
        let ask = || circle.ask(Method::PATCH, &circle.a, &path, Some(json!({"subject": "Next", "locked": true})));
        let mut asks: FuturesUnordered<_> = (0..12).map(|_| ask()).collect();
        let first = asks.next().await.unwrap();
        let (mut answers, restarted) =
            tokio::join!(asks.collect::<Vec<_>>(), async { circle.stage.api.post(&restart, &json!({})).await.unwrap() });
        answers.push(first);
        assert!(restarted.status.is_success(), "{}", restarted.text);
        for answer in answers {
            match (answer.status.as_u16(), answer.code()) {
                (200, _) => done += 1,
                (409, "not_online") => late += 1,
                _ => panic!("{}", answer.text),
            }
        }
        circle.stage.state(&circle.a.id, "online").await.unwrap();
    }
    assert!(done > 0 && done + late == 72, "{done} {late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_whatsapp_and_the_api_refuse_about_groups() {
    let circle = Circle::begin().await;
    let group = circle.together().await;
    let (a, b) = (&circle.a, &circle.b);
    let path = format!("/{group}");
    // `b` is no admin.
    let not_admin = (403, "not_allowed_in_group".to_owned());
    let people = json!({"participants": [circle.person.phone]});
    circle.done(Method::PATCH, a, &path, Some(json!({"locked": true, "announce": true}))).await;
    assert_eq!(circle.refused(Method::PATCH, b, &path, Some(json!({"subject": "Mine"}))).await, not_admin);
    assert_eq!(circle.refused(Method::PATCH, b, &path, Some(json!({"announce": false}))).await, not_admin);
    for action in ["/remove", "/promote", "/demote"] {
        let path = format!("{path}/participants{action}");
        assert_eq!(circle.refused(Method::POST, b, &path, Some(people.clone())).await, not_admin, "{action}");
    }
    // Only admins write there now.
    let text = json!({"to": group, "type": "text", "text": {"body": "may I?"}});
    let send = format!("/v1/instances/{}/messages?wait=sent", b.id);
    let refused = circle.stage.api.post(&send, &text).await.unwrap();
    assert_eq!(
        (&refused.body["status"], &refused.body["reason"]),
        (&json!("failed"), &json!("rejected")),
        "{}",
        refused.text
    );

    // A group that is not there, or in which the account is not.
    let nowhere = "120363999999999999@g.us";
    let missing = circle.refused(Method::GET, a, &format!("/{nowhere}"), None).await;
    assert_eq!(missing, (404, "group_not_found".into()));
    let text = json!({"to": nowhere, "type": "text", "text": {"body": "hello?"}});
    let send = format!("/v1/instances/{}/messages?wait=sent", a.id);
    let refused = circle.stage.api.post(&send, &text).await.unwrap();
    assert_eq!(
        (&refused.body["status"], &refused.body["reason"]),
        (&json!("failed"), &json!("rejected")),
        "{}",
        refused.text
    );
    let no_invite = circle.refused(Method::POST, a, "/join", Some(json!({"code": "AAAAAAAAAAAAAAAAAAAAAA"}))).await;
    assert_eq!(no_invite, (404, "invite_not_found".into()));

    // What is wrong by itself never comes to WhatsApp.
    let invalid = (422, "invalid_request".to_owned());
    let nobody = (422, "invalid_recipient".to_owned());
    for (method, sub, body, expected) in [
        (Method::POST, String::new(), json!({"subject": ""}), &invalid),
        (Method::POST, String::new(), json!({"subject": "x".repeat(101)}), &invalid),
        (Method::POST, String::new(), json!({"subject": "x", "description": "y".repeat(2_049)}), &invalid),
        (Method::POST, String::new(), json!({"subject": "x", "participants": ["nobody"]}), &nobody),
        (Method::POST, String::new(), json!({"subject": "x", "participants": [group]}), &nobody),
        (Method::POST, String::new(), json!({"subject": "x", "picture": "y"}), &invalid),
        (Method::PATCH, path.clone(), json!({}), &invalid),
        (Method::PATCH, path.clone(), json!({"subject": "\n"}), &invalid),
        (Method::PATCH, path.clone(), json!({"locked": "yes"}), &invalid),
        (Method::POST, format!("{path}/participants"), json!({"participants": []}), &invalid),
        (Method::POST, "/join".to_owned(), json!({}), &invalid),
        (Method::POST, "/join".to_owned(), json!({"link": "https://example.org/AAAAAAAAAAAAAAAAAAAAAA"}), &invalid),
    ] {
        assert_eq!(&circle.refused(method, a, &sub, Some(body.clone())).await, expected, "{body}");
    }
    assert_eq!(circle.refused(Method::GET, a, "/628123456789", None).await.0, 404);
    assert_eq!(circle.refused(Method::GET, a, "?limit=101", None).await, invalid);
    let unchanged = circle.done(Method::GET, a, &path, None).await;
    assert_eq!(unchanged["subject"], "Trip");
}
