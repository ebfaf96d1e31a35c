//! Several dispatchers over one store.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::collections::HashSet;
use std::time::Duration;
use warren_dispatcher::Options;

/// Two dispatchers share the webhooks, and each event is posted by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_shared_out() {
    let (world, receiver) = (World::new(3).await, Receiver::start().await);
    let mut webhooks = Vec::new();
    for _ in 0..8 {
        webhooks.push(world.webhook(&receiver).await);
    }
    // On a busy machine both live all the same.
    let lasting = Options { claim_ttl_ms: 30_000, ..quick() };
    let first = world.dispatcher(lasting.clone(), &receiver);
    until("the first has all", async || first.metric("warren_webhooks_claimed") == 8).await;
    world.write_rounds(0, 5).await;
    let second = world.dispatcher(lasting, &receiver);
    world.write_rounds(5, 5).await;
    until("each has its half", async || {
        [&first, &second].iter().all(|dispatcher| dispatcher.metric("warren_webhooks_claimed") == 4)
    })
    .await;
    world.write_rounds(10, 5).await;
    until("all arrived", async || receiver.count() >= 360).await;
    for webhook in &webhooks {
        world.caught_up(webhook.id).await;
    }
    let ids: Vec<_> = receiver.posts().iter().map(|post| post.id().to_owned()).collect();
    let distinct: HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (8 * 45, 45), "each event once for each webhook");
    let delivered = [&first, &second].map(|it| it.metric("warren_webhook_deliveries_total{result=\"delivered\"}"));
    assert!(delivered[1] > 0 && delivered[0] + delivered[1] == 360, "{delivered:?}");
    // One goes in order: the other has all of it, and nothing is repeated.
    second.stop().await;
    until("the first has all", async || first.metric("warren_webhooks_claimed") == 8).await;
    world.write_rounds(15, 5).await;
    until("all arrived", async || receiver.count() >= 480).await;
    for webhook in &webhooks {
        world.caught_up(webhook.id).await;
    }
    assert_eq!(receiver.count(), 8 * 60);
}

/// What a dead dispatcher had is taken when its claim ran out, and goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_dispatchers_webhooks_are_taken() {
    let (world, receiver) = (World::new(4).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let first = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 5).await;
    world.caught_up(webhook.id).await;
    let second = world.dispatcher(quick(), &receiver);
    until("it lives", async || second.health.is_ready()).await;
    assert_eq!(second.metric("warren_webhooks_claimed"), 0);
    first.kill().await;
    world.write_rounds(5, 5).await;
    until("the second has it", async || second.metric("warren_webhooks_claimed") == 1).await;
    world.caught_up(webhook.id).await;
    world.all_in_order(&receiver, 10);
}

/// A dispatcher that cannot renew stops posting by itself: by then another one may post.
#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_renew_does_not_post() {
    let (world, receiver) = (World::new(2).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    world.caught_up(webhook.id).await;
    until("it is ready", async || dispatcher.health.is_ready()).await;
    world.store.close().await;
    until("its claims ran out", async || !dispatcher.health.is_ready()).await;
    assert_eq!(receiver.count(), 2);
}

/// A hanging post of a dispatcher that stops is waited for a little; the webhook is another one's afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_is_under_way() {
    let (world, receiver) = (World::new(1).await, Receiver::answering(|_| Reply::Hang).await);
    let webhook = world.webhook(&receiver).await;
    let options = Options { timeout_ms: 700, ..quick() };
    let dispatcher = world.dispatcher(options.clone(), &receiver);
    world.write_rounds(0, 2).await;
    until("one is under way", async || receiver.count() == 1).await;
    dispatcher.stop().await;
    let attempts = world.attempts(webhook.id).await;
    assert_eq!(attempts.len(), 1, "what came of it was recorded");
    receiver.behave(|_| Reply::Status(200));
    world.clock.turn(Duration::from_secs(10));
    let _next = world.dispatcher(options, &receiver);
    world.caught_up(webhook.id).await;
    until("it is taken", async || receiver.numbers(&world.instances[0].to_string()) == [0, 1]).await;
    assert_eq!(receiver.count(), 3);
}
