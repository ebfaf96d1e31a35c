//! Queues: what is held, what is cancelled, what came as one request, whom an account knows.

use super::{Subject, World, at, claim};
use crate::ledger::{
    Accepted, EdgeLedger, IdempotencyKey, Instances, Maintenance, Messages, NewMessage, Op, OwnerLedger, ReceiptTarget,
};
use std::time::Duration;
use warren_domain::time::{Clock as _, SystemClock};
use warren_domain::{
    EventType, FailureReason, MessageId, MessageStatus, Restriction, RestrictionReason, RestrictionScope, Shard, ShardCount,
    Timestamp,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn in_an_hour() -> Timestamp {
    SystemClock.now().after(HOUR)
}

fn held(world: &World<'_, impl EdgeLedger + OwnerLedger>, id: &str) -> NewMessage {
    NewMessage { send_at: Some(in_an_hour()), ..world.outgoing(id) }
}

async fn open(world: &World<'_, impl EdgeLedger + OwnerLedger>) -> Vec<MessageId> {
    world.open().await.iter().map(|open| open.message.id).collect()
}

fn sent(id: &str) -> Op {
    Op::Receipt(ReceiptTarget { whatsapp_ids: vec![id.to_owned()], status: MessageStatus::Sent, at: at(300) })
}

/// A message with a time in the future is shown to no owner and no sweep before it is released, once; one with a time in the
/// past is shown at once.
pub async fn a_held_message_waits_for_its_time(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (later, past) = (held(&world, "A"), NewMessage { send_at: Some(at(1)), ..world.outgoing("B") });
    let due = later.send_at.unwrap();
    world.accept(vec![later.clone()]).await;
    assert_eq!(world.message(later.id).await.send_at, Some(due));
    let shards: Vec<Shard> = (0..ShardCount::default().0.get()).map(Shard).collect();
    assert_eq!(world.ledger.instances_with_open_messages(&shards).await.unwrap(), []);
    world.accept(vec![past.clone()]).await;
    assert_eq!(open(&world).await, [past.id]);

    let before = world.ledger.release_due(due.before(Duration::from_millis(1)), 10).await.unwrap();
    assert_eq!((before.instances, before.next), (Vec::new(), Some(due)));
    assert_eq!(open(&world).await, [past.id]);
    let released = world.ledger.release_due(due, 10).await.unwrap();
    assert_eq!((released.instances, released.next), (vec![world.instance], None));
    assert_eq!(open(&world).await, [later.id, past.id]);
    assert_eq!(world.ledger.release_due(due, 10).await.unwrap().instances, []);
}

/// A held message counts against the limit, expires, is cancelled, and ends with its instance.
pub async fn a_held_message_counts_and_ends(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let limited = |message: NewMessage| NewMessage { queue_limit: 3, ..message };
    let expiring = NewMessage { expires_at: Some(in_an_hour().after(HOUR)), ..held(&world, "A") };
    let (cancelled, ended) = (held(&world, "B"), held(&world, "C"));
    let asked = [expiring.clone(), cancelled.clone(), ended.clone(), world.outgoing("D")].map(limited);
    let verdicts = world.accept(asked.to_vec()).await;
    assert!(matches!(verdicts.last(), Some(Accepted::QueueFull)), "{verdicts:?}");
    assert_eq!(world.ledger.expire_queued(in_an_hour().after(2 * HOUR), 10).await.unwrap(), 1);
    assert_eq!(world.commit(Op::Cancel { message: cancelled.id, at: at(1) }).await, "done");
    assert_eq!(world.ledger.release_due(in_an_hour().after(HOUR), 1).await.unwrap().next, None);
    assert!(world.ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    for (message, reason) in [
        (expiring.id, FailureReason::Expired),
        (cancelled.id, FailureReason::Cancelled),
        (ended.id, FailureReason::LoggedOut),
    ] {
        assert_eq!(world.message(message).await.reason, Some(reason));
    }
}

/// What was handed is shown to the owner before all that is queued, beyond the limit too.
pub async fn what_was_handed_is_always_shown(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let queued = world.queued("A").await;
    world.queued("B").await;
    let handed = world.queued("C").await;
    assert_eq!(world.commit(claim(handed.id, b"bytes")).await, "done");
    let shown = world.ledger.open_messages(&[world.instance], 1).await.unwrap();
    assert_eq!(shown.iter().map(|open| open.message.id).collect::<Vec<_>>(), [handed.id, queued.id]);
}

/// A cancelled message fails with its event; what was handed, or has ended, stays as it is.
pub async fn only_what_is_queued_is_cancelled(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (queued, handed) = (world.queued("A").await, world.queued("B").await);
    assert_eq!(world.commit(claim(handed.id, b"bytes")).await, "done");
    let cancel = |message| Op::Cancel { message, at: at(400) };
    assert_eq!(world.commit(cancel(queued.id)).await, "done");
    for message in [queued.id, handed.id, MessageId::generate()] {
        assert_eq!(world.commit(cancel(message)).await, "no change");
    }
    let ended = world.message(queued.id).await;
    assert_eq!((ended.status, ended.reason), (MessageStatus::Failed, Some(FailureReason::Cancelled)));
    assert_eq!(world.commit(claim(queued.id, b"bytes")).await, "no change");
    assert_eq!(world.message(handed.id).await.status, MessageStatus::Handed);
    assert_eq!(world.assert_gapless().await, 1);
}

/// Parts of one request share its key: each is made once, later ones are added, and another request with the key makes
/// nothing.
pub async fn the_parts_of_a_request_are_made_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let part = |part: u32, id: &str, fingerprint: u8| NewMessage {
        idempotency: Some(IdempotencyKey { key: "k".to_owned(), fingerprint: [fingerprint; 32] }),
        part: Some(part),
        ..world.outgoing(id)
    };
    let (first, second) = (part(0, "A", 1), part(2, "B", 1));
    let verdicts = world.accept(vec![first.clone(), second.clone()]).await;
    assert!(matches!(verdicts.as_slice(), [Accepted::New(_), Accepted::New(_)]), "{verdicts:?}");
    let again = world.accept(vec![part(0, "C", 1), part(1, "D", 1), part(2, "E", 1)]).await;
    assert!(matches!(again.as_slice(), [Accepted::Replay(_), Accepted::New(_), Accepted::Replay(_)]), "{again:?}");
    for (verdict, made) in again.iter().zip([Some(first.id), None, Some(second.id)]) {
        assert!(made.is_none_or(|made| matches!(verdict, Accepted::Replay(message) if message.id == made)));
    }
    let other = world.accept(vec![part(0, "F", 2), part(7, "G", 2)]).await;
    assert_eq!(other, [Accepted::Mismatch, Accepted::Mismatch]);
    let single = NewMessage { part: None, ..part(0, "H", 3) };
    assert_eq!(world.accept(vec![single]).await, [Accepted::Mismatch]);
    assert_eq!(world.open().await.len(), 3);
}

/// Known is who wrote, under each of his addresses, and who was sent something; a group is no stranger.
pub async fn strangers_are_told_from_people_known(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let chat = |name: &str| format!("{name}@s.whatsapp.net");
    let to = |id: &str, chat: &str| NewMessage { chat: chat.to_owned(), ..world.outgoing(id) };
    assert_eq!(world.commit(Op::Receive(Box::new(world.incoming("I")))).await, "done");
    world.accept(vec![to("A", &chat("15550222")), to("B", &chat("15550333")), to("C", "1@g.us")]).await;
    let asked = [chat("15550111"), "888@lid".to_owned(), chat("15550222"), chat("15550333"), "1@g.us".to_owned()];
    let strangers = async |since| world.ledger.acquaintance(world.instance, &asked, since).await.unwrap();
    assert_eq!(strangers(at(0)).await.strangers, [chat("15550222"), chat("15550333")]);
    assert_eq!(world.commit(sent("A")).await, "done");
    let after = strangers(at(0)).await;
    assert_eq!((after.strangers, after.opened), (vec![chat("15550333")], vec![at(300)]));
    assert_eq!(strangers(at(301)).await.opened, []);
    let shown = world.ledger.open_messages_to_known(world.instance, 10).await.unwrap();
    assert_eq!(shown.iter().map(|open| open.message.whatsapp_id.as_str()).collect::<Vec<_>>(), ["C"]);
    let other = World::of(world.ledger, world.tenant).await;
    let unknown = other.ledger.acquaintance(other.instance, &asked, at(0)).await.unwrap();
    assert_eq!(unknown.strangers.len(), 4, "each instance knows people of its own");
}

/// A restriction reads back, and it and its end are one event each.
pub async fn a_restriction_is_told_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let restriction = Restriction {
        reason: RestrictionReason::ReachoutLimit,
        scope: RestrictionScope::NewChats,
        until: Some(at(9_000)),
        restarts_at: at(9_001),
    };
    let set = |restriction| Op::SetRestriction { restriction, at: at(500) };
    assert_eq!(world.commit(set(None)).await, "no change");
    assert_eq!(world.commit(set(Some(restriction))).await, "done");
    assert_eq!(world.commit(set(Some(restriction))).await, "no change");
    let stored = world.ledger.instance(world.tenant, world.instance).await.unwrap().unwrap();
    assert_eq!(stored.restriction, Some(restriction));
    assert_eq!(world.commit(set(None)).await, "done");
    let events = world.events().await;
    assert!(events.iter().all(|event| event.kind == EventType::AccountRestricted));
    let lifted: Vec<_> = events.iter().map(|event| event.data.get("lifted").cloned().unwrap()).collect();
    assert_eq!(lifted, [false, true]);
}
