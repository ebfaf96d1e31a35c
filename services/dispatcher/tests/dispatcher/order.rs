//! The order of each instance, whatever fails.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use warren_dispatcher::Options;

/// No event of an instance is posted before the one before it was taken. One whose answer came too late is posted again.
fn assert_order(receiver: &Receiver) {
    let mut next: HashMap<String, i64> = HashMap::new();
    for post in receiver.posts() {
        let (instance, number) = post.place();
        let expected = next.entry(instance.clone()).or_insert(0);
        assert!(number == *expected || number == *expected - 1, "{instance}: {number} where {expected} is next");
        if post.is_taken() {
            *expected = number + 1;
        }
    }
}

/// A receiver that fails every fifth post in one way or another gets everything, each instance in order.
#[tokio::test(flavor = "multi_thread")]
async fn order_holds_under_failures() {
    let world = World::new(12).await;
    let count = Arc::new(AtomicU64::new(0));
    let receiver = Receiver::answering(move |_| match count.fetch_add(1, Ordering::Relaxed) % 35 {
        5 | 10 => Reply::Status(500),
        15 => Reply::Status(404),
        20 => Reply::Hang,
        25 => Reply::With(302, "location", "http://127.0.0.1:1/".to_owned()),
        30 => Reply::Status(429),
        _ => Reply::Status(200),
    })
    .await;
    let webhook = world.webhook(&receiver).await;
    let options = Options { timeout_ms: 1_000, retry_s: vec![1; 15], ..quick() };
    let dispatcher = world.dispatcher(options, &receiver);
    let turning = {
        let clock = Arc::clone(&world.clock);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                clock.turn(Duration::from_millis(500));
            }
        })
    };
    world.write_rounds(0, 60).await;
    for instance in &world.instances {
        until("all are taken", async || receiver.numbers(&instance.to_string()).last() == Some(&59)).await;
    }
    world.caught_up(webhook.id).await;
    until("no lane is left", async || dispatcher.metric("warren_webhook_lanes") == 0).await;
    turning.abort();
    assert_order(&receiver);
    world.all_in_order(&receiver, 60);
    assert_eq!(world.dead_letters(webhook.id).await, []);
}

/// An instance whose events hang, or are refused, does not hold up the other instances, nor other webhooks.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_not_held_up() {
    for sick_reply in [Reply::Hang, Reply::Status(500)] {
        let (world, well) = (World::new(6).await, Receiver::start().await);
        let sick = world.instances[0].to_string();
        let behaviour = sick_reply.clone();
        let instance = sick.clone();
        let receiver =
            Receiver::answering(move |post| if post.place().0 == instance { behaviour.clone() } else { Reply::Status(200) })
                .await;
        let webhook = world.webhook(&receiver).await;
        let other = world.webhook(&well).await;
        let dispatcher = world.dispatcher_with(Options { timeout_ms: 2_000, ..quick() }, &[&receiver, &well]);
        // More of the sick one than is kept in memory for it.
        world.write_rounds(0, 200).await;
        for instance in &world.instances[1..] {
            until("the others are delivered", async || receiver.numbers(&instance.to_string()).len() == 200).await;
        }
        until("the other is delivered", async || well.taken().len() >= 1_200).await;
        world.caught_up(other.id).await;
        world.all_in_order(&well, 200);
        world.caught_up(webhook.id).await;
        assert_eq!(receiver.numbers(&sick), [0; 0]);
        until("it waits in a lane", async || dispatcher.metric("warren_webhook_lanes") == 1).await;
        // And once it answers, it gets everything.
        receiver.behave(|_| Reply::Status(200));
        until("the sick one is delivered", async || {
            world.clock.turn(Duration::from_secs(60));
            receiver.numbers(&sick).len() == 200
        })
        .await;
        world.all_in_order(&receiver, 200);
        until("no lane is left", async || dispatcher.metric("warren_webhook_lanes") == 0).await;
        assert_order(&receiver);
    }
}

/// Posts go side by side, but not more than are allowed.
#[tokio::test(flavor = "multi_thread")]
async fn posts_are_bounded() {
    let (world, receiver) = (World::new(40).await, Receiver::answering(|_| Reply::Hang).await);
    world.webhook(&receiver).await;
    let options = Options { in_flight_per_webhook: 3, ..quick() };
    let dispatcher = world.dispatcher(options, &receiver);
    world.write_rounds(0, 2).await;
    until("as many as may be are under way", async || dispatcher.metric("warren_webhook_in_flight") == 3).await;
    until("they arrived", async || receiver.count() == 3).await;
    assert_eq!(receiver.most(), 3);
}
