//! The event log, as readers see it.

use super::{Subject, World, at};
use crate::ledger::{EventFilter, Events, Op};
use serde_json::{Map, Value};
use warren_domain::event::NewEvent;
use warren_domain::{Event, EventId, EventType, TenantId};

fn note(kind: EventType, number: i64) -> NewEvent {
    NewEvent::new(kind, at(number), Map::from_iter([("number".to_owned(), Value::from(number))]))
}

async fn all(ledger: &impl Events, tenant: TenantId, filter: &EventFilter, limit: u32) -> Vec<Event> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let page = ledger.read_events(tenant, filter, after, limit).await.unwrap();
        assert!(page.next >= after && page.events.len() <= limit as usize);
        events.extend(page.events);
        if !page.more {
            return events;
        }
        after = page.next;
    }
}

/// Whoever reads on sees every event of the tenant exactly once, by position, whatever the page size.
pub async fn a_reader_sees_every_event_once(subject: impl Subject) {
    let ledger = subject.ledger();
    let one = World::new(ledger).await;
    let (two, stranger) = (World::of(ledger, one.tenant).await, World::new(ledger).await);
    let mut made = Vec::new();
    for number in 0..20 {
        for world in [&one, &two, &stranger] {
            let event = note(EventType::MessageUndecryptable, number);
            if world.tenant == one.tenant {
                made.push((event.id, event.data.clone()));
            }
            assert_eq!(world.commit(Op::Append(event)).await, "done");
        }
    }
    for limit in [1, 7, 1_000] {
        let seen = all(ledger, one.tenant, &EventFilter::default(), limit).await;
        assert!(seen.is_sorted_by(|left, right| left.position < right.position));
        assert_eq!(seen.into_iter().map(|event| (event.id, event.data)).collect::<Vec<_>>(), made);
    }
}

/// A filter passes what it names: instances, types, both.
pub async fn filters_pass_what_they_name(subject: impl Subject) {
    let ledger = subject.ledger();
    let one = World::new(ledger).await;
    let two = World::of(ledger, one.tenant).await;
    let kinds = [EventType::MessageUndecryptable, EventType::PairingFailed];
    for number in 0..6 {
        for (world, kind) in [(&one, kinds.first()), (&two, kinds.last())] {
            assert_eq!(world.commit(Op::Append(note(*kind.unwrap(), number))).await, "done");
        }
    }
    let both = |event: &Event| (event.instance, event.kind);
    let seen =
        async |filter: EventFilter| -> Vec<_> { all(ledger, one.tenant, &filter, 4).await.iter().map(both).collect() };
    let ones = vec![(one.instance, EventType::MessageUndecryptable); 6];
    assert_eq!(seen(EventFilter { instances: vec![one.instance], types: Vec::new() }).await, ones);
    assert_eq!(seen(EventFilter { instances: Vec::new(), types: vec![EventType::MessageUndecryptable] }).await, ones);
    let neither = EventFilter { instances: vec![one.instance], types: vec![EventType::PairingFailed] };
    assert_eq!(seen(neither).await, []);
}

/// Nothing of another tenant is visible.
pub async fn another_tenants_events_are_unknown(subject: impl Subject) {
    let ledger = subject.ledger();
    let (world, stranger) = (World::new(ledger).await, World::new(ledger).await);
    let event = note(EventType::PairingFailed, 1);
    let id = event.id;
    assert_eq!(world.commit(Op::Append(event)).await, "done");
    let filter = EventFilter { instances: vec![world.instance], types: Vec::new() };
    assert_eq!(all(ledger, stranger.tenant, &filter, 10).await, []);
    assert_eq!(ledger.event_position(stranger.tenant, id).await.unwrap(), None);
    let position = ledger.event_position(world.tenant, id).await.unwrap();
    assert_eq!(position, world.events().await.first().map(|event| event.position));
    assert_eq!(ledger.event_position(world.tenant, EventId::generate()).await.unwrap(), None);
}

/// The head is the last position; a reader of a quiet tenant ends there.
pub async fn the_bounds_move_with_the_log(subject: impl Subject) {
    let ledger = subject.ledger();
    let empty = ledger.log_bounds().await.unwrap();
    assert_eq!((empty.oldest, empty.head), (0, 0));
    let (world, quiet) = (World::new(ledger).await, World::new(ledger).await);
    for number in 0..3 {
        assert_eq!(world.commit(Op::Append(note(EventType::PairingFailed, number))).await, "done");
    }
    let bounds = ledger.log_bounds().await.unwrap();
    assert_eq!((bounds.log, bounds.oldest), (empty.log, 0));
    assert_eq!(Some(bounds.head), world.events().await.last().map(|event| event.position));
    let page = ledger.read_events(quiet.tenant, &EventFilter::default(), 0, 10).await.unwrap();
    assert_eq!((page.next, page.more, page.events.len()), (bounds.head, false, 0));
}

/// `next` is never before the position asked for.
pub async fn the_position_never_falls(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    assert_eq!(world.commit(Op::Append(note(EventType::PairingFailed, 1))).await, "done");
    let page = world.ledger.read_events(world.tenant, &EventFilter::default(), 1_000, 10).await.unwrap();
    assert_eq!((page.next, page.more, page.events.len()), (1_000, false, 0));
}
