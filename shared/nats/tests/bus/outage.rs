//! NATS goes away and comes back.

use crate::common::{Joined, LIMIT, SECRET, command, heard, joined, joined_with, received};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use warren_domain::{InstanceId, MessageId, Shard, TenantId};
use warren_nats::{ConnectError, Metrics, Options, check, connect};
use warren_ports::bus::{Action, Bus, Reply, Request, RequestError, Ring, Topic};
use warren_testkit::services::Nats;
use warren_testkit::{Chaos, Direction, PATIENCE, eventually};

const SHARD: Shard = Shard(7);
/// What the API promises while NATS is away.
const PROMISED: Duration = Duration::from_secs(2);

/// Answers everything, also after an outage.
fn answering(mut served: mpsc::Receiver<Request>) {
    tokio::spawn(async move {
        while let Some(request) = served.recv().await {
            let _ = request.reply.send(Reply::Accepted);
        }
    });
}

async fn is_answered(asker: &Joined) {
    assert_eq!(asker.bus.request(SHARD, command(Action::Connect), LIMIT).await, Ok(Reply::Accepted));
}

async fn is_away(joined: &Joined) {
    eventually("the outage to be seen", PATIENCE, async || Ok((joined.metric("warren_bus_up") == 0).then_some(())))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_during_an_outage_are_refused_soon_and_everything_works_after_it() {
    let mut nats = Nats::start().await.unwrap();
    let (asker, server) = (joined(&nats, "asker").await, joined(&nats, "server").await);
    answering(server.bus.serve(SHARD).await);
    let (tenant, message) = (TenantId::generate(), MessageId::generate());
    let topics = [Topic::Outbound(SHARD), Topic::Log(tenant), Topic::Settled(message)];
    let mut listeners = Vec::new();
    for topic in topics {
        listeners.push((topic, server.bus.listen(topic).await));
    }
    is_answered(&asker).await;
    for _ in 0..2 {
        nats.kill().await.unwrap();
        is_away(&asker).await;
        for _ in 0..3 {
            let started = Instant::now();
            assert_eq!(asker.bus.request(SHARD, command(Action::Connect), LIMIT).await, Err(RequestError::Unavailable));
            assert!(started.elapsed() < PROMISED, "{:?}", started.elapsed());
        }
        // What is rung now is lost, which costs nobody anything; who serves and listens now does so when it is back.
        server.bus.ring(Topic::Log(tenant), Ring::Log);
        answering(server.bus.serve(Shard(8)).await);
        nats.restart().await.unwrap();
        for (_, listener) in &mut listeners {
            assert_eq!(heard(listener).await, Ring::Missed);
        }
        eventually("the bus to be up again", PATIENCE, async || Ok((asker.metric("warren_bus_up") == 1).then_some(())))
            .await
            .unwrap();
        is_answered(&asker).await;
        assert_eq!(asker.bus.request(Shard(8), command(Action::Connect), LIMIT).await, Ok(Reply::Accepted));
        let instance = InstanceId::generate();
        let rings = [Ring::Outbound(instance), Ring::Log, Ring::Settled];
        for ((topic, listener), ring) in listeners.iter_mut().zip(rings) {
            asker.bus.ring(*topic, ring.clone());
            assert_eq!(heard(listener).await, ring);
        }
    }
    assert_eq!((server.metric("warren_bus_reconnects_total"), server.metric("warren_bus_rings_dropped_total")), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_looks_like_a_slow_request() {
    let mut nats = Nats::start().await.unwrap();
    let (asker, server) = (joined(&nats, "asker").await, joined(&nats, "server").await);
    answering(server.bus.serve(SHARD).await);
    is_answered(&asker).await;
    nats.restart().await.unwrap();
    is_answered(&asker).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_into_an_outage_has_an_unknown_outcome_soon() {
    let mut nats = Nats::start().await.unwrap();
    let (asker, server) = (joined(&nats, "asker").await, joined(&nats, "server").await);
    let mut served = server.bus.serve(SHARD).await;
    let asked = tokio::spawn({
        let bus = asker.bus.clone();
        async move { bus.request(SHARD, command(Action::Connect), LIMIT).await }
    });
    let _carried_out = received(&mut served).await;
    let started = Instant::now();
    nats.kill().await.unwrap();
    assert_eq!(asked.await.unwrap(), Err(RequestError::Timeout));
    assert!(started.elapsed() < PROMISED + PROMISED / 2, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_a_short_outage_is_heard() {
    let nats = Nats::start().await.unwrap();
    let chaos = Chaos::before(nats.address()).await.unwrap();
    let through = |options: Options| Options { url: nats.url_at(chaos.address()), ..options };
    let asker = joined_with(&nats, "asker", through).await;
    let server = joined(&nats, "server").await;
    let mut served = server.bus.serve(SHARD).await;
    let asked = tokio::spawn({
        let bus = asker.bus.clone();
        async move { bus.request(SHARD, command(Action::Connect), LIMIT).await }
    });
    let request = received(&mut served).await;
    let reconnected = asker.metric("warren_bus_reconnects_total");
    assert!(chaos.cut_one());
    eventually("the asker to be back", PATIENCE, async || {
        Ok((asker.metric("warren_bus_reconnects_total") > reconnected).then_some(()))
    })
    .await
    .unwrap();
    request.reply.send(Reply::Accepted).unwrap();
    assert_eq!(asked.await.unwrap(), Ok(Reply::Accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_is_noticed() {
    let nats = Nats::start().await.unwrap();
    let chaos = Chaos::before(nats.address()).await.unwrap();
    let through = |options: Options| Options { url: nats.url_at(chaos.address()), ..options };
    let asker = joined_with(&nats, "asker", through).await;
    let server = joined(&nats, "server").await;
    answering(server.bus.serve(SHARD).await);
    is_answered(&asker).await;
    for hole in [None, Some(Direction::ToTarget), Some(Direction::FromTarget)] {
        let mut listener = asker.bus.listen(Topic::Outbound(SHARD)).await;
        match hole {
            None => chaos.stall(),
            Some(direction) => chaos.stall_one_way(direction),
        }
        let started = Instant::now();
        // Nobody knows yet: it was sent, and perhaps heard.
        assert_eq!(asker.bus.request(SHARD, command(Action::Connect), LIMIT).await, Err(RequestError::Timeout));
        assert!(started.elapsed() < PROMISED + PROMISED / 2, "{:?}", started.elapsed());
        let started = Instant::now();
        assert_eq!(asker.bus.request(SHARD, command(Action::Connect), LIMIT).await, Err(RequestError::Unavailable));
        assert!(started.elapsed() < PROMISED, "{:?}", started.elapsed());
        chaos.pass().await.unwrap();
        assert_eq!(heard(&mut listener).await, Ring::Missed);
        is_answered(&asker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_moves_without_a_failed_request() {
    let nats = Nats::start().await.unwrap();
    let (asker, one, other) = (joined(&nats, "asker").await, joined(&nats, "one").await, joined(&nats, "other").await);
    answering(one.bus.serve(SHARD).await);
    is_answered(&asker).await;
    let asking = tokio::spawn({
        let bus = asker.bus.clone();
        async move {
            for number in 0..300 {
                let answered = bus.request(SHARD, command(Action::Connect), LIMIT).await;
                assert_eq!(answered, Ok(Reply::Accepted), "request {number}");
            }
        }
    });
    for round in 0..6 {
        let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        // The old one leaves first: for a moment nobody is there.
        drop(from.bus.serve(SHARD).await);
        tokio::task::yield_now().await;
        answering(to.bus.serve(SHARD).await);
    }
    asking.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_as_such() {
    let nats = Nats::start().await.unwrap();
    let (asker, server) = (joined(&nats, "asker").await, joined(&nats, "server").await);
    let mut served = server.bus.serve(SHARD).await;
    let phone = warren_ports::bus::PhoneToPair("5".repeat(1_100_000));
    let refused = asker.bus.request(SHARD, command(Action::PairByCode(phone)), LIMIT).await;
    let Ok(Reply::Refused(refusal)) = refused else { unreachable!("{refused:?}") };
    assert_eq!(refusal.code, "too_large");
    let pairing = warren_ports::bus::Pairing {
        state: warren_ports::bus::PairingState::Waiting,
        qr: Some("q".repeat(1_100_000)),
        code: None,
        expires_at: None,
        reason: None,
    };
    let (answered, ()) = tokio::join!(asker.bus.request(SHARD, command(Action::PairByQr), LIMIT), async {
        received(&mut served).await.reply.send(Reply::Pairing(pairing)).unwrap();
    });
    let Ok(Reply::Refused(refusal)) = answered else { unreachable!("{answered:?}") };
    assert_eq!(refusal.code, "too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_work_is_said_in_one_line_without_the_password() {
    let nats = Nats::start().await.unwrap();
    let url = nats.url();
    let connects = async |url: &str, within: Duration| {
        let options = Options { within, ..Options::new(url, "test", SECRET, "tester") };
        connect(&options, Metrics::new().unwrap()).await.map(drop)
    };
    let hole = Chaos::before(nats.address()).await.unwrap();
    hole.stall();
    let hole = nats.url_at(hole.address());
    let cases = [
        (url.replace("nats://warren:", "nats://warren:hidden"), "refuses"),
        (url.replace("nats://warren", "nats://hidden"), "refuses"),
        (format!("nats://{}", nats.address()), "refuses"),
        ("nats://warren:hidden@127.0.0.1:1".to_owned(), "cannot be reached"),
        ("nats://warren:hidden@nowhere.invalid".to_owned(), "cannot be reached"),
        (hole.replace("nats://warren:", "nats://warren:hidden"), "does not answer"),
        ("http://warren:hidden@127.0.0.1".to_owned(), "is not like"),
    ];
    for (url, said) in cases {
        let started = Instant::now();
        let error: ConnectError = connects(&url, Duration::from_secs(1)).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let line = error.to_string();
        assert!(line.contains(said) && !line.contains("hidden") && !line.contains('\n'), "{line}");
    }
    let checked = check(&Options::new(&url, "test", SECRET, "doctor")).await.unwrap();
    assert!(checked.server.starts_with("2.") && checked.round_trip > Duration::ZERO, "{checked:?}");
}
