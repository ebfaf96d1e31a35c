//! Accounts that demand tokens of those who write to them, look at their picture, or ask whether they are there.
use crate::support::{Phoneless, ack_of, paired, simulator};
use warren_simulator::Options;
use whatsapp_rust::Jid;

const ALICE: &str = "6281100000001@s.whatsapp.net";
const BOB: &str = "6281100000002@s.whatsapp.net";

async fn verdict(sender: &Phoneless, to: &str, text: &str) -> Option<String> {
    let id = sender.send(to, text).await;
    sender.wait_for("the server's ack", ack_of(id)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_account_takes_only_who_shows_its_token() {
    let simulator = simulator(Options::default()).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=restricted:Alice").await;
    let (bob, _) = paired(&simulator, "?phone=6281100000002&name=Bob").await;
    alice.client.profile().set_profile_picture(b"JPEG".to_vec()).await.unwrap();
    let to_alice: Jid = ALICE.parse().unwrap();
    assert_eq!(verdict(&bob, ALICE, "hello").await.as_deref(), Some("463"));
    assert!(bob.client.contacts().get_profile_picture(&to_alice, false).await.unwrap().is_none());

    // Who was written to got a token with it.
    assert_eq!(verdict(&alice, BOB, "me first").await, None);
    bob.wait_text("me first").await;
    let lid = alice.client.lid().unwrap().user.to_string();
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    // Who only gave one away has an entry without a token.
    while bob.client.tc_token().get(&lid).await.unwrap().is_none_or(|entry| entry.token.is_empty()) {
        assert!(tokio::time::Instant::now() < deadline, "no token came");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(verdict(&bob, ALICE, "hello again").await, None);
    alice.wait_text("hello again").await;
    assert!(bob.client.contacts().get_profile_picture(&to_alice, false).await.unwrap().is_some());
    assert_eq!(alice.count("hello"), 0);
    alice.stop().await;
    bob.stop().await;
    simulator.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_a_salt_makes_a_token_himself() {
    let simulator = simulator(Options { lid_migrated: true, ..Options::default() }).await;
    let (alice, _) = paired(&simulator, "?phone=6281100000001&name=scenario:restricted,tc_enabled=0:Alice").await;
    let to_alice = alice.client.lid().unwrap().to_non_ad().to_string();
    for (phone, flags) in
        [("6281100000002", "nct_send_ab=1,nct_history_ab=1"), ("6281100000003", "nct_send_ab=1,nct_syncd_ab=1")]
    {
        let (stranger, _) = paired(&simulator, &format!("?phone={phone}&name=scenario:{flags}:Stranger")).await;
        let salted = || stranger.client.persistence_manager().get_device_snapshot().nct_salt.is_some();
        let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
        while !salted() {
            assert!(tokio::time::Instant::now() < deadline, "no salt came by {flags}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(verdict(&stranger, &to_alice, phone).await, None, "{flags}");
        alice.wait_text(phone).await;
        stranger.stop().await;
    }
    alice.stop().await;
    simulator.shutdown().await;
}
