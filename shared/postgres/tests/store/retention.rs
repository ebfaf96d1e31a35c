//! The log's partitions: there is always one to write to, and old ones go as a whole.

use crate::world::{World, assert_in_order, fresh, note, numbers};
use std::time::Duration;
use warren_domain::Timestamp;
use warren_domain::time::{Clock as _, SystemClock};
use warren_ports::ledger::{EventFilter, Events, Maintenance, Retention};
use warren_testkit::services::Database;

const DAY: Duration = Duration::from_secs(86_400);
const KEPT: Retention = Retention { events: DAY, messages: DAY, idempotency: DAY };

fn in_days(days: u32) -> Timestamp {
    SystemClock.now().after(DAY * days)
}

async fn partitions(database: &Database) -> Vec<String> {
    let tables = "SELECT inhrelid::REGCLASS FROM pg_inherits WHERE inhparent = 'events'::REGCLASS ORDER BY 1";
    database.execute(&[tables]).await.unwrap().lines().map(str::to_owned).collect()
}

/// Jumps over positions, as if so many events had been written and gone.
async fn skip_to(database: &Database, position: i64) {
    database.execute(&[&format!("SELECT setval('event_positions', {position})")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_always_a_partition_to_write_to() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    world.done(&store, note(0)).await;
    assert_eq!(partitions(&database).await.len(), 2);
    // The upkeep keeps two ahead.
    skip_to(&database, (1 << 24) + 5).await;
    store.expire(in_days(0), &KEPT, 10).await.unwrap();
    assert_eq!(partitions(&database).await.len(), 4);
    // Where no upkeep runs, the lane that finds none adds it, and its batch is committed.
    let end = database.execute(&["SELECT max(upper) FROM event_partitions"]).await.unwrap();
    skip_to(&database, end.parse().unwrap()).await;
    world.done(&store, note(1)).await;
    assert_eq!(partitions(&database).await.len(), 7);
    let events = world.events(&store).await;
    assert_in_order(&events);
    assert_eq!(numbers(&events), [0, 1]);
    assert_eq!(store.event_position(world.tenant, events[1].id).await.unwrap(), Some(events[1].position));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_partitions_go_as_a_whole() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    for number in 0..5 {
        world.done(&store, note(number)).await;
    }
    skip_to(&database, (1 << 24) - 3).await;
    // Two in the first partition, the others in the second.
    for number in 5..9 {
        world.done(&store, note(number)).await;
    }
    // Nothing is old; the upkeep notes when the second was opened.
    assert_eq!(store.expire(in_days(0), &KEPT, 2).await.unwrap().events, 0);
    assert_eq!(numbers(&world.events(&store).await), (0..9).collect::<Vec<_>>());
    let round = store.expire(in_days(2), &KEPT, 2).await.unwrap();
    assert!(round.more);
    assert!(!partitions(&database).await.contains(&"events_0".to_owned()));
    let bounds = store.log_bounds().await.unwrap();
    assert_eq!(bounds.oldest, (1 << 24) - 1);
    let left = store.read_events(world.tenant, &EventFilter::default(), 0, 10).await.unwrap();
    assert_eq!(left.events.len(), 2);
    assert!(left.events.iter().all(|event| event.position > bounds.oldest));
    // The open one loses its rows, in batches.
    assert_eq!(store.expire(in_days(2), &KEPT, 2).await.unwrap().events, 2);
    assert_eq!(store.log_bounds().await.unwrap().oldest, left.events[1].position);
    assert!(world.events(&store).await.is_empty());
}

/// A partition whose last event is fresh stays, whatever is old in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_with_something_fresh_stays() {
    let (database, store) = fresh().await;
    let world = World::new(&store).await;
    world.done(&store, note(0)).await;
    database.execute(&["UPDATE events SET stored_at = 0"]).await.unwrap();
    skip_to(&database, (1 << 24) - 2).await;
    world.done(&store, note(1)).await;
    world.done(&store, note(2)).await;
    store.expire(in_days(0), &KEPT, 10).await.unwrap();
    // It is closed for days by now, as far as the store knows.
    database
        .execute(&["UPDATE event_partitions SET opened_at = 0 WHERE lower > 0 AND opened_at IS NOT NULL"])
        .await
        .unwrap();
    assert_eq!(store.expire(in_days(0), &KEPT, 10).await.unwrap().events, 0);
    assert_eq!(numbers(&world.events(&store).await), [0, 1, 2]);
}
