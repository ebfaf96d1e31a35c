//! A receiver that is away for long.

use crate::receiver::{Receiver, Reply, until};
use crate::world::{World, quick};
use std::time::Duration;
use warren_dispatcher::Options;
use warren_domain::webhook::{DeliveryFailure, Disabled};
use warren_ports::ledger::{WebhookPatch, Webhooks as _};

const HOUR: Duration = Duration::from_secs(3_600);
const MOMENT: Duration = Duration::from_millis(1);

/// The pauses after which a webhook that does not answer is asked again, by the circuit: a sixtieth of the longest, and then
/// each twice the one before.
fn pauses(options: &Options) -> impl Iterator<Item = Duration> {
    let longest = Duration::from_millis(options.probe_ms);
    std::iter::successors(Some(longest / 60), move |pause| Some((*pause * 2).min(longest)))
}

/// How long after its first try the try with this number may come, by the table.
fn not_before(options: &Options, tries: u32) -> Duration {
    // One more than the table says may be early: it asks whether the webhook answers again, and does not count.
    options.retry_s.iter().take(tries.saturating_sub(2) as usize).map(|pause| Duration::from_secs(*pause)).sum()
}

/// Down for an hour, by the clock of the table and of the circuit, while events come: nothing is lost, each instance is in
/// order, and the receiver was asked as often as the two allow.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_down_loses_nothing() {
    let (world, receiver) = (World::new(10).await, Receiver::answering(|_| Reply::Status(503)).await);
    world.clock.stop();
    let began = warren_domain::time::Clock::now(&*world.clock);
    let webhook = world.webhook(&receiver).await;
    // On a busy machine it lives all the same.
    let options = Options { probe_ms: Options::default().probe_ms, claim_ttl_ms: 30_000, ..quick() };
    let dispatcher = world.dispatcher(options.clone(), &receiver);
    world.write_rounds(0, 1).await;
    // The first event of each instance fails: that opens the circuit. From then on it is asked once after each pause.
    let (mut rounds, mut asked, mut passed) = (1, 10, Duration::ZERO);
    let recorded = async |asked: usize| world.attempts(webhook.id).await.len() == asked;
    until("the circuit opens", async || recorded(asked).await).await;
    for pause in pauses(&options) {
        if passed + pause > HOUR {
            break;
        }
        if asked % 2 == 0 {
            world.write_rounds(rounds, 1).await;
            rounds += 1;
        }
        world.clock.turn(pause - MOMENT);
        world.clock.looked_at().await;
        assert_eq!(receiver.count(), asked, "it was asked before {pause:?} had passed");
        world.clock.turn(MOMENT);
        passed += pause;
        asked += 1;
        until("it was asked once more, and no more often", async || recorded(asked).await).await;
    }
    world.clock.turn(HOUR - passed);
    until("the lag shows", async || dispatcher.metric("warren_webhook_lag_seconds") >= 3_600).await;
    assert_eq!(dispatcher.metric("warren_webhooks_failing"), 1);
    assert_eq!(receiver.count(), asked, "1, 2, 4 ... 60 s apart after the first 10");
    for attempt in world.attempts(webhook.id).await {
        assert!(attempt.at >= began.after(not_before(&options, attempt.tries)), "{attempt:?}");
    }
    let standing = world.stored(webhook.id).await.standing;
    assert!(standing.failing_since.is_some() && standing.delivered_at.is_none());

    receiver.behave(|_| Reply::Status(200));
    world.clock.turn(Duration::from_millis(options.probe_ms));
    let events = usize::try_from(rounds).unwrap() * world.instances.len();
    until("all are taken", async || receiver.taken().len() >= events).await;
    world.caught_up(webhook.id).await;
    world.all_in_order(&receiver, rounds);
    assert_eq!(world.dead_letters(webhook.id).await, []);
    until("all is well", async || dispatcher.metric("warren_webhooks_failing") == 0).await;
    until("no lane is left", async || dispatcher.metric("warren_webhook_lanes") == 0).await;
    assert_eq!(world.stored(webhook.id).await.standing.failing_since, None);
    // The first event of each instance was tried at its time after 5 s, 5 m and 30 m, and not yet after 2 h more.
    let attempts = world.attempts(webhook.id).await;
    let mut tries: Vec<_> = attempts.iter().filter(|it| it.failure.is_none()).map(|it| it.tries).collect();
    tries.sort_unstable();
    assert_eq!(tries.split_off(events - 10), [5; 10]);
    assert!(tries.iter().all(|tries| *tries == 1), "{tries:?}");
}

/// Nobody listens, and then somebody does: the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_not_there_loses_nothing() {
    let world = World::new(10).await;
    let receiver = Receiver::start().await;
    let address = receiver.address();
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    drop(receiver);
    world.write_rounds(0, 30).await;
    until("it is only asked now and then", async || dispatcher.metric("warren_webhooks_failing") == 1).await;
    assert!(dispatcher.metric("warren_webhook_deliveries_total{result=\"unreachable\"}") >= 10);
    let receiver = Receiver::at(address, |_| Reply::Status(200)).await;
    until("all are taken", async || receiver.taken().len() >= 300).await;
    world.caught_up(webhook.id).await;
    world.all_in_order(&receiver, 30);
}

/// What fails of one instance for long opens the circuit, and still does not keep the others from being tried.
#[tokio::test(flavor = "multi_thread")]
async fn one_sick_instance_does_not_close_the_others_out() {
    let world = World::new(4).await;
    let sick = world.instances[0].to_string();
    let instance = sick.clone();
    let receiver =
        Receiver::answering(move |post| if post.place().0 == instance { Reply::Status(500) } else { Reply::Status(200) })
            .await;
    let webhook = world.webhook(&receiver).await;
    let options = Options { failures_to_open: 2, probe_ms: 600, retry_s: vec![1], ..quick() };
    let dispatcher = world.dispatcher(options, &receiver);
    for number in 0..10 {
        world.write(world.instances[0], number).await;
    }
    until("it is only asked now and then", async || {
        world.clock.turn(Duration::from_secs(2));
        dispatcher.metric("warren_webhooks_failing") == 1
    })
    .await;
    for number in 0..5 {
        world.write(world.instances[1], number).await;
    }
    until("the others are delivered", async || receiver.numbers(&world.instances[1].to_string()).len() == 5).await;
    // One after the other its events are given up.
    until("all are dead letters", async || {
        world.clock.turn(Duration::from_secs(2));
        world.dead_letters(webhook.id).await.len() == 10
    })
    .await;
    let dead: Vec<_> =
        world.dead_letters(webhook.id).await.iter().map(|letter| letter.event.data["number"].as_i64().unwrap()).collect();
    assert_eq!(dead, (0..10).collect::<Vec<_>>());
}

/// An event is tried as often as the table says, and is a dead letter then; its instance goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_given_up_after_its_last_try() {
    let world = World::new(2).await;
    let (sick, witness) = (world.instances[0], world.instances[1]);
    let receiver =
        Receiver::answering(|post| if post.place().1 == 1 { Reply::Status(422) } else { Reply::Status(200) }).await;
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(Options { failures_to_open: 100, ..quick() }, &receiver);
    for number in 0..3 {
        world.write(sick, number).await;
    }
    let tries = async || receiver.posts().iter().filter(|post| post.place().1 == 1).count();
    for (number, seconds) in (1..).zip([5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]) {
        until("it is tried", async || tries().await == number).await;
        let tried = async || world.attempts(webhook.id).await.iter().filter(|attempt| attempt.failure.is_some()).count();
        until("that is recorded", async || tried().await == number).await;
        world.clock.turn(Duration::from_secs(seconds - 1));
        // Whatever is due goes before what is written now.
        let mark = 1_000 + i64::try_from(number).unwrap();
        world.write(witness, mark).await;
        until("the witness is posted", async || receiver.numbers(&witness.to_string()).last() == Some(&mark)).await;
        assert_eq!(tries().await, number, "not before {seconds} s");
        world.clock.turn(Duration::from_secs(seconds / 10 + 2));
    }
    until("it is given up", async || world.dead_letters(webhook.id).await.len() == 1).await;
    let letter = world.dead_letters(webhook.id).await.remove(0);
    assert_eq!((letter.tries, letter.status, letter.failure), (8, Some(422), DeliveryFailure::ClientError));
    assert_eq!((letter.event.instance, &letter.event.data["number"]), (sick, &1.into()));
    until("the next one is posted", async || {
        world.clock.turn(Duration::from_secs(2));
        receiver.numbers(&sick.to_string()) == [0, 2]
    })
    .await;
    until("every try is in the log of attempts", async || {
        let attempts = world.attempts(webhook.id).await;
        let own = attempts.iter().rev().filter(|attempt| attempt.instance == sick);
        own.map(|attempt| attempt.tries).collect::<Vec<_>>() == [1, 1, 2, 3, 4, 5, 6, 7, 8, 1]
    })
    .await;
    assert_eq!(dispatcher.metric("warren_webhook_deliveries_total{result=\"dead\"}"), 1);
}

/// A receiver that takes nothing for days is disabled; enabled again it gets everything from where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_takes_nothing_for_days_is_disabled() {
    let (world, receiver) = (World::new(10).await, Receiver::answering(|_| Reply::Status(500)).await);
    let webhook = world.webhook(&receiver).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    // More than can be given up in those days, at one an hour.
    world.write_rounds(0, 20).await;
    until("it is disabled", async || {
        world.clock.turn(HOUR);
        world.stored(webhook.id).await.disabled == Some(Disabled::Failing)
    })
    .await;
    receiver.behave(|_| Reply::Status(200));
    let patch = WebhookPatch { disabled: Some(None), ..WebhookPatch::default() };
    let at = warren_domain::time::Clock::now(&*world.clock);
    world.store.update_webhook(world.tenant, webhook.id, patch, at).await.unwrap().unwrap();
    let given_up = world.dead_letters(webhook.id).await.len();
    until("the rest is taken", async || {
        world.clock.turn(HOUR);
        receiver.taken().len() + given_up >= 200
    })
    .await;
    world.caught_up(webhook.id).await;
    assert_eq!(receiver.taken().len() + world.dead_letters(webhook.id).await.len(), 200);
}

/// With as many dead letters as are kept, none is dropped for another.
#[tokio::test(flavor = "multi_thread")]
async fn full_dead_letters_disable_a_webhook() {
    let (world, receiver) = (World::new(2).await, Receiver::answering(|_| Reply::Status(400)).await);
    let webhook = world.webhook(&receiver).await;
    let options = Options { dead_letters: 3, retry_s: vec![0], failures_to_open: 1_000, ..quick() };
    let _dispatcher = world.dispatcher(options, &receiver);
    world.write_rounds(0, 10).await;
    until("it is disabled", async || {
        world.clock.turn(Duration::from_secs(10));
        world.stored(webhook.id).await.disabled == Some(Disabled::DeadLettersFull)
    })
    .await;
    let dead = world.dead_letters(webhook.id).await.len();
    assert!((3..=4).contains(&dead), "{dead}");
}
