//! Order, verdicts and culprits in the lanes.

use crate::world::{World, assert_in_order, fresh, note, numbers, options, put};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use warren_domain::group::Member;
use warren_domain::{ErrorKind, MessageStatus, Timestamp};
use warren_ports::ledger::{Committer, Messages, Op, Outcome, ReceiptTarget, Record, RecordKind, Sessions, Tenants};
use warren_postgres::{CommitObserver, Options, Postgres};
use warren_testkit::services::Postgres as Server;

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_many_lanes_keep_their_places() {
    let (_database, store) = fresh().await;
    let mut worlds = Vec::new();
    for _ in 0..20 {
        worlds.push(World::new(&store).await);
    }
    for round in 0..10_u8 {
        let mut writes = Vec::new();
        for (place, world) in worlds.iter().enumerate() {
            // Every other one under an epoch that is not stored.
            let owner = if place % 2 == 0 { *world } else { world.under(0) };
            writes.push(owner.write(put(b"k", &[round, 1])));
            writes.push(owner.write(put(b"k", &[round, 2])));
        }
        let outcomes = store.commit(writes).await;
        for (place, outcome) in outcomes.iter().enumerate() {
            let done = matches!(outcome, Outcome::Done);
            assert_eq!(done, (place / 2).is_multiple_of(2), "{place}: {outcome:?}");
        }
        for (place, world) in worlds.iter().enumerate() {
            let expected = place.is_multiple_of(2).then(|| vec![round, 2]);
            assert_eq!(world.identity(&store, b"k").await, expected);
        }
    }
}

/// More than a batch takes in one call: still one verdict each, in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_call_is_committed_in_batches() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    let outcomes = store.commit((0..1_000).map(|number| world.write(note(number))).collect()).await;
    assert_eq!(outcomes.len(), 1_000);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)));
    let events = world.events(&store).await;
    assert_in_order(&events);
    assert_eq!(numbers(&events), (0..1_000).collect::<Vec<_>>());
}

#[derive(Default)]
struct Count {
    commits: AtomicUsize,
    items: AtomicUsize,
}

impl CommitObserver for Count {
    fn committed(&self, items: usize, _took: Duration) {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.items.fetch_add(items, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_committed_together() {
    let database = Server::database().await.unwrap();
    let count = Arc::new(Count::default());
    let observer: Arc<dyn CommitObserver> = Arc::<Count>::clone(&count);
    let store = Postgres::open(Options { lanes: 1, observer: Some(observer), ..options(database.url()) }).await.unwrap();
    let world = World::new(&store).await;
    let waiting: Vec<_> = (0..100).map(|number| world.commit(&store, note(number))).collect();
    let outcomes = futures::future::join_all(waiting).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)));
    assert_eq!(numbers(&world.events(&store).await), (0..100).collect::<Vec<_>>());
    assert_eq!(count.items.load(Ordering::SeqCst), 100);
    assert!(count.commits.load(Ordering::SeqCst) <= 3, "{:?}", count.commits);
}

/// Several culprits in one batch fail alone; people's texts are never culprits.
#[tokio::test(flavor = "multi_thread")]
async fn culprits_fail_alone_and_odd_texts_do_not_fail() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    let mut inbound = world.incoming("bad", "Ann");
    inbound.message.chat = "1\0@s.whatsapp.net".to_owned();
    let odd = world.incoming("odd", "An\0n");
    let id = odd.message.id;
    let mut writes: Vec<_> = (0..9).map(|number| world.write(note(number))).collect();
    writes.insert(3, world.write(Op::Receive(Box::new(inbound.clone()))));
    writes.insert(7, world.write(Op::Receive(Box::new(inbound))));
    writes.push(world.write(Op::Receive(Box::new(odd))));
    let outcomes = store.commit(writes).await;
    for (place, outcome) in outcomes.iter().enumerate() {
        match outcome {
            Outcome::Refused(error) => {
                assert!([3, 7].contains(&place), "{place}");
                assert_eq!(error.kind, ErrorKind::Internal);
            }
            Outcome::Done => assert!(![3, 7].contains(&place), "{place}"),
            other => unreachable!("{other:?}"),
        }
    }
    assert_in_order(&world.events(&store).await);
    let stored = store.message(world.tenant, id).await.unwrap().unwrap();
    assert_eq!(stored.author.unwrap().push_name.as_deref(), Some("An\u{fffd}n"));
    // A text keeps its zero: it is JSON.
    assert!(serde_json::to_string(&stored.content).unwrap().contains("good \\u0000 morning"));
}

/// Writes of one message in one batch see each other, whichever kinds they are.
#[tokio::test(flavor = "multi_thread")]
async fn writes_of_one_batch_see_each_other() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    let message = world.queued(&store, "A", "15550111@s.whatsapp.net").await;
    let claim =
        |stanza: &[u8]| Op::Claim { message, stanza: stanza.to_vec(), replace_stanza: false, at: Timestamp::default() };
    let sent = ReceiptTarget { whatsapp_ids: vec!["A".to_owned()], status: MessageStatus::Sent, at: Timestamp::default() };
    let kind = RecordKind::Session;
    let record = |value: u8| Record { kind, key: b"k".to_vec(), value: vec![value], mark: 0 };
    let delete = || Op::Delete { kind, keys: vec![b"k".to_vec()] };
    let ops = vec![
        (claim(b"one"), "done"),
        (claim(b"two"), "no change"),
        (claim(b"one"), "done"),
        (Op::Receipt(sent.clone()), "done"),
        (Op::Receipt(sent), "no change"),
        (claim(b"one"), "no change"),
        (delete(), "no change"),
        (Op::Put(vec![record(1)]), "done"),
        (delete(), "done"),
        (delete(), "no change"),
        (Op::Put(vec![record(2)]), "done"),
        (Op::Mark { kind, keys: vec![b"k".to_vec()], mark: 7 }, "done"),
        (Op::DeleteMarkedBefore { kind, before: 7 }, "no change"),
        (Op::Put(vec![Record { mark: 9, ..record(3) }]), "done"),
        (Op::DeletePrefix { kind, prefix: b"x".to_vec() }, "no change"),
        (Op::Receive(Box::new(world.incoming("B", "Ann"))), "done"),
        (Op::Receive(Box::new(world.incoming("B", "Ann"))), "no change"),
    ];
    let (ops, expected): (Vec<_>, Vec<_>) = ops.into_iter().unzip();
    let outcomes = store.commit(ops.into_iter().map(|op| world.write(op)).collect()).await;
    let names = outcomes.iter().map(|outcome| match outcome {
        Outcome::Done => "done",
        Outcome::NoChange => "no change",
        _ => "else",
    });
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let outbound = store.outbound_by_whatsapp_id(world.instance, "A").await.unwrap().unwrap();
    assert_eq!((outbound.message.status, outbound.attempt, outbound.stanza), (MessageStatus::Sent, 2, None));
    let stored = store.records(world.instance, kind, &[b"k".to_vec()]).await.unwrap();
    assert_eq!(stored, [Record { mark: 9, ..record(3) }]);
    assert_in_order(&world.events(&store).await);
}

/// Who a message went to is nobody's business once the message is gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_a_message_go_with_it() {
    use warren_domain::time::{Clock as _, SystemClock};
    use warren_ports::ledger::{Maintenance, Retention};
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    let id = world.queued(&store, "A", "120363000000000001@g.us").await;
    let members = vec![Member { jid: "1@lid".to_owned(), pn: None, lid: None }];
    let sent = ReceiptTarget { whatsapp_ids: vec!["A".to_owned()], status: MessageStatus::Sent, at: Timestamp::default() };
    let writes = vec![world.write(Op::Audience { message: id, members }), world.write(Op::Receipt(sent))];
    assert!(matches!(store.commit(writes).await[..], [Outcome::Done, Outcome::Done]));
    let count = async || database.execute(&["SELECT count(*) FROM message_members"]).await.unwrap();
    assert_eq!(count().await, "1");
    let kept = Duration::from_secs(60);
    let retention = Retention { events: kept, messages: kept, idempotency: kept };
    let later = SystemClock.now().after(2 * kept);
    assert_eq!(store.expire(later, &retention, 10).await.unwrap().messages, 1);
    assert_eq!(count().await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_refuses() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    world.done(&store, put(b"k", b"v")).await;
    store.close().await;
    store.close().await;
    let refused = world.commit(&store, Op::Barrier).await;
    assert!(matches!(&refused, Outcome::Refused(error) if error.kind == ErrorKind::Unavailable), "{refused:?}");
    assert_eq!(store.tenant(world.tenant).await.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_every_handle_loses_nothing() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    let kind = RecordKind::PendingInbound;
    let pending = Record { kind, key: b"k".to_vec(), value: vec![1], mark: 1 };
    // Answered before it is committed.
    assert!(matches!(world.commit(&store, Op::Put(vec![pending.clone()])).await, Outcome::Done));
    drop(store);
    let store = crate::world::open(database.url()).await;
    crate::world::until("the pending message is stored", async || {
        store.records(world.instance, kind, &[b"k".to_vec()]).await.unwrap() == [pending.clone()]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_lane_and_one_connection_are_enough() {
    let database = Server::database().await.unwrap();
    let store = Postgres::open(Options { lanes: 0, pool: 0, ..options(database.url()) }).await.unwrap();
    let world = World::new(&store).await;
    world.done(&store, put(b"k", b"v")).await;
    assert_eq!(world.identity(&store, b"k").await.as_deref(), Some(b"v".as_slice()));
}
