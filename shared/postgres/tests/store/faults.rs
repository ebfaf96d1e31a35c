//! Connections that break and servers that go: nothing that was answered is lost, nothing is done twice, nobody is told a
//! wrong verdict.

use crate::world::{World, assert_in_order, fresh, note, numbers, open, options, put, run, sql, until};
use sqlx::PgConnection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use warren_domain::{MessageStatus, Timestamp};
use warren_ports::ledger::{Committer, Messages, Op, Outcome, ReceiptTarget};
use warren_postgres::{Options, Postgres};
use warren_testkit::services::{Postgres as Server, Stop};
use warren_testkit::{Chaos, Direction};

/// Every handle calls itself so at the server.
const NAME: &str = "lanes-under-test";

async fn named(url: &str) -> Postgres {
    Postgres::open(Options { application_name: NAME.to_owned(), ..options(url) }).await.unwrap()
}

/// Appends numbered events through a few instances until told to stop; every write must be `Done`. How many each appended.
async fn append_until(store: &Postgres, worlds: &[World], over: &AtomicBool, total: &AtomicUsize) -> Vec<usize> {
    let one = async |world: &World| {
        let mut number = 0;
        while !over.load(Ordering::SeqCst) {
            let writes = (number..number + 3).map(|number| world.write(note(number))).collect();
            let outcomes = store.commit(writes).await;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
            number += 3;
            total.fetch_add(3, Ordering::SeqCst);
        }
        number
    };
    futures::future::join_all(worlds.iter().map(one)).await
}

async fn worlds(store: &Postgres, count: usize) -> Vec<World> {
    let mut worlds = Vec::new();
    for _ in 0..count {
        worlds.push(World::new(store).await);
    }
    worlds
}

/// Each instance has exactly the events that were answered, once, in order.
async fn assert_all_once(store: &Postgres, worlds: &[World], counts: &[usize]) {
    for (world, count) in worlds.iter().zip(counts) {
        let events = world.events(store).await;
        assert_in_order(&events);
        assert_eq!(numbers(&events), (0..*count).collect::<Vec<_>>());
    }
}

/// Ends the server processes of all lanes of the handle; how many.
async fn end_lanes(watcher: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE application_name = $1 AND datname = current_database() AND query ~ 'lane_commits|COMMIT|ROLLBACK|events'",
    )
    .bind(NAME)
    .fetch_one(watcher)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_loses_and_doubles_nothing() {
    let database = Server::database().await.unwrap();
    let store = named(database.url()).await;
    let worlds = worlds(&store, 12).await;
    let (over, total) = (AtomicBool::new(false), AtomicUsize::new(0));
    let mut watcher = sql(database.url()).await;
    let kill = async {
        let mut killed = 0;
        for round in 1..=40 {
            let begun = total.load(Ordering::SeqCst);
            until("writes go on", async || total.load(Ordering::SeqCst) > begun + round % 7).await;
            killed += end_lanes(&mut watcher).await;
        }
        over.store(true, Ordering::SeqCst);
        killed
    };
    let (counts, killed) = tokio::join!(append_until(&store, &worlds, &over, &total), kill);
    assert!(killed >= 10, "{killed}");
    assert_all_once(&store, &worlds, &counts).await;
}

/// Restarts of every kind under load, and one that takes three seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_is_waited_out() {
    let mut server = Server::start_durable().await.unwrap();
    let store = named(&server.url()).await;
    let worlds = worlds(&store, 8).await;
    let (over, total) = (AtomicBool::new(false), AtomicUsize::new(0));
    let restart = async {
        for how in [Stop::Fast, Stop::Immediate, Stop::Fast, Stop::Immediate] {
            let begun = total.load(Ordering::SeqCst);
            until("writes go on", async || total.load(Ordering::SeqCst) > begun + 50).await;
            server.stop(how).await.unwrap();
            if store.waiting_ms() > 0 {
                until("the lanes say that they wait", async || store.waiting_ms() > 1_000).await;
            }
            server.restart().await.unwrap();
        }
        let begun = total.load(Ordering::SeqCst);
        until("writes go on", async || total.load(Ordering::SeqCst) > begun).await;
        server.kill().await.unwrap();
        let gone = Instant::now();
        until("it was away for three seconds", async || gone.elapsed() > Duration::from_secs(3)).await;
        server.restart().await.unwrap();
        let begun = total.load(Ordering::SeqCst);
        until("writes go on", async || total.load(Ordering::SeqCst) > begun).await;
        over.store(true, Ordering::SeqCst);
    };
    let (counts, ()) = tokio::join!(append_until(&store, &worlds, &over, &total), restart);
    assert_all_once(&store, &worlds, &counts).await;
    assert_eq!(store.waiting_ms(), 0);
}

/// The server commits and its answer is lost: the batch is not run twice, and its verdicts are the first ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_was_lost_is_not_repeated() {
    let server = Server::start().await.unwrap();
    let direct = open(&server.url()).await;
    let world = World::new(&direct).await;
    let chaos = Chaos::before(server.address()).await.unwrap();
    let store = Postgres::open(Options { lanes: 1, ..options(&server.url_at(chaos.address())) }).await.unwrap();
    world.done(&store, put(b"k", b"v")).await;
    let mut in_doubt = 0;
    for round in 0..4 {
        let name = round.to_string();
        let message = world.queued(&direct, &name, "15550111@s.whatsapp.net").await;
        let sent = ReceiptTarget { whatsapp_ids: vec![name.clone()], status: MessageStatus::Sent, at: Timestamp::default() };
        let claim = Op::Claim { message, stanza: vec![1], replace_stanza: false, at: Timestamp::default() };
        let inbound = Op::Receive(Box::new(world.incoming(&name, "Ann")));
        let writes = [claim, Op::Receipt(sent), inbound, note(round)].map(|op| world.write(op)).to_vec();
        let before = world.events(&direct).await.len();
        // Each answer is under way for a while, so that the last one is still under way when the commit is seen.
        chaos.delay(Direction::FromTarget, Duration::from_millis(120));
        let committing = tokio::spawn({
            let store = store.clone();
            async move { store.commit(writes).await }
        });
        until("it is committed", async || world.events(&direct).await.len() > before).await;
        chaos.stall_one_way(Direction::FromTarget);
        chaos.cut().await.unwrap();
        in_doubt += usize::from(!committing.is_finished());
        chaos.pass().await.unwrap();
        let outcomes = committing.await.unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{round}: {outcomes:?}");
        // One sent, one received, one note.
        assert_eq!(world.events(&direct).await.len(), before + 3);
        let outbound = direct.outbound_by_whatsapp_id(world.instance, &name).await.unwrap().unwrap();
        assert_eq!((outbound.attempt, outbound.message.status), (1, MessageStatus::Sent));
    }
    assert!(in_doubt > 0, "every answer came through");
    assert_in_order(&world.events(&direct).await);
}

/// The server processes of the handle that wait for a lock.
async fn waiting(watcher: &mut PgConnection) -> Vec<i32> {
    sqlx::query_scalar("SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'")
        .bind(NAME)
        .fetch_all(watcher)
        .await
        .unwrap()
}

/// A statement of a broken connection that the server still carries out does not land over a newer write.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_statement_of_a_broken_connection_cannot_land() {
    let server = Server::start().await.unwrap();
    let direct = open(&server.url()).await;
    let world = World::new(&direct).await;
    world.done(&direct, put(b"k", b"first")).await;
    let chaos = Chaos::before(server.address()).await.unwrap();
    let through = options(&server.url_at(chaos.address()));
    let store = Postgres::open(Options { lanes: 1, application_name: NAME.to_owned(), ..through }).await.unwrap();
    world.done(&store, put(b"other", b"v")).await;
    // Its server process waits for the record inside of the transaction, and does not see that its client is gone.
    let (mut locker, mut watcher) = (sql(&server.url()).await, sql(&server.url()).await);
    run(&mut locker, "BEGIN; SELECT 1 FROM session_records WHERE key = 'k'::BYTEA FOR UPDATE").await;
    let late = tokio::spawn({
        let store = store.clone();
        async move { world.commit(&store, put(b"k", b"late")).await }
    });
    until("the statement waits", async || waiting(&mut watcher).await.len() == 1).await;
    let old = waiting(&mut watcher).await;
    chaos.cut().await.unwrap();
    chaos.pass().await.unwrap();
    // Whoever waits next is another process, and the old one is no more.
    until("another process waits", async || {
        let now = waiting(&mut watcher).await;
        assert!(now.len() <= 1, "two statements of one lane at once: {now:?}");
        !now.is_empty() && now != old
    })
    .await;
    run(&mut locker, "ROLLBACK").await;
    assert!(matches!(late.await.unwrap(), Outcome::Done));
    world.done(&store, put(b"k", b"newer")).await;
    assert_eq!(world.identity(&direct, b"k").await.as_deref(), Some(b"newer".as_slice()));
}

/// What stores a record waits in its commit, for as long as somebody holds the lock, and however long a lane waits for locks.
const WAITING_COMMIT: &str = "
    CREATE FUNCTION wait_for_lock() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared(1, 1); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER wait_for_lock AFTER INSERT OR UPDATE ON session_records
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_for_lock();";

/// What became of writes whose connection broke while the server carried out their commit.
pub(crate) struct LateCommits {
    /// The numbers in the log: each round wrote one.
    pub(crate) logged: Vec<usize>,
    /// The numbers whose owner was told that they were not written.
    pub(crate) denied: Vec<usize>,
    /// Whether two server processes of the lane were at work at once.
    pub(crate) overlapped: bool,
}

/// Breaks the connection of a lane again and again while its commit is under way, and lets that one go on once the next
/// connection is at work.
pub(crate) async fn late_commits(rounds: usize, change: impl FnOnce(Options) -> Options) -> LateCommits {
    let server = Server::start().await.unwrap();
    let direct = open(&server.url()).await;
    let world = World::new(&direct).await;
    let chaos = Chaos::before(server.address()).await.unwrap();
    let through = Options { lanes: 1, application_name: NAME.to_owned(), ..options(&server.url_at(chaos.address())) };
    let store = Postgres::open(change(through)).await.unwrap();
    world.done(&store, Op::Barrier).await;
    let (mut locker, mut watcher) = (sql(&server.url()).await, sql(&server.url()).await);
    run(&mut locker, WAITING_COMMIT).await;
    let (mut denied, mut overlapped) = (Vec::new(), false);
    for round in 0..rounds {
        run(&mut locker, "SELECT pg_advisory_lock(1, 1)").await;
        let writes = vec![world.write(put(b"k", &round.to_be_bytes())), world.write(note(round))];
        let committing = tokio::spawn({
            let store = store.clone();
            async move { store.commit(writes).await }
        });
        until("the commit waits", async || waiting(&mut watcher).await.len() == 1).await;
        let old = waiting(&mut watcher).await;
        chaos.cut().await.unwrap();
        chaos.pass().await.unwrap();
        until("another process waits", async || {
            let now = waiting(&mut watcher).await;
            overlapped |= now.len() > 1;
            now.iter().any(|process| !old.contains(process))
        })
        .await;
        run(&mut locker, "SELECT pg_advisory_unlock(1, 1)").await;
        if !committing.await.unwrap().iter().all(|outcome| matches!(outcome, Outcome::Done)) {
            denied.push(round);
        }
    }
    LateCommits { logged: numbers(&world.events(&direct).await), denied, overlapped }
}

/// A commit that is under way when its connection breaks is over before the batch is run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_of_a_broken_connection_cannot_land() {
    let LateCommits { logged, denied, overlapped } = late_commits(4, |options| options).await;
    assert_eq!((logged, denied), (vec![0, 1, 2, 3], vec![]));
    assert!(!overlapped, "two transactions of one lane at once");
}

/// Nobody answers at all: the lane gives the connection up by itself, and goes on through the next.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_given_up() {
    let server = Server::start().await.unwrap();
    let direct = open(&server.url()).await;
    let world = World::new(&direct).await;
    let chaos = Chaos::before(server.address()).await.unwrap();
    let store = Postgres::open(Options { lanes: 1, ..options(&server.url_at(chaos.address())) }).await.unwrap();
    world.done(&store, note(0)).await;
    let connections = chaos.counts().accepted;
    chaos.stall();
    let writing = tokio::spawn({
        let store = store.clone();
        async move { world.commit(&store, note(1)).await }
    });
    until("it connects again", async || chaos.counts().accepted > connections).await;
    assert!(!writing.is_finished());
    chaos.pass().await.unwrap();
    assert!(matches!(writing.await.unwrap(), Outcome::Done));
    assert_eq!(numbers(&world.events(&direct).await), [0, 1]);
}

/// A write that is larger than a batch is a batch of its own.
#[tokio::test(flavor = "multi_thread")]
async fn many_records_at_once_do_not_stop_a_lane() {
    let (_database, store) = fresh().await;
    let world = World::new(&store).await;
    let records = (0..20_000_u32)
        .map(|number| warren_ports::ledger::Record {
            kind: warren_ports::ledger::RecordKind::PreKey,
            key: number.to_be_bytes().to_vec(),
            value: vec![7; 100],
            mark: 0,
        })
        .collect();
    world.done(&store, Op::Put(records)).await;
    world.done(&store, Op::ForgetSession { fail_open: None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_good_holds_up_no_end() {
    let server = Server::start().await.unwrap();
    let chaos = Chaos::before(server.address()).await.unwrap();
    let store = open(&server.url_at(chaos.address())).await;
    let world = World::new(&store).await;
    world.done(&store, note(0)).await;
    chaos.cut().await.unwrap();
    let (waiting, writes) = (store.clone(), vec![world.write(note(1))]);
    let unanswered = tokio::spawn(async move { waiting.commit(writes).await });
    until("it waits to be committed", async || store.waiting_ms() > 0).await;
    store.close().await;
    assert!(!unanswered.is_finished(), "it was told something");
    unanswered.abort();
}
