//! The log while it is written: whoever reads on misses nothing and sees nothing twice.

use crate::world::{World, assert_in_order, fresh, note, numbers, open, run, sql, until};
use futures::future::join_all;
use sqlx::PgConnection;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use warren_domain::{Event, InstanceId, TenantId};
use warren_ports::ledger::{Committer, EventFilter, Events, Instances, Outcome};
use warren_postgres::Postgres;

/// Appends an event as a lane would, in a transaction that stays open.
async fn held_open(conn: &mut PgConnection, tenant: TenantId, seq: i64) -> i64 {
    run(conn, "BEGIN").await;
    sqlx::query_scalar(
        "INSERT INTO events (position, seq, occurred_at, stored_at, id, tenant_id, instance_id, type, data)
         SELECT nextval('event_positions'), $2, 0, 0, gen_random_uuid(), $1, gen_random_uuid(), 'pairing.failed', '{}'
         RETURNING position",
    )
    .bind(uuid::Uuid::from_bytes(*tenant.as_bytes()))
    .bind(seq)
    .fetch_one(conn)
    .await
    .unwrap()
}

async fn positions(store: &Postgres, tenant: TenantId, after: i64) -> (Vec<i64>, i64) {
    let page = store.read_events(tenant, &EventFilter::default(), after, 100).await.unwrap();
    (page.events.iter().map(|event| event.position).collect(), page.next)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_reads_past_a_writer_that_is_not_done() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    world.done(&store, note(1)).await;
    let first = store.log_bounds().await.unwrap().head;
    let (mut slow, mut slower) = (sql(database.url()).await, sql(database.url()).await);
    let held = held_open(&mut slow, world.tenant, 1).await;
    let other = held_open(&mut slower, world.tenant, 2).await;
    world.done(&store, note(2)).await;
    world.done(&store, note(3)).await;
    // What was committed after it has begun is above it, and waits.
    assert_eq!(store.log_bounds().await.unwrap().head, first);
    assert_eq!(positions(&store, world.tenant, 0).await, (vec![first], first));
    assert_eq!(positions(&store, world.tenant, first).await, (vec![], first));
    run(&mut slow, "COMMIT").await;
    // The second still holds up what comes behind it.
    assert_eq!(positions(&store, world.tenant, first).await, (vec![held], held));
    // One that is undone leaves a gap, which nobody waits for.
    run(&mut slower, "ROLLBACK").await;
    let (seen, next) = positions(&store, world.tenant, held).await;
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|position| *position > other));
    assert_eq!(next, store.log_bounds().await.unwrap().head);
}

/// Whoever knows a head goes on from it, over little and over much, and never back.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_goes_on_from_the_last() {
    const MUCH: usize = 700;
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    let head = async || store.log_bounds().await.unwrap().head;
    world.done(&store, note(0)).await;
    let first = head().await;
    // A writer that is announced and has no position yet comes after what others committed: it does not take the head back.
    let mut slow = sql(database.url()).await;
    run(&mut slow, "BEGIN; SELECT pg_advisory_xact_lock_shared(last_event_position())").await;
    world.done(&store, note(1)).await;
    assert_eq!(head().await, first + 1);
    let outcomes = store.commit((0..MUCH).map(|number| world.write(note(2 + number))).collect()).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)));
    // So many are not walked over: the locks are looked at, and the slow one's may hide something.
    assert!(head().await > first + 1);
    run(&mut slow, "ROLLBACK").await;
    until("the head to be the end", async || head().await == first + 1 + MUCH as i64).await;
    assert_eq!(open(database.url()).await.log_bounds().await.unwrap().head, head().await);
}

/// Other transactions, and other advisory locks of two keys, do not hold the log up.
#[tokio::test(flavor = "multi_thread")]
async fn only_writers_of_the_log_hold_it_up() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    let mut other = sql(database.url()).await;
    run(&mut other, "BEGIN; SELECT pg_current_xact_id(); SELECT pg_advisory_xact_lock(1, 2); DELETE FROM known_chats").await;
    world.done(&store, note(1)).await;
    assert_eq!(world.events(&store).await.len(), 1);
    run(&mut other, "ROLLBACK").await;
}

/// A reader of one tenant, from the start on, until told that all is written and it has read to the head.
async fn read_on(store: &Postgres, tenant: TenantId, over: &AtomicBool) -> Vec<Event> {
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let last = over.load(Ordering::SeqCst);
        let page = store.read_events(tenant, &EventFilter::default(), after, 50).await.unwrap();
        assert!(page.next >= after);
        seen.extend(page.events);
        after = page.next;
        if last && !page.more {
            return seen;
        }
        if !page.more {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_misses_nothing_while_many_write() {
    const ROUNDS: usize = 40;
    let (database, one) = fresh().await;
    // Two processes own half of the instances each; one tenant reads.
    let two = open(database.url()).await;
    let first = World::new(&one).await;
    let mut worlds = vec![first];
    for _ in 0..23 {
        worlds.push(World::of(&one, first.tenant).await);
    }
    let over = AtomicBool::new(false);
    let write = async |place: usize| {
        let (store, world) = (if place.is_multiple_of(2) { &one } else { &two }, worlds[place]);
        for number in 0..ROUNDS {
            let writes = vec![world.write(note(2 * number)), world.write(note(2 * number + 1))];
            let outcomes = store.commit(writes).await;
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
        }
        // The edge writes the log too, in transactions of its own.
        if place.is_multiple_of(3) {
            assert!(two.delete_instance(world.tenant, world.instance).await.unwrap());
        }
    };
    let writing = async {
        join_all((0..worlds.len()).map(&write)).await;
        over.store(true, Ordering::SeqCst);
    };
    let reader = open(database.url()).await;
    let ((), seen, also) = tokio::join!(writing, read_on(&reader, first.tenant, &over), read_on(&one, first.tenant, &over));
    assert_eq!(seen.iter().map(|event| event.id).collect::<Vec<_>>(), also.iter().map(|event| event.id).collect::<Vec<_>>());
    assert!(seen.is_sorted_by(|left, right| left.position < right.position));
    let mut by_instance: HashMap<InstanceId, Vec<Event>> = HashMap::new();
    for event in seen {
        by_instance.entry(event.instance).or_default().push(event);
    }
    assert_eq!(by_instance.len(), worlds.len());
    for events in by_instance.values() {
        assert_in_order(events);
        assert_eq!(numbers(events), (0..2 * ROUNDS).collect::<Vec<_>>());
    }
}

/// A client that is silent inside of a transaction is ended by the server: it cannot hold the log up for long.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_goes_on_after_a_dead_writer() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    let mut dead = sql(database.url()).await;
    run(&mut dead, "SET idle_in_transaction_session_timeout = 300").await;
    held_open(&mut dead, world.tenant, 1).await;
    world.done(&store, note(1)).await;
    until("the head goes on", async || world.events(&store).await.len() == 1).await;
}
