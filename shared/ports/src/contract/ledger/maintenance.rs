//! Retention.

use super::{ROOM, Subject, World, at, claim, instance, record};
use crate::ledger::{
    EventFilter, Events, Expired, IdempotencyKey, Instances, Maintenance, Messages, NewMessage, Op, ReceiptTarget,
    RecordKind, Retention, Sessions,
};
use std::time::Duration;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{EventType, FailureReason, MessageId, MessageStatus, Timestamp};

const DAY: Duration = Duration::from_secs(86_400);
const KEPT: Retention =
    Retention { events: Duration::from_secs(7 * 86_400), messages: Duration::from_secs(30 * 86_400), idempotency: DAY };

/// The ledger's own clock says when a row was stored, so time passes by asking later.
fn in_days(days: u32) -> Timestamp {
    SystemClock.now().after(DAY * days)
}

fn sent(id: &str) -> Op {
    Op::Receipt(ReceiptTarget { whatsapp_ids: vec![id.to_owned()], status: MessageStatus::Sent, at: at(300) })
}

/// Removes until nothing is left to remove; the sum.
async fn expire(ledger: &impl Maintenance, now: Timestamp, limit: u32) -> Expired {
    let mut sum = Expired::default();
    for _ in 0..100 {
        let round = ledger.expire(now, &KEPT, limit).await.unwrap();
        sum.events += round.events;
        sum.messages += round.messages;
        sum.idempotency += round.idempotency;
        sum.instances += round.instances;
        if !round.more {
            return sum;
        }
    }
    Expired { more: true, ..sum }
}

/// Events, ended messages and keys go when they are old enough, in batches; the log says what it lost.
pub async fn what_is_old_goes(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    for number in 0..5 {
        let id = number.to_string();
        let key = IdempotencyKey { key: id.clone(), fingerprint: [1; 32] };
        world.accept(vec![NewMessage { idempotency: Some(key), ..world.outgoing(&id) }]).await;
        assert_eq!(world.commit(sent(&id)).await, "done");
    }
    let head = ledger.log_bounds().await.unwrap().head;
    assert_eq!(expire(ledger, in_days(0), 2).await, Expired::default());
    assert_eq!(expire(ledger, in_days(2), 2).await, Expired { idempotency: 5, ..Expired::default() });
    assert_eq!(expire(ledger, in_days(8), 2).await, Expired { events: 5, ..Expired::default() });
    let bounds = ledger.log_bounds().await.unwrap();
    assert_eq!((bounds.oldest, bounds.head), (head, head));
    let page = ledger.read_events(world.tenant, &EventFilter::default(), 0, 10).await.unwrap();
    assert_eq!((page.events.len(), page.next, page.more), (0, head, false));
    assert_eq!(expire(ledger, in_days(31), 2).await, Expired { messages: 5, ..Expired::default() });
    // Positions and numbers go on where they were.
    assert_eq!(
        world.commit(Op::SetState { state: warren_domain::InstanceState::Connecting, reason: None, at: at(1) }).await,
        "done"
    );
    let events = world.events().await;
    assert_eq!(events.iter().map(|event| (event.seq, event.position > head)).collect::<Vec<_>>(), [(6, true)]);
}

/// Open messages stay, however old.
pub async fn open_messages_stay(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (queued, handed) = (world.queued("A").await, world.queued("B").await);
    assert_eq!(world.commit(claim(handed.id, b"bytes")).await, "done");
    world.queued("C").await;
    assert_eq!(world.commit(sent("C")).await, "done");
    assert_eq!(expire(world.ledger, in_days(400), 10).await.messages, 1);
    let open: Vec<MessageId> = world.open().await.iter().map(|outbound| outbound.message.id).collect();
    assert_eq!(open, [handed.id, queued.id]);
}

/// Queued messages past their time fail, with their events; handed ones are their owner's.
pub async fn queued_messages_expire(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let until = |id: &str, expires_at: Option<Timestamp>| NewMessage { expires_at, ..world.outgoing(id) };
    let messages = vec![until("A", Some(at(500))), until("B", Some(at(500))), until("C", Some(at(900))), until("D", None)];
    let ids: Vec<MessageId> = messages.iter().map(|message| message.id).collect();
    world.accept(messages).await;
    let [expired, handed, later, never] = ids.as_slice() else { return assert_eq!(ids.len(), 4) };
    assert_eq!(world.commit(claim(*handed, b"bytes")).await, "done");
    assert_eq!(world.ledger.expire_queued(at(499), 10).await.unwrap(), 0);
    assert_eq!(world.ledger.expire_queued(at(500), 10).await.unwrap(), 1);
    assert_eq!(world.ledger.expire_queued(at(500), 10).await.unwrap(), 0);
    let failed = world.message(*expired).await;
    assert_eq!((failed.status, failed.reason), (MessageStatus::Failed, Some(FailureReason::Expired)));
    assert_eq!(failed.times.failed, Some(at(500)));
    let open: Vec<MessageId> = world.open().await.iter().map(|outbound| outbound.message.id).collect();
    assert_eq!(open, [*handed, *later, *never]);
    let events = world.events().await;
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventType::MessageStatus]);
}

/// A deleted instance's messages and session state go at once but in batches, the rest with its last event.
pub async fn a_deleted_instance_goes_row_by_row(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let bare = instance(world.tenant);
    ledger.create_instance(&bare, ROOM).await.unwrap();
    let message = world.queued("A").await;
    for number in 0..5_u8 {
        assert_eq!(world.commit(Op::Put(vec![record(RecordKind::Session, &[number], b"v", 1)])).await, "done");
        assert_eq!(world.commit(Op::Receive(Box::new(world.incoming(&number.to_string())))).await, "done");
    }
    assert_eq!(expire(ledger, in_days(0), 3).await, Expired::default());
    assert!(ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert!(ledger.delete_instance(world.tenant, bare.id).await.unwrap());
    let gone = expire(ledger, in_days(0), 3).await;
    assert_eq!((gone.messages, gone.instances, gone.events, gone.more), (6, 1, 0, false));
    assert_eq!(ledger.message(world.tenant, message.id).await.unwrap(), None);
    assert_eq!(ledger.records_with_prefix(world.instance, RecordKind::Session, b"").await.unwrap(), []);
    // Readers still hear of its end.
    assert_eq!(world.assert_gapless().await, 6);
    let gone = expire(ledger, in_days(8), 3).await;
    assert_eq!((gone.events, gone.instances, gone.more), (6, 1, false));
}
