//! Rows 50, 65 and 66 of the bad inputs: what a receiver may answer, and where it may be.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::time::Duration;
use warren_dispatcher::Options;
use warren_domain::webhook::{DeliveryFailure, Disabled};
use warren_ports::ledger::{WebhookPatch, Webhooks as _};

#[tokio::test(flavor = "multi_thread")]
async fn row_50_redirects_are_not_followed() {
    let (world, inner) = (World::new(1).await, Receiver::start().await);
    let target = inner.url();
    for status in [301, 302, 303, 307, 308] {
        let location = target.clone();
        let receiver = Receiver::answering(move |_| Reply::With(status, "location", location.clone())).await;
        let webhook = world.webhook(&receiver).await;
        let dispatcher = world.dispatcher_with(quick(), &[&receiver, &inner]);
        world.write_rounds(0, 1).await;
        until("it is recorded", async || world.attempts(webhook.id).await.len() == 1).await;
        let attempt = world.attempts(webhook.id).await.remove(0);
        assert_eq!((attempt.status, attempt.failure), (Some(status), Some(DeliveryFailure::Redirect)));
        dispatcher.stop().await;
        assert!(world.store.delete_webhook(world.tenant, webhook.id).await.unwrap());
    }
    assert_eq!(inner.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_65_an_endless_answer_is_a_success() {
    let (world, receiver) = (World::new(1).await, Receiver::answering(|_| Reply::Endless).await);
    let webhook = world.webhook(&receiver).await;
    let begun = std::time::Instant::now();
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 5).await;
    world.caught_up(webhook.id).await;
    // One after the other, and of none more than is read of it.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(receiver.count(), 5);
    let attempts = world.attempts(webhook.id).await;
    assert!(attempts.iter().all(|attempt| attempt.failure.is_none() && attempt.tries == 1), "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_66_410_disables_a_webhook() {
    let (world, receiver) = (World::new(3).await, Receiver::answering(|_| Reply::Status(410)).await);
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 4).await;
    until("it is disabled", async || world.stored(webhook.id).await.disabled == Some(Disabled::Gone)).await;
    until("nobody works on it", async || dispatcher.metric("warren_webhooks_claimed") == 0).await;
    // Those that were under way at the same time, and no more.
    assert!(receiver.count() <= 3, "{}", receiver.count());
    let count = receiver.count();
    world.write_rounds(4, 2).await;
    receiver.behave(|_| Reply::Status(200));
    let patch = WebhookPatch { disabled: Some(None), ..WebhookPatch::default() };
    let at = warren_domain::time::Clock::now(&*world.clock);
    world.store.update_webhook(world.tenant, webhook.id, patch, at).await.unwrap().unwrap();
    until("everything is taken", async || receiver.taken().len() == 18).await;
    world.caught_up(webhook.id).await;
    world.all_in_order(&receiver, 6);
    assert_eq!(receiver.count(), 18 + count);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_66_retry_after_is_heeded() {
    for status in [429, 503] {
        let world = World::new(4).await;
        let receiver = Receiver::answering(move |_| Reply::With(status, "retry-after", "3600".to_owned())).await;
        let webhook = world.webhook(&receiver).await;
        let options = Options { in_flight_per_webhook: 1, ..quick() };
        let dispatcher = world.dispatcher(options.clone(), &receiver);
        world.write_rounds(0, 2).await;
        until("it is asked to wait", async || world.stored(webhook.id).await.standing.paused_until.is_some()).await;
        receiver.behave(|_| Reply::Status(200));
        assert_eq!(receiver.count(), 1, "one was enough to say it for all");
        // Nor after a restart, and not a minute too early.
        dispatcher.stop().await;
        let dispatcher = world.dispatcher(options, &receiver);
        world.clock.turn(Duration::from_secs(3_540));
        let other = world.webhook_with(&receiver, |webhook| webhook.position = 0).await;
        world.caught_up(other.id).await;
        assert_eq!(receiver.count(), 1 + 8, "all of these were the other webhook's");
        world.clock.turn(Duration::from_secs(70));
        until("it is asked again", async || receiver.taken().len() == 16).await;
        until("all is well", async || world.stored(webhook.id).await.standing.paused_until.is_none()).await;
        drop(dispatcher);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_66_a_long_retry_after_is_not_for_ever() {
    let world = World::new(1).await;
    let receiver = Receiver::answering(|_| Reply::With(503, "retry-after", "999999999".to_owned())).await;
    let webhook = world.webhook(&receiver).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    until("it is asked to wait", async || world.stored(webhook.id).await.standing.paused_until.is_some()).await;
    receiver.behave(|_| Reply::Status(200));
    world.clock.turn(Duration::from_secs(24 * 3_600 + 60));
    world.caught_up(webhook.id).await;
    until("it is taken", async || receiver.taken().len() == 1).await;
}

/// What a name leads to is judged when something is posted: nothing is sent to a private address.
#[tokio::test(flavor = "multi_thread")]
async fn row_48_a_name_that_leads_inside_is_not_posted_to() {
    let (world, receiver) = (World::new(1).await, Receiver::start().await);
    let url = format!("http://hooks.example.com:{}/", receiver.address().port());
    let webhook = world.webhook_with(&receiver, |webhook| webhook.url = url).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    until("it is recorded", async || world.attempts(webhook.id).await.len() == 1).await;
    let attempt = world.attempts(webhook.id).await.remove(0);
    assert_eq!((attempt.status, attempt.failure), (None, Some(DeliveryFailure::NotAllowed)));
    assert_eq!(receiver.connections(), 0);
}
