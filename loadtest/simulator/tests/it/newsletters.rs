//! Newsletters: posts for whoever follows, and what they make of them.
use crate::support::{paired, simulator};
use warren_simulator::Options;
use whatsapp_rust::features::NewsletterRole;
use whatsapp_rust::wacore::types::events::Event;
use whatsapp_rust::waproto::whatsapp::Message;

fn text(text: &str) -> Message {
    Message { conversation: Some(text.to_owned()), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_read_and_react_and_the_owner_writes() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    let news = alice.client.newsletter().create("Harbour", Some("ships")).await.unwrap();
    let invite = news.invite_code.clone().unwrap();
    let seen = bob.client.newsletter().get_metadata_by_invite(&invite).await.unwrap();
    assert_eq!((seen.jid.clone(), seen.role), (news.jid.clone(), Some(NewsletterRole::Guest)));
    bob.client.newsletter().join(&news.jid).await.unwrap();

    alice.client.send_message(news.jid.clone(), text("ashore")).await.unwrap();
    bob.wait_text("ashore").await;
    let refused = bob.client.send_message(news.jid.clone(), text("me too")).await.unwrap().message_id;
    let code = bob
        .wait_for("a refusal", |event| match event {
            Event::ServerAck(ack) if ack.id == refused => Some(ack.error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(code.as_deref(), Some("403"));

    let posts = bob.client.newsletter().get_messages(&news.jid, 10, None).await.unwrap();
    assert_eq!(posts.len(), 1);
    assert!(!posts[0].is_sender);
    alice.client.newsletter().subscribe_live_updates(&news.jid).await.unwrap();
    bob.client.newsletter().send_reaction(&news.jid, posts[0].server_id, "⚓").await.unwrap();
    let counted = alice
        .wait_for("the reaction", |event| match event {
            Event::NewsletterLiveUpdate(update) => Some(update.messages[0].reactions[0].count),
            _ => None,
        })
        .await;
    assert_eq!(counted, 1);
    alice.client.newsletter().edit_message(&news.jid, posts[0].message_id.clone(), text("afloat")).await.unwrap();
    bob.wait_text("afloat").await;
    assert!(bob.client.newsletter().update(&news.jid, Some("Mine"), None).await.is_err());
    bob.client.newsletter().leave(&news.jid).await.unwrap();
    assert!(bob.client.newsletter().list_subscribed().await.unwrap().is_empty());
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}
