//! Events that are delivered again.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::time::Duration;
use warren_dispatcher::Options;
use warren_domain::webhook::{Replay, Replayed, Webhook};
use warren_domain::{EventId, EventType, ReplayId, Timestamp};
use warren_ports::ledger::{Events as _, Webhooks as _};

async fn replay(world: &World, webhook: &Webhook, what: Replayed) -> Replay {
    let created_at = warren_domain::time::Clock::now(&*world.clock);
    let replay = Replay { id: ReplayId::generate(), position: what.begin(), what, created_at };
    world.store.start_replay(world.tenant, webhook.id, &replay, 10).await.unwrap();
    replay
}

async fn is_over(world: &World, webhook: &Webhook) {
    until("the replay is over", async || world.store.replays(world.tenant, webhook.id).await.unwrap().is_empty()).await;
}

/// A range is posted again, marked, in order, beside what is live; with the filters of the webhook.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_is_posted_again() {
    let (world, receiver) = (World::new(4).await, Receiver::start().await);
    let webhook = world.webhook_with(&receiver, |webhook| webhook.events = vec![EventType::MessageUndecryptable]).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 300).await;
    world.write_all(&[(world.instances[0], EventType::PairingFailed, 1)]).await;
    until("all arrived", async || receiver.count() == 1_200).await;
    let events = world.events().await;
    let (after, to) = (events[399].position, events[1_000].position);
    replay(&world, &webhook, Replayed::Range { after, to }).await;
    world.write_rounds(300, 50).await;
    is_over(&world, &webhook).await;
    until("all arrived", async || receiver.count() >= 2_001).await;
    let (again, live): (Vec<_>, Vec<_>) =
        receiver.posts().into_iter().partition(|post| post.header("webhook-replay") == Some("true"));
    assert_eq!((again.len(), live.len()), (601, 1_400));
    let mut ids: Vec<_> = again.iter().map(|post| post.id().to_owned()).collect();
    let mut expected: Vec<_> = events[400..=1_000].iter().map(|event| event.id.to_string()).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
    for instance in &world.instances {
        let numbers: Vec<_> = again.iter().map(|post| post.place()).filter(|(of, _)| *of == instance.to_string()).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    }
}

/// Events that were delivered are posted again when they are asked for by their ids: the same text, marked, and no other; what is
/// live goes on.
#[tokio::test(flavor = "multi_thread")]
async fn delivered_events_are_posted_again_by_their_ids() {
    let (world, receiver) = (World::new(2).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 5).await;
    world.caught_up(webhook.id).await;
    let first = receiver.posts();
    assert!(first.len() == 10 && first.iter().all(|post| post.is_taken() && post.header("webhook-replay").is_none()));
    let chosen: Vec<_> = first.iter().filter(|post| post.place().1 == 3).collect();
    let ids: Vec<EventId> = chosen.iter().map(|post| post.id().parse().unwrap()).collect();
    // They are found as the API finds them: in the log, because no dead letter has them.
    let dead = world.store.dead_letter_positions(world.tenant, webhook.id, &ids).await.unwrap();
    assert_eq!(dead, [None, None]);
    let mut positions = Vec::new();
    for id in ids {
        positions.push(world.store.event_position(world.tenant, id).await.unwrap().unwrap());
    }
    positions.sort_unstable();
    replay(&world, &webhook, Replayed::Positions(positions)).await;
    is_over(&world, &webhook).await;
    let again = receiver.posts().split_off(10);
    assert_eq!(again.len(), 2);
    for post in chosen {
        let twin = again.iter().find(|twin| twin.id() == post.id()).unwrap();
        assert_eq!((twin.body.as_ref(), twin.header("webhook-replay")), (post.body.as_ref(), Some("true")));
    }
    assert_eq!(world.attempts(webhook.id).await.iter().filter(|attempt| attempt.replay).count(), 2);
    world.write_rounds(5, 1).await;
    world.caught_up(webhook.id).await;
    for instance in &world.instances {
        assert_eq!(receiver.numbers(&instance.to_string()), [0, 1, 2, 3, 4, 3, 5]);
    }
    assert_eq!(world.dead_letters(webhook.id).await, []);
}

/// Dead letters are posted again, by their ids or all; what is taken is none any more.
#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_posted_again() {
    let (world, receiver) = (World::new(2).await, Receiver::answering(|_| Reply::Status(500)).await);
    let webhook = world.webhook(&receiver).await;
    let options = Options { retry_s: vec![1], failures_to_open: 1_000, ..quick() };
    let dispatcher = world.dispatcher(options, &receiver);
    world.write_rounds(0, 6).await;
    until("all are dead letters", async || {
        world.clock.turn(Duration::from_secs(2));
        world.dead_letters(webhook.id).await.len() == 12
    })
    .await;
    world.caught_up(webhook.id).await;
    let dead = world.dead_letters(webhook.id).await;
    let some: Vec<i64> = dead.iter().filter(|letter| letter.event.data["number"] == 3).map(|it| it.event.position).collect();
    assert_eq!(some.len(), 2);
    receiver.behave(|_| Reply::Status(200));
    replay(&world, &webhook, Replayed::Positions(some.clone())).await;
    is_over(&world, &webhook).await;
    let taken = receiver.taken();
    assert_eq!(taken.iter().map(|post| post.place().1).collect::<Vec<_>>(), [3, 3]);
    assert!(taken.iter().all(|post| post.header("webhook-replay") == Some("true")));
    let left = world.dead_letters(webhook.id).await;
    assert!(left.len() == 10 && left.iter().all(|letter| !some.contains(&letter.event.position)));
    // One of them is refused for good.
    receiver.behave(|post| if post.place().1 == 4 { Reply::Status(400) } else { Reply::Status(200) });
    replay(&world, &webhook, Replayed::DeadLetters { to: i64::MAX - 1 }).await;
    until("the replay is over", async || {
        world.clock.turn(Duration::from_secs(2));
        world.store.replays(world.tenant, webhook.id).await.unwrap().is_empty()
    })
    .await;
    for instance in &world.instances {
        assert_eq!(receiver.numbers(&instance.to_string()), [3, 0, 1, 2, 5]);
    }
    let left = world.dead_letters(webhook.id).await;
    assert!(left.len() == 2 && left.iter().all(|letter| letter.event.data["number"] == 4), "{left:?}");
    assert_eq!(dispatcher.metric("warren_webhook_deliveries_total{result=\"dead\"}"), 14);
    let replayed = world.attempts(webhook.id).await.iter().filter(|attempt| attempt.replay).count();
    assert_eq!(replayed, 2 + 8 + 4);
}

/// A replay goes on after a restart, and ends early when it is cancelled.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_survives_and_is_cancelled() {
    let (world, receiver) = (World::new(2).await, Receiver::start().await);
    world.write_rounds(0, 20).await;
    let webhook = world.webhook(&receiver).await;
    let to = world.events().await.last().unwrap().position;
    receiver.behave(|post| if post.place().1 < 5 { Reply::Status(200) } else { Reply::Status(503) });
    let first = world.dispatcher(quick(), &receiver);
    let asked = replay(&world, &webhook, Replayed::Range { after: 0, to }).await;
    until("some of it is taken", async || receiver.taken().len() == 10).await;
    first.stop().await;
    let kept = world.store.replays(world.tenant, webhook.id).await.unwrap();
    assert!(kept.len() == 1 && kept[0].id == asked.id);
    receiver.behave(|post| if post.place().1 < 10 { Reply::Status(200) } else { Reply::Status(503) });
    world.clock.turn(Duration::from_secs(10));
    let second = world.dispatcher(quick(), &receiver);
    until("more of it is taken", async || {
        world.clock.turn(Duration::from_secs(10));
        receiver.taken().len() == 20
    })
    .await;
    for instance in &world.instances {
        assert_eq!(receiver.numbers(&instance.to_string()), (0..10).collect::<Vec<_>>());
    }
    until("what is left of it waits", async || second.metric("warren_webhook_lanes") == 2).await;
    assert!(world.store.cancel_replay(world.tenant, webhook.id, asked.id).await.unwrap());
    until("its lanes are gone", async || {
        second.metric("warren_webhook_lanes") + second.metric("warren_webhook_in_flight") == 0
    })
    .await;
    receiver.behave(|_| Reply::Status(200));
    world.clock.turn(Duration::from_secs(3_600));
    world.write_rounds(20, 1).await;
    world.caught_up(webhook.id).await;
    let numbers = receiver.numbers(&world.instances[0].to_string());
    assert_eq!(numbers, (0..10).chain([20]).collect::<Vec<_>>());
    assert!(Timestamp::default() < asked.created_at);
}
