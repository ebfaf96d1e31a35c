//! Messages, as they are accepted and read.

use super::{Subject, World, at, claim, instance, tenant, text};
use crate::ledger::{Accepted, IdempotencyKey, Instances, MessageFilter, Messages, NewMessage, Op, ReceiptTarget, Tenants};
use serde_json::{Map, Value};
use warren_domain::message::Quoted;
use warren_domain::{
    Delivery, Direction, InstanceId, InstanceState, Message, MessageId, MessageStatus, Shard, ShardCount, TenantId,
};

fn keyed(mut message: NewMessage, key: &str, fingerprint: u8) -> NewMessage {
    message.idempotency = Some(IdempotencyKey { key: key.to_owned(), fingerprint: [fingerprint; 32] });
    message
}

fn ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id).collect()
}

/// Every field of an accepted message reads back, for the edge and for the owner.
pub async fn an_accepted_message_reads_back(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let mut asked = world.outgoing("A");
    asked.quoted = Some(Quoted {
        message_id: Some(MessageId::generate()),
        whatsapp_id: "Q".to_owned(),
        author: "15550111@s.whatsapp.net".to_owned(),
        content: Some(text("before")),
    });
    asked.delivery = Delivery::AtMostOnce;
    asked.expires_at = Some(at(5_000));
    asked.metadata = Map::from_iter([("order".to_owned(), Value::from("4711"))]);
    let accepted = world.accept(vec![asked.clone()]).await;
    let stored = world.message(asked.id).await;
    assert_eq!(accepted, [Accepted::New(stored.clone())]);
    assert_eq!((stored.direction, stored.status, stored.reason), (Direction::Outbound, MessageStatus::Queued, None));
    assert_eq!((&stored.content, &stored.quoted, &stored.chat), (&asked.content, &asked.quoted, &asked.chat));
    assert_eq!((stored.delivery, stored.expires_at, &stored.metadata), (asked.delivery, asked.expires_at, &asked.metadata));
    assert_eq!((stored.times.created, &stored.author), (asked.created_at, &None));
    let open = world.open().await;
    let outbound = open.first().unwrap();
    assert_eq!((&outbound.message, outbound.secret, outbound.attempt), (&stored, asked.secret, 0));
    assert_eq!((outbound.handed_epoch, &outbound.stanza), (None, &None));
}

/// The order in an instance's queue is the order of acceptance.
pub async fn queues_keep_their_order(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let mut expected = Vec::new();
    for round in 0..4 {
        let batch: Vec<_> = (0..5).map(|number| world.outgoing(&format!("{round}-{number}"))).collect();
        expected.extend(batch.iter().map(|message| message.id));
        world.accept(batch).await;
    }
    let open = world.open().await;
    assert_eq!(open.iter().map(|outbound| outbound.message.id).collect::<Vec<_>>(), expected);
    assert!(open.is_sorted_by(|left, right| left.order < right.order));
    let first = world.ledger.open_messages(&[world.instance], 3).await.unwrap();
    assert_eq!(first.iter().map(|outbound| outbound.message.id).collect::<Vec<_>>(), expected.get(..3).unwrap());
}

/// Each message of a call has its own verdict; the good ones are committed.
pub async fn each_message_has_its_own_verdict(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let mut unpaired = instance(world.tenant);
    (unpaired.state, unpaired.account) = (InstanceState::Created, None);
    let mut logged_out = instance(world.tenant);
    logged_out.state = InstanceState::LoggedOut;
    ledger.create_instance(&unpaired, 10).await.unwrap();
    ledger.create_instance(&logged_out, 10).await.unwrap();
    let to = |instance: InstanceId| NewMessage { instance, ..world.outgoing("A") };
    let mut strangers = world.outgoing("A");
    strangers.tenant = TenantId::generate();
    let (first, last) = (world.outgoing("A"), world.outgoing("B"));
    let asked = vec![first.clone(), to(InstanceId::generate()), strangers, to(unpaired.id), to(logged_out.id), last.clone()];
    let verdicts = world.accept(asked).await;
    assert!(matches!(
        verdicts.as_slice(),
        [
            Accepted::New(_),
            Accepted::NoInstance,
            Accepted::NoInstance,
            Accepted::NotPaired,
            Accepted::NotPaired,
            Accepted::New(_)
        ]
    ));
    let open = world.open().await;
    assert_eq!(open.iter().map(|outbound| outbound.message.id).collect::<Vec<_>>(), [first.id, last.id]);
}

/// An instance has at most `queue_limit` open messages; one that ends makes room.
pub async fn the_queue_has_a_limit(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let limited = |id: &str| NewMessage { queue_limit: 2, ..world.outgoing(id) };
    let verdicts = world.accept(vec![limited("A"), limited("B"), limited("C")]).await;
    assert!(matches!(verdicts.as_slice(), [Accepted::New(_), Accepted::New(_), Accepted::QueueFull]));
    let sent = ReceiptTarget { whatsapp_ids: vec!["A".to_owned()], status: MessageStatus::Sent, at: at(300) };
    assert_eq!(world.commit(Op::Receipt(sent)).await, "done");
    let verdicts = world.accept(vec![limited("D"), limited("E")]).await;
    assert!(matches!(verdicts.as_slice(), [Accepted::New(_), Accepted::QueueFull]));
}

/// The same key and fingerprint give the message made first, as it is now; another fingerprint is a mismatch.
pub async fn a_key_makes_one_message(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let first = keyed(world.outgoing("A"), "k", 1);
    world.accept(vec![first.clone()]).await;
    assert_eq!(world.commit(claim(first.id, b"bytes")).await, "done");
    let again = keyed(world.outgoing("B"), "k", 1);
    let replayed = world.accept(vec![again]).await;
    let now = world.message(first.id).await;
    assert_eq!(now.status, MessageStatus::Handed);
    assert_eq!(replayed, [Accepted::Replay(now)]);
    assert_eq!(world.accept(vec![keyed(world.outgoing("C"), "k", 2)]).await, [Accepted::Mismatch]);
    let other = World::new(world.ledger).await;
    assert!(matches!(other.accept(vec![keyed(other.outgoing("D"), "k", 2)]).await.as_slice(), [Accepted::New(_)]));
    assert_eq!(world.open().await.len(), 1);
}

/// Of calls with the same key, exactly one is new.
pub async fn parallel_calls_make_one_message(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let call = || world.accept(vec![keyed(world.outgoing("A"), "k", 1)]);
    let answers = tokio::join!(call(), call(), call(), call(), call(), call());
    let answers = [answers.0, answers.1, answers.2, answers.3, answers.4, answers.5].concat();
    let new = answers.iter().filter(|answer| matches!(answer, Accepted::New(_))).count();
    let replayed = answers.iter().filter(|answer| matches!(answer, Accepted::Replay(_))).count();
    assert_eq!((new, replayed, world.open().await.len()), (1, 5, 1));
}

/// Another tenant's message answers as an unknown one.
pub async fn another_tenants_message_is_unknown(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let message = world.queued("A").await;
    let stranger = tenant();
    ledger.create_tenant(&stranger).await.unwrap();
    assert_eq!(ledger.message(stranger.id, message.id).await.unwrap(), None);
    assert_eq!(ledger.messages_by_whatsapp_id(stranger.id, world.instance, "A").await.unwrap(), []);
    let listed = ledger.messages(stranger.id, world.instance, &MessageFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed, []);
}

/// Lists are newest first, older than `before`; every part of a filter that is set must hold.
pub async fn lists_are_newest_first(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (ledger, tenant, instance) = (world.ledger, world.tenant, world.instance);
    let first = world.queued("A").await;
    let incoming = world.incoming("B");
    let second = incoming.message.id;
    assert_eq!(world.commit(Op::Receive(Box::new(incoming))).await, "done");
    let elsewhere = NewMessage { chat: "15550122@s.whatsapp.net".to_owned(), ..world.outgoing("C") };
    let third = elsewhere.id;
    world.accept(vec![elsewhere]).await;
    let list = async |filter: MessageFilter, before, limit| {
        ids(&ledger.messages(tenant, instance, &filter, before, limit).await.unwrap())
    };
    let all = MessageFilter::default;
    assert_eq!(list(all(), None, 10).await, [third, second, first.id]);
    assert_eq!(list(all(), None, 2).await, [third, second]);
    assert_eq!(list(all(), Some(second), 10).await, [first.id]);
    assert_eq!(list(MessageFilter { direction: Some(Direction::Outbound), ..all() }, None, 10).await, [third, first.id]);
    assert_eq!(list(MessageFilter { status: Some(MessageStatus::Delivered), ..all() }, None, 10).await, [second]);
    assert_eq!(list(MessageFilter { chat: Some(first.chat), ..all() }, None, 10).await, [second, first.id]);
}

/// A WhatsApp id finds messages of both directions; the owner finds its own.
pub async fn a_whatsapp_id_finds_both_directions(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let sent = world.queued("A").await;
    let incoming = world.incoming("A");
    let received = incoming.message.id;
    assert_eq!(world.commit(Op::Receive(Box::new(incoming))).await, "done");
    let found = ledger.messages_by_whatsapp_id(world.tenant, world.instance, "A").await.unwrap();
    assert_eq!(ids(&found), [sent.id, received]);
    assert_eq!(ledger.messages_by_whatsapp_id(world.tenant, world.instance, "B").await.unwrap(), []);
    let outbound = ledger.outbound_by_whatsapp_id(world.instance, "A").await.unwrap().unwrap();
    assert_eq!((outbound.message.id, outbound.secret), (sent.id, [3; 32]));
    assert_eq!(ledger.outbound_by_whatsapp_id(world.instance, "B").await.unwrap(), None);
}

/// The sweep names each instance of the shards that has open messages, once.
pub async fn the_sweep_finds_instances_with_open_messages(subject: impl Subject) {
    let ledger = subject.ledger();
    let (busy, idle) = (World::new(ledger).await, World::new(ledger).await);
    let shards: Vec<Shard> = (0..ShardCount::default().0.get()).map(Shard).collect();
    assert_eq!(ledger.instances_with_open_messages(&shards).await.unwrap(), []);
    busy.queued("A").await;
    let message = busy.queued("B").await;
    assert_eq!(busy.commit(claim(message.id, b"bytes")).await, "done");
    idle.queued("C").await;
    let sent = ReceiptTarget { whatsapp_ids: vec!["C".to_owned()], status: MessageStatus::Sent, at: at(300) };
    assert_eq!(idle.commit(Op::Receipt(sent)).await, "done");
    assert_eq!(ledger.instances_with_open_messages(&shards).await.unwrap(), [busy.instance]);
    let others: Vec<Shard> = shards.into_iter().filter(|shard| *shard != busy.fence.shard).collect();
    assert_eq!(ledger.instances_with_open_messages(&others).await.unwrap(), []);
}
