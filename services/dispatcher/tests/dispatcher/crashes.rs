//! A dispatcher that dies between a post and its record.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use warren_dispatcher::Options;

/// What was posted and not recorded is posted again under the same ids; nothing is lost, and each instance stays in order.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_recorded_is_posted_again() {
    let (world, receiver) = (World::new(5).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let never = Options { record_ms: 3_600_000, ..quick() };
    let dispatcher = world.dispatcher(never, &receiver);
    world.write_rounds(0, 10).await;
    until("all arrived", async || receiver.count() == 50).await;
    dispatcher.kill().await;
    let first: Vec<_> = receiver.posts().iter().map(|post| post.id().to_owned()).collect();
    assert_eq!(world.stored(webhook.id).await.position, webhook.position, "nothing was recorded");
    let _again = world.dispatcher(quick(), &receiver);
    world.caught_up(webhook.id).await;
    let mut second: Vec<_> = receiver.posts().iter().skip(50).map(|post| post.id().to_owned()).collect();
    let mut sorted = first.clone();
    sorted.sort();
    second.sort();
    assert_eq!(second, sorted, "the same ids again");
    for instance in &world.instances {
        let twice: Vec<i64> = (0..10).chain(0..10).collect();
        assert_eq!(receiver.numbers(&instance.to_string()), twice);
    }
}

/// Killed again and again at any moment, under failures: at least once, in order, without a gap.
#[tokio::test(flavor = "multi_thread")]
async fn many_deaths_lose_nothing() {
    let world = World::new(8).await;
    let count = Arc::new(AtomicU64::new(0));
    let receiver = Receiver::answering(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) % 9 == 4 { Reply::Status(500) } else { Reply::Status(200) }
    })
    .await;
    let webhook = world.webhook(&receiver).await;
    let options = Options { retry_s: vec![0; 15], record_ms: 30, ..quick() };
    for round in 0..8 {
        let dispatcher = world.dispatcher(options.clone(), &receiver);
        let before = receiver.taken().len();
        world.write_rounds(round * 10, 10).await;
        world.clock.turn(Duration::from_secs(2));
        until("some of it arrived", async || receiver.taken().len() >= before + 20).await;
        dispatcher.kill().await;
    }
    let _dispatcher = world.dispatcher(options, &receiver);
    for instance in &world.instances {
        until("all of it arrived", async || {
            world.clock.turn(Duration::from_secs(1));
            receiver.numbers(&instance.to_string()).last() == Some(&79)
        })
        .await;
    }
    // Each number comes after the one before it, or is one that came before.
    let mut furthest: HashMap<String, i64> = HashMap::new();
    for post in receiver.taken() {
        let (instance, number) = post.place();
        let last = furthest.entry(instance.clone()).or_insert(-1);
        assert!(number <= *last + 1, "{instance}: {number} after {last}");
        *last = (*last).max(number);
    }
    assert!(world.instances.iter().all(|instance| furthest.get(&instance.to_string()) == Some(&79)), "{furthest:?}");
    assert_eq!(world.dead_letters(webhook.id).await, []);
}
