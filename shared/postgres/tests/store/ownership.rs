//! Takeovers against batches that are under way.

use crate::world::{World, assert_in_order, fresh, note, numbers, open, put, run, sql, until};
use futures::future::join_all;
use sqlx::PgConnection;
use std::time::Duration;
use warren_domain::{Epoch, Event, Shard};
use warren_ports::ledger::{Committer, Op, Outcome, Ownership, Taken};
use warren_postgres::Postgres;

/// Commits, with a record held by somebody else, so that the batch stands still inside its transaction, behind its fence.
struct Held {
    locker: PgConnection,
    commit: tokio::task::JoinHandle<Outcome>,
}

impl Held {
    async fn new(url: &str, store: &Postgres, world: World) -> Self {
        let mut locker = sql(url).await;
        run(&mut locker, "BEGIN; SELECT 1 FROM session_records FOR UPDATE").await;
        let store = store.clone();
        let commit = tokio::spawn(async move { world.commit(&store, put(b"k", b"late")).await });
        let mut watcher = sql(url).await;
        until("the batch waits for the record", async || {
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO session_records%')")
                .fetch_one(&mut watcher)
                .await
                .unwrap()
        })
        .await;
        Self { locker, commit }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_of_an_old_epoch_is_refused() {
    let (database, old) = fresh().await;
    let new = open(database.url()).await;
    let world = World::new(&old).await;
    world.done(&old, put(b"k", b"first")).await;
    assert_eq!(new.take(&[(world.fence.shard, Epoch(2))]).await.unwrap(), [Taken::Raised]);
    assert!(matches!(world.commit(&old, put(b"k", b"late")).await, Outcome::OwnershipLost));
    assert_eq!(world.identity(&new, b"k").await.as_deref(), Some(b"first".as_slice()));
    world.under(2).done(&new, put(b"k", b"second")).await;
    assert!(matches!(world.under(3).commit(&new, put(b"k", b"third")).await, Outcome::LedgerBehind));
    assert_eq!(world.identity(&new, b"k").await.as_deref(), Some(b"second".as_slice()));
}

/// What is under way is committed, and read by who took over.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_the_batch_under_way() {
    let (database, old) = fresh().await;
    let new = open(database.url()).await;
    let world = World::new(&old).await;
    world.done(&old, put(b"k", b"first")).await;
    let mut held = Held::new(database.url(), &old, world).await;
    let shards = [(world.fence.shard, Epoch(2))];
    let mut take = Box::pin(new.take(&shards));
    // It does not get past the batch.
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut take).await.is_err());
    assert!(!held.commit.is_finished());
    run(&mut held.locker, "ROLLBACK").await;
    assert!(matches!(held.commit.await.unwrap(), Outcome::Done));
    assert_eq!(take.await.unwrap(), [Taken::Raised]);
    assert_eq!(world.identity(&new, b"k").await.as_deref(), Some(b"late".as_slice()));
    assert!(matches!(world.commit(&old, Op::Barrier).await, Outcome::OwnershipLost));
}

/// A batch that stands still is undone by the server in bounded time; the takeover goes on, and the batch is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_takeover_waits_for_no_batch_that_stands_still() {
    let (database, old) = fresh().await;
    let new = open(database.url()).await;
    let world = World::new(&old).await;
    world.done(&old, put(b"k", b"first")).await;
    let mut held = Held::new(database.url(), &old, world).await;
    let began = std::time::Instant::now();
    assert_eq!(new.take(&[(world.fence.shard, Epoch(2))]).await.unwrap(), [Taken::Raised]);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    run(&mut held.locker, "ROLLBACK").await;
    assert!(matches!(held.commit.await.unwrap(), Outcome::OwnershipLost));
    assert_eq!(world.identity(&new, b"k").await.as_deref(), Some(b"first".as_slice()));
}

/// Two that take the same shards again and again, while both write their epochs; the events of each instance.
pub(crate) async fn contended(one: &Postgres, two: &Postgres) -> Vec<Vec<Event>> {
    let mut worlds = Vec::new();
    for _ in 0..12 {
        worlds.push(World::new(one).await);
    }
    let worlds = &worlds;
    let owner = async |store: &Postgres, first: i64| {
        for round in 0..25 {
            let epoch = first + 2 * round;
            let shards: Vec<(Shard, Epoch)> = worlds.iter().map(|world| (world.fence.shard, Epoch(epoch))).collect();
            store.take(&shards).await.unwrap();
            for _ in 0..3 {
                let number = usize::try_from(epoch).unwrap();
                let writes = worlds.iter().map(|world| world.under(epoch).write(note(number))).collect();
                let outcomes = store.commit(writes).await;
                let known = |outcome: &Outcome| matches!(outcome, Outcome::Done | Outcome::OwnershipLost);
                assert!(outcomes.iter().all(known), "{outcomes:?}");
            }
        }
    };
    tokio::join!(owner(one, 2), owner(two, 3));
    join_all(worlds.iter().map(async |world| world.events(one).await)).await
}

/// Whoever was told `Raised` last owns, and the epochs under which anything was written never fall.
#[tokio::test(flavor = "multi_thread")]
async fn epochs_of_writes_never_fall() {
    let (database, one) = fresh().await;
    let two = open(database.url()).await;
    for events in contended(&one, &two).await {
        assert_in_order(&events);
        assert!(numbers(&events).is_sorted(), "{:?}", numbers(&events));
        assert!(!events.is_empty());
    }
}
