//! How fast it is: prints, and judges only what is far off. `cargo test --release -p warren-dispatcher --test dispatcher --
//! --ignored --nocapture speed`.

use crate::receiver::{Receiver, until};
use crate::world::{World, quick};
use std::time::{Duration, Instant};
use warren_dispatcher::Options;
use warren_domain::EventType;

/// One webhook, 200 instances, 30,000 events that are there already.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn posts_a_second() {
    let (world, receiver) = (World::new(200).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    for round in 0..150 {
        let events: Vec<_> =
            world.instances.iter().map(|instance| (*instance, EventType::MessageUndecryptable, round)).collect();
        world.write_all(&events).await;
    }
    let options = Options { sweep_ms: 1_000, claim_ttl_ms: 10_000, record_ms: 50, ..quick() };
    let begun = Instant::now();
    let _dispatcher = world.dispatcher(options, &receiver);
    until("all arrived", async || receiver.count() >= 30_000).await;
    let took = begun.elapsed();
    println!("30,000 posts in {took:?}: {:.0}/s, {} connections", 30_000.0 / took.as_secs_f64(), receiver.connections());
    world.caught_up(webhook.id).await;
    println!("recorded after {:?}", begun.elapsed());
}

/// From the commit of an event to its post, one at a time.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn commit_to_post() {
    let (world, receiver) = (World::new(1).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let options = Options { sweep_ms: 1_000, claim_ttl_ms: 10_000, record_ms: 50, ..quick() };
    let _dispatcher = world.dispatcher(options, &receiver);
    world.write_rounds(0, 5).await;
    world.caught_up(webhook.id).await;
    let (mut commits, mut posts) = (Vec::new(), Vec::new());
    for number in 5..505 {
        let begun = Instant::now();
        world.write(world.instances[0], number).await;
        commits.push(begun.elapsed());
        let count = usize::try_from(number).unwrap() + 1;
        while receiver.count() < count {
            tokio::time::sleep(Duration::from_micros(50)).await;
        }
        posts.push(begun.elapsed());
    }
    commits.sort();
    posts.sort();
    let show = |times: &[Duration]| format!("p50 {:?}, p99 {:?}", times[250], times[495]);
    println!("commit: {}; commit and post: {}", show(&commits), show(&posts));
}
