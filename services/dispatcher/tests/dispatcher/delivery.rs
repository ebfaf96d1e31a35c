//! What is posted, to whom, and what is kept of it.

use crate::receiver::{Receiver, until};
use crate::world::{World, quick};
use std::collections::HashSet;
use std::time::Duration;
use warren_domain::event::EventView;
use warren_domain::webhook::Disabled;
use warren_domain::{EventType, TenantId, Timestamp};
use warren_ports::bus::{Bus as _, Ephemeral, Ring, Topic};
use warren_ports::ledger::{WebhookPatch, Webhooks as _};

/// The body is the event's text in the log, byte by byte; the headers are those of Standard Webhooks and the tenant's own.
#[tokio::test(flavor = "multi_thread")]
async fn events_are_posted_as_they_are_in_the_log() {
    let (world, receiver) = (World::new(2).await, Receiver::start().await);
    world.write_rounds(0, 3).await;
    let own = |webhook: &mut warren_domain::Webhook| {
        webhook.headers = vec![("Authorization".to_owned(), "Bearer abc".to_owned())];
        webhook.position = 0;
    };
    let webhook = world.webhook_with(&receiver, own).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(3, 3).await;
    world.caught_up(webhook.id).await;
    let events = world.events().await;
    assert_eq!((receiver.count(), events.len()), (12, 12));
    let texts: HashSet<String> = events.iter().map(|event| EventView::stored(world.log(), event).json().unwrap()).collect();
    for post in receiver.posts() {
        assert!(texts.contains(std::str::from_utf8(&post.body).unwrap()));
        assert_eq!(post.id(), post.json()["id"].as_str().unwrap());
        assert_eq!(post.header("content-type"), Some("application/json"));
        assert_eq!(post.header("authorization"), Some("Bearer abc"));
        assert!(post.header("user-agent").unwrap().starts_with("warren/"));
        assert!(post.header("webhook-signature").unwrap().starts_with("v1,"));
        assert_eq!(post.header("webhook-replay"), None);
        let seconds: i64 = post.header("webhook-timestamp").unwrap().parse().unwrap();
        assert!((warren_domain::time::Clock::now(&*world.clock).as_millis() / 1_000 - seconds).abs() < 60);
    }
    let attempts = world.attempts(webhook.id).await;
    assert_eq!(attempts.len(), 12);
    assert!(attempts.iter().all(|attempt| attempt.tries == 1 && attempt.status == Some(204) && !attempt.replay));
    let stored = world.stored(webhook.id).await;
    assert!(stored.standing.delivered_at.is_some() && stored.standing.failing_since.is_none());
    assert_eq!(dispatcher.metric("warren_webhook_deliveries_total{result=\"delivered\"}"), 12);
    until("it is ready", async || dispatcher.health.is_ready()).await;
    // Connections serve again.
    assert!(receiver.connections() < 12, "{}", receiver.connections());
}

/// A webhook gets what it names; nobody gets what is not stored, and no other tenant's events.
#[tokio::test(flavor = "multi_thread")]
async fn each_webhook_gets_what_it_wants() {
    let (world, all, some, one) =
        (World::new(2).await, Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let first = world.webhook(&all).await;
    let typed = world.webhook_with(&some, |webhook| webhook.events = vec![EventType::PairingFailed]).await;
    let instance = world.instances[1];
    let narrow = world.webhook_with(&one, |webhook| webhook.instances = vec![instance]).await;
    let _dispatcher = world.dispatcher_with(quick(), &[&all, &some, &one]);
    let data = serde_json::Map::new();
    for tenant in [world.tenant, TenantId::generate()] {
        let ephemeral = Ephemeral {
            kind: EventType::ChatTyping,
            tenant,
            instance,
            occurred_at: Timestamp::default(),
            data: data.clone(),
        };
        world.bus.ring(Topic::Log(tenant), Ring::Ephemeral(ephemeral.into()));
    }
    for number in 0..10 {
        for (instance, kind) in [(0, EventType::PairingFailed), (1, EventType::MessageUndecryptable)] {
            world.write_all(&[(world.instances[instance], kind, number)]).await;
        }
    }
    for webhook in [&first, &typed, &narrow] {
        world.caught_up(webhook.id).await;
    }
    assert_eq!((all.count(), some.count(), one.count()), (20, 10, 10));
    assert!(some.posts().iter().all(|post| post.json()["type"] == "pairing.failed"));
    assert!(one.posts().iter().all(|post| post.json()["instance_id"] == instance.to_string()));
}

/// A new webhook is found, a changed one is followed, a deleted one is left alone, without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn changes_are_followed() {
    let (world, before, after) = (World::new(1).await, Receiver::start().await, Receiver::start().await);
    let dispatcher = world.dispatcher_with(quick(), &[&before, &after]);
    let webhook = world.webhook(&before).await;
    world.write_rounds(0, 2).await;
    world.caught_up(webhook.id).await;
    assert_eq!(before.count(), 2);
    let change = async |patch| {
        let at = warren_domain::time::Clock::now(&*world.clock);
        world.store.update_webhook(world.tenant, webhook.id, patch, at).await.unwrap().unwrap();
    };
    change(WebhookPatch { url: Some(after.url()), ..WebhookPatch::default() }).await;
    until("the new address is asked", async || {
        world.write_rounds(100, 1).await;
        after.count() > 0
    })
    .await;
    let asked = before.count();
    change(WebhookPatch { disabled: Some(Some(Disabled::Paused)), ..WebhookPatch::default() }).await;
    until("nobody works on it", async || dispatcher.metric("warren_webhooks_claimed") == 0).await;
    let count = after.count();
    world.write_rounds(200, 3).await;
    change(WebhookPatch { disabled: Some(None), ..WebhookPatch::default() }).await;
    world.caught_up(webhook.id).await;
    let last: Vec<_> = after.taken().iter().skip(count).map(|post| post.place().1).collect();
    assert_eq!((last, before.count()), (vec![200, 201, 202], asked), "it goes on where it was");
    assert!(world.store.delete_webhook(world.tenant, webhook.id).await.unwrap());
    until("nobody works on it", async || dispatcher.metric("warren_webhooks_claimed") == 0).await;
    let count = after.count();
    world.write_rounds(300, 1).await;
    // What would be posted if it were: by another webhook, written after it.
    let other = world.webhook_with(&before, |webhook| webhook.position = 0).await;
    world.caught_up(other.id).await;
    assert_eq!(after.count(), count);
}

/// The tenant may move the place of a webhook while it is worked on.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_can_be_sent_back() {
    let (world, receiver) = (World::new(3).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 4).await;
    world.caught_up(webhook.id).await;
    let patch = WebhookPatch { position: Some(0), ..WebhookPatch::default() };
    world.store.update_webhook(world.tenant, webhook.id, patch, Timestamp::default()).await.unwrap().unwrap();
    until("everything came again", async || receiver.count() == 24).await;
    world.caught_up(webhook.id).await;
    for instance in &world.instances {
        assert_eq!(receiver.numbers(&instance.to_string()), [0, 1, 2, 3, 0, 1, 2, 3]);
    }
}

/// A lost ring costs a sweep.
#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_lost_is_found_by_the_sweep() {
    let (world, receiver) = (World::new(1).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    world.bus.close();
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 5).await;
    world.caught_up(webhook.id).await;
    world.all_in_order(&receiver, 5);
}

/// A stop finishes and records: what comes after goes on exactly there.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_nothing_to_repeat() {
    let (world, receiver) = (World::new(5).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    // Nothing is recorded before the stop.
    let slow = warren_dispatcher::Options { record_ms: 60_000, ..quick() };
    let dispatcher = world.dispatcher(slow.clone(), &receiver);
    world.write_rounds(0, 10).await;
    until("all arrived", async || receiver.count() == 50).await;
    dispatcher.stop().await;
    assert!(world.stored(webhook.id).await.position > 0);
    let again = world.dispatcher(slow, &receiver);
    world.write_rounds(10, 10).await;
    until("all arrived", async || receiver.count() >= 100).await;
    again.stop().await;
    world.all_in_order(&receiver, 20);
    assert_eq!(world.attempts(webhook.id).await.len(), 100);
}

/// Metrics name no tenant, no address and no webhook.
#[tokio::test(flavor = "multi_thread")]
async fn figures_name_nobody() {
    let (world, receiver) = (World::new(1).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    world.caught_up(webhook.id).await;
    tokio::time::timeout(Duration::from_secs(10), async {
        while dispatcher.metric("warren_webhooks_claimed") != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let rendered = dispatcher.metrics.render();
    for secret in [world.tenant.to_string(), webhook.id.to_string(), receiver.address().port().to_string()] {
        assert!(!rendered.contains(&secret), "{rendered}");
    }
}
