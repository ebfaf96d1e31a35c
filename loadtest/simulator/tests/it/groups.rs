//! Groups of unmodified clients and people: sender keys, membership, permissions, absence.
use std::future::Future;

use crate::support::{PATIENCE, Phoneless, eventually, http, paired, person, post, simulator};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::features::{GroupError, PreviousDescription};
use whatsapp_rust::request::IqError;
use whatsapp_rust::wacore::iq::groups::{
    GroupCreateOptions, GroupDescription, GroupParticipantOptions, GroupSubject, JoinGroupResult,
};
use whatsapp_rust::wacore::stanza::groups::GroupNotificationAction;
use whatsapp_rust::wacore::types::events::{Event, GroupUpdate};
use whatsapp_rust::wacore::types::presence::ReceiptType;
use whatsapp_rust::waproto::whatsapp::Message;
use whatsapp_rust::{Jid, NodeFilter};

const ALICE: &str = "6281100000001";
const BOB: &str = "6281100000002";
const CAROL: &str = "6281100000003";

fn pn(phone: &str) -> Jid {
    format!("{phone}@s.whatsapp.net").parse().unwrap()
}

async fn client(simulator: &Simulator, phone: &str) -> Phoneless {
    paired(simulator, &format!("?phone={phone}")).await.0
}

/// A group made by a phone.
async fn group(simulator: &Simulator, owner: &str, participants: &[&str]) -> Jid {
    let body = json!({"subject": "Warung", "owner": owner, "participants": participants});
    let made = post(simulator, "/admin/groups", body).await;
    made["id"].as_str().unwrap().parse().unwrap()
}

async fn change(simulator: &Simulator, group: &Jid, body: Value) -> Value {
    post(simulator, &format!("/admin/groups/{group}"), body).await
}

async fn write_as(simulator: &Simulator, phone: &str, to: &Jid, text: &str) {
    post(simulator, &format!("/admin/people/{phone}/send"), json!({"to": to.to_string(), "text": text})).await;
}

/// A message of a phone's inbox.
async fn received(simulator: &Simulator, phone: &str, text: &str) -> Value {
    eventually(text, simulator, &format!("/admin/people/{phone}/inbox?limit=1000"), |inbox| {
        inbox["messages"].as_array()?.iter().find(|message| message["text"] == text).cloned()
    })
    .await
}

async fn news<T>(client: &Phoneless, what: &str, pick: impl Fn(&GroupUpdate) -> Option<T>) -> T {
    client
        .wait_for(what, |event| match event {
            Event::GroupUpdate(update) => pick(update),
            _ => None,
        })
        .await
}

fn names(update: &GroupUpdate, phone: &str) -> bool {
    let (GroupNotificationAction::Add { participants, .. }
    | GroupNotificationAction::Remove { participants, .. }
    | GroupNotificationAction::Promote { participants }) = &update.action
    else {
        return false;
    };
    participants.iter().any(|participant| {
        participant.jid.user == phone || participant.phone_number.as_ref().is_some_and(|pn| pn.user == phone)
    })
}

fn code<T: std::fmt::Debug>(result: Result<T, GroupError>) -> u16 {
    match result {
        Err(GroupError::Iq(IqError::ServerError { code, .. })) => code,
        Err(GroupError::DescriptionConflict) => 409,
        other => panic!("not refused by the server: {other:?}"),
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_talk_in_all_directions() {
    for lid_migrated in [false, true] {
        let simulator = simulator(Options { lid_migrated, ..Options::default() }).await;
        let alice = client(&simulator, ALICE).await;
        let bob = client(&simulator, BOB).await;
        let budi = person(&simulator, json!({"name": "Budi", "auto_read": true})).await;
        let options = GroupCreateOptions {
            subject: "Warung".to_owned(),
            participants: [BOB, &budi].map(|phone| GroupParticipantOptions::new(pn(phone))).to_vec(),
            ..GroupCreateOptions::default()
        };
        let made = within(alice.client.groups().create_group(options)).await.unwrap().metadata;
        assert_eq!((made.subject.as_str(), made.participants.len()), ("Warung", 3));
        let group = made.id.clone();
        let created = |update: &GroupUpdate| {
            matches!(update.action, GroupNotificationAction::Create { .. }).then(|| update.group_jid.clone())
        };
        assert_eq!(news(&bob, "the new group", created).await, group);

        for round in 0..3 {
            let ack = alice.client.wait_for_node(NodeFilter::tag("ack").attr("class", "message"));
            let text = format!("from alice {round}");
            let id = alice.send(&group.to_string(), &text).await;
            let ack = within(ack).await.unwrap();
            assert!(ack.get().get_attr("error").is_none() && ack.get().get_attr("phash").is_none(), "{:?}", ack.get());
            let got = bob.wait_text(&text).await;
            assert_eq!((got.info.id.as_str(), &got.info.source.chat), (id.as_str(), &group));
            assert_eq!(got.info.source.sender.is_lid(), lid_migrated);
            assert!(got.info.source.is_group && got.info.source.sender_alt.is_some());
            let noted = received(&simulator, &budi, &text).await;
            assert_eq!((noted["from"].as_str(), noted["group"].as_str()), (Some(ALICE), Some(group.to_string().as_str())));
            for kind in [ReceiptType::Delivered, ReceiptType::Read] {
                let chat = alice
                    .wait_for("a member's receipt", |event| match event {
                        Event::Receipt(receipt) if receipt.r#type == kind && receipt.message_ids.contains(&id) => {
                            Some(receipt.source.chat.clone())
                        }
                        _ => None,
                    })
                    .await;
                assert_eq!(chat, group);
            }
            let text = format!("from bob {round}");
            bob.send(&group.to_string(), &text).await;
            alice.wait_text(&text).await;
            received(&simulator, &budi, &text).await;
            let text = format!("from budi {round}");
            write_as(&simulator, &budi, &group, &text).await;
            assert_eq!(alice.wait_text(&text).await.info.push_name, "Budi");
            bob.wait_text(&text).await;
            // The phones of the clients' accounts read along.
            assert_eq!(received(&simulator, ALICE, &text).await["surfaced"], 1);
        }
        let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
        for counter in ["handset_undecryptable", "retry_receipts", "iq_unknown", "devices_without_keys", "messages_nacked"] {
            assert_eq!(stats[counter], 0, "{counter}: {stats}");
        }
        let truth = format!("/admin/accounts/{BOB}/ground-truth");
        let truth = eventually("all acked", &simulator, &truth, |truth| {
            let emitted = truth["emitted"].as_array()?;
            (emitted.len() == 6 && emitted.iter().all(|entry| entry["acked"] == true)).then(|| truth.clone())
        })
        .await;
        assert_eq!(truth["accepted"][0]["to"], group.to_string());
        alice.stop().await;
        bob.stop().await;
        simulator.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, bob, carol) =
        (client(&simulator, ALICE).await, client(&simulator, BOB).await, client(&simulator, CAROL).await);
    let budi = person(&simulator, json!({})).await;
    let group = group(&simulator, ALICE, &[BOB, &budi]).await;
    let to = group.to_string();
    alice.send(&to, "before carol").await;
    write_as(&simulator, &budi, &group, "budi before carol").await;
    bob.wait_text("before carol").await;
    bob.wait_text("budi before carol").await;

    let added = within(alice.client.groups().add_participants(&group, &[pn(CAROL), pn(BOB), pn("6281199999999")])).await;
    let added: Vec<_> = added.unwrap().into_iter().map(|outcome| outcome.error).collect();
    assert_eq!(added, [None, Some("409".to_owned()), Some("404".to_owned())]);
    news(&bob, "carol's arrival", |update| names(update, CAROL).then_some(())).await;
    let joined = |update: &GroupUpdate| matches!(update.action, GroupNotificationAction::Create { .. }).then_some(());
    news(&carol, "the group", joined).await;
    for (author, text) in [(&alice, "alice after"), (&bob, "bob after"), (&carol, "carol after")] {
        author.send(&to, text).await;
    }
    write_as(&simulator, &budi, &group, "budi after").await;
    for reader in [&alice, &bob, &carol] {
        reader.wait_text("budi after").await;
    }
    for text in ["alice after", "bob after"] {
        carol.wait_text(text).await;
    }
    for text in ["alice after", "bob after", "carol after"] {
        received(&simulator, &budi, text).await;
    }
    assert_eq!((carol.count("before carol"), carol.count("budi before carol")), (0, 0));

    let removed = within(alice.client.groups().remove_participants(&group, &[pn(BOB)])).await.unwrap();
    assert!(removed.iter().all(|outcome| outcome.error.is_none()));
    change(&simulator, &group, json!({"by": ALICE, "remove": [budi.clone()]})).await;
    news(&bob, "his removal", |update| names(update, BOB).then_some(())).await;
    news(&carol, "budi's removal", |update| names(update, &budi).then_some(())).await;
    alice.send(&to, "without them").await;
    carol.send(&to, "just us").await;
    carol.wait_text("without them").await;
    alice.wait_text("just us").await;
    // What bob's device gets comes in order: the direct text is behind what would have come from the group.
    write_as(&simulator, &budi, &pn(BOB), "are you out too").await;
    bob.wait_text("are you out too").await;
    assert_eq!((bob.count("without them"), bob.count("just us")), (0, 0));
    received(&simulator, CAROL, "without them").await;
    let (_, inbox) = http(&simulator, "GET", &format!("/admin/people/{budi}/inbox"), "").await;
    assert!(inbox["messages"].as_array().unwrap().iter().all(|message| message["text"] != "without them"));

    within(carol.client.groups().leave(group.clone())).await.unwrap();
    news(&alice, "carol's leaving", |update| names(update, CAROL).then_some(())).await;
    let (_, left) = http(&simulator, "GET", &format!("/admin/groups/{group}"), "").await;
    assert_eq!(left["participants"].as_array().unwrap().len(), 1);
    within(alice.client.groups().leave(group.clone())).await.unwrap();
    let (status, _) = http(&simulator, "GET", &format!("/admin/groups/{group}"), "").await;
    assert_eq!(status, 404, "a group without members ends");
    for client in [alice, bob, carol] {
        client.stop().await;
    }
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_described_and_looked_at() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, bob) = (client(&simulator, ALICE).await, client(&simulator, BOB).await);
    let group = group(&simulator, ALICE, &[BOB]).await;
    let groups = alice.client.groups();
    within(groups.set_subject(group.clone(), GroupSubject::new("Warung Baru").unwrap())).await.unwrap();
    let renamed = |update: &GroupUpdate| match &update.action {
        GroupNotificationAction::Subject { subject, .. } => Some(subject.clone()),
        _ => None,
    };
    assert_eq!(news(&bob, "the new subject", renamed).await, "Warung Baru");
    let text = GroupDescription::new("Nasi dan kopi").unwrap();
    within(groups.set_description(group.clone(), Some(text.clone()), PreviousDescription::Resolve)).await.unwrap();
    let described = |update: &GroupUpdate| match &update.action {
        GroupNotificationAction::Description { description, .. } => description.clone(),
        _ => None,
    };
    assert_eq!(news(&bob, "the description", described).await, "Nasi dan kopi");
    let stale = within(groups.set_description(group.clone(), Some(text), PreviousDescription::Id("0000"))).await;
    assert_eq!(code(stale), 409);
    within(groups.set_locked(group.clone(), true)).await.unwrap();
    within(groups.set_announce(group.clone(), true)).await.unwrap();
    within(groups.promote_participants(group.clone(), &[pn(BOB)])).await.unwrap();
    news(&bob, "his promotion", |update| names(update, BOB).then_some(())).await;

    let seen = within(bob.client.groups().get_metadata(&group)).await.unwrap();
    assert_eq!((seen.subject.as_str(), seen.description.as_deref()), ("Warung Baru", Some("Nasi dan kopi")));
    assert!(seen.is_locked && seen.is_announcement);
    let ranks: Vec<_> = seen.participants.iter().map(|participant| participant.is_admin()).collect();
    assert_eq!(ranks, [true, true]);
    let mine = within(bob.client.groups().get_participating()).await.unwrap();
    assert_eq!(mine.keys().collect::<Vec<_>>(), [&group]);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_allowed_is_refused() {
    let simulator = simulator(Options::default()).await;
    let (alice, bob, carol) =
        (client(&simulator, ALICE).await, client(&simulator, BOB).await, client(&simulator, CAROL).await);
    let budi = person(&simulator, json!({})).await;
    let group = group(&simulator, ALICE, &[BOB, &budi]).await;
    let unknown: Jid = "120363999999999999@g.us".parse().unwrap();
    let (admin, member, stranger) = (alice.client.groups(), bob.client.groups(), carol.client.groups());
    let subject = || GroupSubject::new("x").unwrap();

    assert_eq!(code(within(member.set_announce(group.clone(), true)).await), 403);
    assert_eq!(code(within(member.remove_participants(group.clone(), &[pn(&budi)])).await), 403);
    assert_eq!(code(within(member.get_invite_link(group.clone(), false)).await), 401);
    assert_eq!(code(within(stranger.get_metadata(&group)).await), 403);
    assert_eq!(code(within(stranger.set_subject(group.clone(), subject())).await), 403);
    assert_eq!(code(within(stranger.get_metadata(&unknown)).await), 404);
    assert_eq!(code(within(stranger.leave(group.clone())).await), 403);
    within(member.set_subject(group.clone(), subject())).await.unwrap();
    change(&simulator, &group, json!({"by": ALICE, "locked": true, "announce": true, "admins_add": true})).await;
    assert_eq!(code(within(member.set_subject(group.clone(), subject())).await), 403);
    assert_eq!(code(within(member.add_participants(group.clone(), &[pn(CAROL)])).await), 403);

    let nack = |id: String| {
        move |event: &Event| match event {
            Event::ServerAck(ack) if ack.id == id && ack.class.as_deref() == Some("message") => ack.error.clone(),
            _ => None,
        }
    };
    let id = bob.send(&group.to_string(), "not an admin").await;
    assert_eq!(bob.wait_for("nack", nack(id)).await, "420");
    let (status, _) = http(
        &simulator,
        "POST",
        &format!("/admin/people/{budi}/send"),
        &json!({"to": group.to_string(), "text": "x"}).to_string(),
    )
    .await;
    assert_eq!(status, 403);
    alice.send(&group.to_string(), "an admin").await;
    bob.wait_text("an admin").await;
    within(admin.set_announce(group.clone(), false)).await.unwrap();
    bob.send(&group.to_string(), "a member again").await;
    alice.wait_text("a member again").await;
    assert_eq!(alice.count("not an admin"), 0);
    within(admin.remove_participants(group.clone(), &[pn(BOB)])).await.unwrap();
    // The client still has the group in its cache and tries.
    let id = bob.send(&group.to_string(), "removed").await;
    assert_eq!(bob.wait_for("nack", nack(id)).await, "403");
    for client in [alice, bob, carol] {
        client.stop().await;
    }
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_let_in_until_reset() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, bob, carol) =
        (client(&simulator, ALICE).await, client(&simulator, BOB).await, client(&simulator, CAROL).await);
    let group = group(&simulator, ALICE, &[]).await;
    let link = within(alice.client.groups().get_invite_link(group.clone(), false)).await.unwrap();
    let info = within(bob.client.groups().get_invite_info(&link)).await.unwrap();
    assert_eq!((&info.id, info.subject.as_str(), info.size), (&group, "Warung", Some(1)));
    let joined = within(bob.client.groups().join_with_invite_code(&link)).await.unwrap();
    assert_eq!(joined, JoinGroupResult::Joined(group.clone()));
    news(&alice, "bob's arrival", |update| names(update, BOB).then_some(())).await;
    assert_eq!(code(within(bob.client.groups().join_with_invite_code(&link)).await), 409);
    bob.send(&group.to_string(), "hello from the link").await;
    alice.wait_text("hello from the link").await;

    within(alice.client.groups().remove_participants(group.clone(), &[pn(BOB)])).await.unwrap();
    assert_eq!(code(within(bob.client.groups().join_with_invite_code(&link)).await), 405);
    let fresh = within(alice.client.groups().get_invite_link(group.clone(), true)).await.unwrap();
    assert_ne!(fresh, link);
    assert_eq!(code(within(carol.client.groups().join_with_invite_code(&link)).await), 410);
    assert_eq!(code(within(carol.client.groups().get_invite_info("AAAAAAAAAAAAAAAAAAAAAA")).await), 406);

    change(&simulator, &group, json!({"by": ALICE, "approval": true})).await;
    let asked = within(carol.client.groups().join_with_invite_code(&fresh)).await.unwrap();
    assert_eq!(asked, JoinGroupResult::PendingApproval(group.clone()));
    let request = |update: &GroupUpdate| {
        matches!(update.action, GroupNotificationAction::CreatedMembershipRequests { .. }).then_some(())
    };
    news(&alice, "carol's request", request).await;
    let waiting = within(alice.client.groups().get_membership_requests(&group)).await.unwrap();
    let waiting: Vec<Jid> = waiting.into_iter().map(|request| request.jid).collect();
    assert_eq!(waiting.len(), 1);
    within(alice.client.groups().approve_membership_requests(&group, &waiting)).await.unwrap();
    let joined = |update: &GroupUpdate| matches!(update.action, GroupNotificationAction::Create { .. }).then_some(());
    news(&carol, "the group", joined).await;
    alice.send(&group.to_string(), "welcome").await;
    carol.wait_text("welcome").await;
    for client in [alice, bob, carol] {
        client.stop().await;
    }
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_members_get_everything_later() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, bob) = (client(&simulator, ALICE).await, client(&simulator, BOB).await);
    let budi = person(&simulator, json!({})).await;
    let group = group(&simulator, ALICE, &[BOB, &budi]).await;
    alice.send(&group.to_string(), "hello").await;
    bob.wait_text("hello").await;
    let store = bob.stop().await;
    let (status, _) = http(&simulator, "PATCH", &format!("/admin/people/{budi}"), r#"{"online":false}"#).await;
    assert_eq!(status, 200);
    for number in 0..20 {
        alice.send(&group.to_string(), &format!("absent {number}")).await;
    }
    change(&simulator, &group, json!({"by": ALICE, "subject": "Renamed"})).await;
    let bob = Phoneless::start(simulator.local_addr(), store).await;
    bob.wait_connected().await;
    for number in 0..20 {
        bob.wait_text(&format!("absent {number}")).await;
    }
    let renamed = |update: &GroupUpdate| match &update.action {
        GroupNotificationAction::Subject { subject, .. } => Some((subject.clone(), update.offline.is_some())),
        _ => None,
    };
    assert_eq!(news(&bob, "the new subject", renamed).await, ("Renamed".to_owned(), true));
    let (status, _) = http(&simulator, "PATCH", &format!("/admin/people/{budi}"), r#"{"online":true}"#).await;
    assert_eq!(status, 200);
    received(&simulator, &budi, "absent 19").await;
    eventually("an empty queue", &simulator, "/admin/accounts", |accounts| {
        let bob = accounts["accounts"].as_array()?.iter().find(|account| account["phone"] == BOB)?;
        (bob["devices"][0]["queue"] == 0).then_some(())
    })
    .await;
    assert_eq!(bob.count("absent 7"), 1);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_the_sender_key_asks_again() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let alice = client(&simulator, ALICE).await;
    let budi = person(&simulator, json!({})).await;
    let citra = person(&simulator, json!({})).await;
    let group = group(&simulator, ALICE, &[&budi, &citra]).await;
    alice.send(&group.to_string(), "first").await;
    write_as(&simulator, &citra, &group, "first of citra").await;
    for text in ["first", "first of citra"] {
        received(&simulator, &budi, text).await;
    }
    alice.wait_text("first of citra").await;
    let forgotten = post(&simulator, &format!("/admin/people/{budi}/forget-sessions"), json!({})).await;
    assert!(forgotten["forgotten"].as_u64() >= Some(3), "{forgotten}");
    alice.send(&group.to_string(), "second").await;
    write_as(&simulator, &citra, &group, "second of citra").await;
    for text in ["second", "second of citra"] {
        assert_eq!(received(&simulator, &budi, text).await["surfaced"], 1, "{text}");
    }
    // The key comes again with what is written next.
    alice.send(&group.to_string(), "third").await;
    write_as(&simulator, &citra, &group, "third of citra").await;
    for text in ["third", "third of citra"] {
        received(&simulator, &budi, text).await;
    }
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(folder.path().to_owned()), lid_migrated: true, ..Options::default() };
    let simulator = simulator(options.clone()).await;
    let alice = client(&simulator, ALICE).await;
    let budi = person(&simulator, json!({})).await;
    let kept = group(&simulator, ALICE, &[&budi]).await;
    let ended = group(&simulator, &budi, &[]).await;
    alice.send(&kept.to_string(), "before").await;
    received(&simulator, &budi, "before").await;
    write_as(&simulator, &budi, &kept, "budi before").await;
    alice.wait_text("budi before").await;
    change(&simulator, &kept, json!({"by": ALICE, "description": "kept"})).await;
    change(&simulator, &ended, json!({"by": budi, "leave": true})).await;
    let (_, before) = http(&simulator, "GET", "/admin/groups", "").await;
    let address = simulator.local_addr();
    simulator.shutdown().await;
    alice.forget();

    let listener = TcpListener::bind(address).await.unwrap();
    let simulator = Simulator::start(listener, options).await.unwrap();
    alice.wait_connected().await;
    let (_, after) = http(&simulator, "GET", "/admin/groups", "").await;
    assert_eq!(before, after);
    assert_eq!(after["groups"].as_array().unwrap().len(), 1);
    let (_, of_budi) = http(&simulator, "GET", &format!("/admin/groups?member={budi}"), "").await;
    assert_eq!(of_budi, after);
    alice.send(&kept.to_string(), "after").await;
    received(&simulator, &budi, "after").await;
    write_as(&simulator, &budi, &kept, "budi after").await;
    alice.wait_text("budi after").await;
    let (_, stats) = http(&simulator, "GET", "/admin/stats", "").await;
    assert_eq!((&stats["handset_undecryptable"], &stats["retry_receipts"]), (&json!(0), &json!(0)), "{stats}");
    alice.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_companion_linked_later_is_written_to() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, bob) = (client(&simulator, ALICE).await, client(&simulator, BOB).await);
    let group = group(&simulator, ALICE, &[BOB]).await;
    alice.send(&group.to_string(), "one companion").await;
    bob.wait_text("one companion").await;
    let listed = alice.client.wait_for_node(NodeFilter::tag("notification").attr("type", "devices"));
    let second = client(&simulator, BOB).await;
    within(listed).await.unwrap();
    // The client takes the news in beside what it sends: until it has, its hash is not the server's.
    let mut reached = None;
    for attempt in 0..50 {
        let ack = alice.client.wait_for_node(NodeFilter::tag("ack").attr("class", "message"));
        let text = format!("two companions {attempt}");
        alice.send(&group.to_string(), &text).await;
        if within(ack).await.unwrap().get().get_attr("phash").is_none() {
            reached = Some(text);
            break;
        }
    }
    let text = reached.expect("the client never learned of the new companion");
    second.wait_text(&text).await;
    bob.wait_text(&text).await;
    second.send(&group.to_string(), "from the second").await;
    alice.wait_text("from the second").await;
    assert!(bob.wait_text("from the second").await.info.source.is_from_me);
    for client in [alice, bob, second] {
        client.stop().await;
    }
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_and_edits_find_their_message() {
    for lid_migrated in [false, true] {
        let simulator = simulator(Options { lid_migrated, ..Options::default() }).await;
        let (alice, bob) = (client(&simulator, ALICE).await, client(&simulator, BOB).await);
        let budi = person(&simulator, json!({})).await;
        let group = group(&simulator, ALICE, &[BOB, &budi]).await;
        let id = alice.send(&group.to_string(), "menu hari ini").await;
        bob.wait_text("menu hari ini").await;
        received(&simulator, &budi, "menu hari ini").await;
        let body = json!({"to": group.to_string(), "message": {"kind": "reaction", "target_id": id, "emoji": "👍"}});
        post(&simulator, &format!("/admin/people/{budi}/send"), body).await;
        let key = bob
            .wait_for("the reaction", |event| match event {
                Event::Messages(batch) => batch
                    .messages
                    .iter()
                    .find_map(|inbound| inbound.message.reaction_message.as_option()?.key.as_option().cloned()),
                _ => None,
            })
            .await;
        assert_eq!((key.id.as_deref(), key.remote_jid), (Some(id.as_str()), Some(group.to_string())));
        let author: Jid = key.participant.unwrap().parse().unwrap();
        assert_eq!(author.is_lid(), lid_migrated);

        let edited = Message { conversation: Some("menu besok".to_owned()), ..Message::default() };
        within(alice.client.edit_message(group.clone(), id.clone(), edited)).await.unwrap();
        let edit = eventually("the edit", &simulator, &format!("/admin/people/{budi}/inbox"), |inbox| {
            inbox["messages"].as_array()?.iter().find(|message| message["kind"] == "edit").cloned()
        })
        .await;
        assert_eq!((&edit["target_id"], &edit["group"]), (&json!(id), &json!(group.to_string())));
        alice.stop().await;
        bob.stop().await;
        simulator.shutdown().await;
    }
}
