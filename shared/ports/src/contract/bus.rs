//! What every [`Bus`] does.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a contract suite reports by panicking")]

use super::{LIMIT, until};
use crate::bus::{
    Action, Bus, Command, Ephemeral, Listener, Pairing, PairingState, Reply, Request, RequestError, Ring, Topic,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;
use warren_domain::{EventType, InstanceId, MessageId, Shard, TenantId, Timestamp};

/// A bus to test, and how to close it.
pub trait Subject: Send + Sync {
    /// The bus.
    fn bus(&self) -> Arc<dyn Bus>;
    /// Closes it for good.
    fn close(&self) -> impl Future<Output = ()> + Send;
}

/// Long enough for a refusal to be a refusal, short enough to wait for.
const SHORT: Duration = Duration::from_millis(300);
const SHARD: Shard = Shard(7);

fn command(action: Action) -> Command {
    Command { tenant: TenantId::generate(), instance: InstanceId::generate(), action }
}

async fn received(served: &mut mpsc::Receiver<Request>) -> Request {
    timeout(LIMIT, served.recv()).await.expect("a request within the limit").expect("a request")
}

async fn heard(listener: &mut Box<dyn Listener>) -> Ring {
    timeout(LIMIT, listener.next()).await.expect("a ring within the limit").expect("an open bus")
}

/// Answers `count` requests with `reply`.
async fn answer(served: &mut mpsc::Receiver<Request>, reply: &Reply, count: usize) {
    for _ in 0..count {
        let _ = received(served).await.reply.send(reply.clone());
    }
}

/// A request reaches the owner of its shard whole, and the owner's answer comes back whole.
pub async fn a_request_is_answered(subject: impl Subject) {
    let bus = subject.bus();
    let mut served = bus.serve(SHARD).await;
    let asked = command(Action::PairByQr);
    let reply = Reply::Pairing(Pairing {
        code: None,
        state: PairingState::Waiting,
        qr: Some("2@a,b,c".to_owned()),
        expires_at: Some(Timestamp::from_millis(1_767_225_600_123)),
        reason: None,
    });
    let (answered, ()) = tokio::join!(bus.request(SHARD, asked.clone(), LIMIT), async {
        let request = received(&mut served).await;
        assert_eq!(request.command, asked);
        request.reply.send(reply.clone()).unwrap();
    });
    assert_eq!(answered, Ok(reply));
}

/// A request goes to the server of its shard and to no other.
pub async fn requests_go_by_shard(subject: impl Subject) {
    let bus = subject.bus();
    let (mut one, mut other) = (bus.serve(Shard(1)).await, bus.serve(Shard(2)).await);
    let (first, second, (), ()) = tokio::join!(
        bus.request(Shard(1), command(Action::Connect), LIMIT),
        bus.request(Shard(2), command(Action::Connect), LIMIT),
        answer(&mut one, &Reply::Accepted, 1),
        answer(&mut other, &Reply::NotFound, 1),
    );
    assert_eq!((first, second), (Ok(Reply::Accepted), Ok(Reply::NotFound)));
}

/// While nobody serves the shard it is tried again: a server that comes before the deadline gets it.
pub async fn a_request_waits_for_a_server(subject: impl Subject) {
    let bus = subject.bus();
    let waiting = tokio::spawn({
        let bus = Arc::clone(&bus);
        async move { bus.request(SHARD, command(Action::Connect), LIMIT).await }
    });
    // It must be on its way before somebody serves; a refusal would end it.
    tokio::time::sleep(SHORT).await;
    assert!(!waiting.is_finished());
    let mut served = bus.serve(SHARD).await;
    answer(&mut served, &Reply::Accepted, 1).await;
    assert_eq!(waiting.await.unwrap(), Ok(Reply::Accepted));
}

/// `NoResponder` when nobody served the shard until the deadline, and not before the deadline.
pub async fn nobody_serves(subject: impl Subject) {
    let started = Instant::now();
    let answered = subject.bus().request(SHARD, command(Action::Connect), SHORT).await;
    assert_eq!(answered, Err(RequestError::NoResponder));
    assert!(started.elapsed() >= SHORT, "tried until the deadline");
}

/// `Timeout` when somebody took it and did not answer in time; it was delivered once.
pub async fn a_silent_server(subject: impl Subject) {
    let bus = subject.bus();
    let mut served = bus.serve(SHARD).await;
    assert_eq!(bus.request(SHARD, command(Action::Connect), SHORT).await, Err(RequestError::Timeout));
    let _taken = received(&mut served).await;
    assert!(timeout(SHORT, served.recv()).await.is_err(), "delivered twice");
}

/// Dropping a request is "no responder": it is tried again, so the next server gets it.
pub async fn a_dropped_request_is_tried_again(subject: impl Subject) {
    let bus = subject.bus();
    let mut leaving = bus.serve(SHARD).await;
    let (answered, ()) = tokio::join!(bus.request(SHARD, command(Action::Connect), LIMIT), async {
        drop(received(&mut leaving).await);
        drop(leaving);
        let mut served = bus.serve(SHARD).await;
        answer(&mut served, &Reply::Accepted, 1).await;
    });
    assert_eq!(answered, Ok(Reply::Accepted));
}

/// A dropped receiver serves no more.
pub async fn a_dropped_server_is_gone(subject: impl Subject) {
    let bus = subject.bus();
    drop(bus.serve(SHARD).await);
    assert_eq!(bus.request(SHARD, command(Action::Connect), SHORT).await, Err(RequestError::NoResponder));
}

/// A second server of a shard in a process replaces the first.
pub async fn a_second_server_replaces_the_first(subject: impl Subject) {
    let bus = subject.bus();
    let mut first = bus.serve(SHARD).await;
    let mut second = bus.serve(SHARD).await;
    let (answered, ()) =
        tokio::join!(bus.request(SHARD, command(Action::Connect), LIMIT), answer(&mut second, &Reply::Accepted, 1));
    assert_eq!(answered, Ok(Reply::Accepted));
    assert!(timeout(LIMIT, first.recv()).await.expect("the first is told").is_none(), "the first got nothing, and ends");
}

/// A server's queue is bounded; what finds no room is `NoResponder` at its deadline, and what finds some is answered.
pub async fn a_full_server_queue(subject: impl Subject) {
    const MANY: usize = 10_000;
    let bus = subject.bus();
    let mut served = bus.serve(SHARD).await;
    let flood = (0..MANY).map(|_| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.request(SHARD, command(Action::Health), SHORT).await })
    });
    let mut refused = 0;
    for request in flood.collect::<Vec<_>>() {
        match timeout(LIMIT, request).await.unwrap().unwrap() {
            Err(RequestError::NoResponder) => refused += 1,
            Err(RequestError::Timeout) => {}
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert!(refused > 0, "the queue has no bound below {MANY}");
    // Answers to those who went are dropped; one who waits is answered.
    let (answered, _) = tokio::join!(bus.request(SHARD, command(Action::Connect), LIMIT), async {
        loop {
            let request = received(&mut served).await;
            let last = request.command.action == Action::Connect;
            let _ = request.reply.send(Reply::Accepted);
            if last {
                break;
            }
        }
    });
    assert_eq!(answered, Ok(Reply::Accepted));
}

/// Everybody who listens to a topic hears a ring; who listens to another does not.
pub async fn a_ring_is_heard_by_topic(subject: impl Subject) {
    let bus = subject.bus();
    let (tenant, instance, message) = (TenantId::generate(), InstanceId::generate(), MessageId::generate());
    let mut log = bus.listen(Topic::Log(tenant)).await;
    let mut log_too = bus.listen(Topic::Log(tenant)).await;
    let mut other_log = bus.listen(Topic::Log(TenantId::generate())).await;
    let mut outbound = bus.listen(Topic::Outbound(SHARD)).await;
    let mut settled = bus.listen(Topic::Settled(message)).await;
    bus.ring(Topic::Log(tenant), Ring::Log);
    bus.ring(Topic::Outbound(SHARD), Ring::Outbound(instance));
    bus.ring(Topic::Settled(message), Ring::Settled);
    assert_eq!(heard(&mut log).await, Ring::Log);
    assert_eq!(heard(&mut log_too).await, Ring::Log);
    assert_eq!(heard(&mut outbound).await, Ring::Outbound(instance));
    assert_eq!(heard(&mut settled).await, Ring::Settled);
    assert!(timeout(SHORT, other_log.next()).await.is_err(), "another tenant's ring was heard");
}

/// One listens from now on: what was rung before is not heard.
pub async fn listening_starts_now(subject: impl Subject) {
    let bus = subject.bus();
    let (before, after) = (InstanceId::generate(), InstanceId::generate());
    bus.ring(Topic::Outbound(SHARD), Ring::Outbound(before));
    let mut listener = bus.listen(Topic::Outbound(SHARD)).await;
    bus.ring(Topic::Outbound(SHARD), Ring::Outbound(after));
    assert_eq!(heard(&mut listener).await, Ring::Outbound(after));
}

/// Rings of one ringer are heard in their order, and an ephemeral event arrives whole.
pub async fn rings_keep_their_order(subject: impl Subject) {
    let bus = subject.bus();
    let tenant = TenantId::generate();
    let mut listener = bus.listen(Topic::Log(tenant)).await;
    let rings: Vec<Ring> = (0..50).map(|number| Ring::Ephemeral(Arc::new(ephemeral(tenant, number)))).collect();
    for ring in &rings {
        bus.ring(Topic::Log(tenant), ring.clone());
    }
    for ring in rings {
        assert_eq!(heard(&mut listener).await, ring);
    }
}

fn ephemeral(tenant: TenantId, number: u32) -> Ephemeral {
    Ephemeral {
        kind: EventType::PairingQr,
        tenant,
        instance: InstanceId::generate(),
        occurred_at: Timestamp::from_millis(1_767_225_600_123),
        data: serde_json::Map::from_iter([("number".to_owned(), number.into())]),
    }
}

/// A listener is bounded: rings are dropped when it is full, one `Missed` says so, and it goes on hearing. The ringer
/// never waits.
pub async fn a_slow_listener_missed_something(subject: impl Subject) {
    const MANY: usize = 100_000;
    let bus = subject.bus();
    let mut listener = bus.listen(Topic::Outbound(SHARD)).await;
    let instances: Vec<InstanceId> = (0..MANY).map(|_| InstanceId::generate()).collect();
    for instance in &instances {
        bus.ring(Topic::Outbound(SHARD), Ring::Outbound(*instance));
    }
    let mut known = BTreeSet::new();
    loop {
        match heard(&mut listener).await {
            Ring::Missed => break,
            Ring::Outbound(instance) => assert!(known.insert(instance), "heard twice"),
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert!(known.len() < MANY, "the queue has no bound below {MANY}");
    let last = InstanceId::generate();
    until("what is rung afterwards is heard", async || {
        bus.ring(Topic::Outbound(SHARD), Ring::Outbound(last));
        timeout(SHORT, listener.next()).await.is_ok_and(|ring| ring == Some(Ring::Outbound(last)))
    })
    .await;
}

/// Ringing where nobody listens does nothing.
pub async fn ringing_for_nobody(subject: impl Subject) {
    let bus = subject.bus();
    for _ in 0..1_000 {
        bus.ring(Topic::Settled(MessageId::generate()), Ring::Settled);
    }
    let mut listener = bus.listen(Topic::Log(TenantId::generate())).await;
    assert!(timeout(SHORT, listener.next()).await.is_err());
}

/// Once the bus is closed, listeners hear `None` and requests are `Unavailable`, also those that were waiting.
pub async fn a_closed_bus(subject: impl Subject) {
    let bus = subject.bus();
    let mut listener = bus.listen(Topic::Outbound(SHARD)).await;
    let waiting = tokio::spawn({
        let bus = Arc::clone(&bus);
        async move { bus.request(SHARD, command(Action::Connect), LIMIT).await }
    });
    tokio::task::yield_now().await;
    subject.close().await;
    assert_eq!(timeout(LIMIT, listener.next()).await.expect("the end within the limit"), None);
    assert_eq!(timeout(LIMIT, waiting).await.unwrap().unwrap(), Err(RequestError::Unavailable));
    assert_eq!(bus.request(SHARD, command(Action::Connect), SHORT).await, Err(RequestError::Unavailable));
    bus.ring(Topic::Outbound(SHARD), Ring::Missed);
}

/// Stamps a `#[tokio::test]` for each sentence. `$make` is an expression that is awaited for a fresh
/// [`Subject`](crate::contract::bus::Subject).
#[macro_export]
macro_rules! bus_contract {
    ($make:expr) => {
        $crate::contract_tests!(
            $crate::contract::bus,
            $make,
            [
                a_request_is_answered,
                requests_go_by_shard,
                a_request_waits_for_a_server,
                nobody_serves,
                a_silent_server,
                a_dropped_request_is_tried_again,
                a_dropped_server_is_gone,
                a_second_server_replaces_the_first,
                a_full_server_queue,
                a_ring_is_heard_by_topic,
                listening_starts_now,
                rings_keep_their_order,
                a_slow_listener_missed_something,
                ringing_for_nobody,
                a_closed_bus,
            ]
        );
    };
}
