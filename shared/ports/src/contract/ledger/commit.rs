//! The committer: fences, order, verdicts, numbers, and what an owner writes about its instance.

use super::{EPOCH, Subject, World, at, fence, instance, record, tenant, verdict};
use crate::ledger::{Committer, Instances, Op, Ownership, RecordKind, Sessions, Tenants, Write};
use serde_json::Map;
use std::pin::pin;
use warren_domain::event::NewEvent;
use warren_domain::instance::Account;
use warren_domain::{Epoch, EventType, Health, HealthStatus, InstanceId, InstanceState, Shard, TenantId};

fn note(number: i64) -> NewEvent {
    NewEvent::new(EventType::MessageUndecryptable, at(number), Map::new())
}

fn put(key: &[u8], value: &[u8]) -> Op {
    Op::Put(vec![record(RecordKind::Identity, key, value, 0)])
}

/// Equal epoch: done. Stored higher: ownership lost. Stored lower: the ledger is behind. Others of the batch commit.
pub async fn the_fence_decides(subject: impl Subject) {
    let ledger = subject.ledger();
    let (world, other) = (World::new(ledger).await, World::new(ledger).await);
    let under = |epoch: i64, key: &[u8]| Write { fence: fence(world.instance, Epoch(epoch)), ..world.write(put(key, b"v")) };
    let writes =
        vec![under(EPOCH.0, b"a"), under(EPOCH.0 - 1, b"b"), under(EPOCH.0 + 1, b"c"), other.write(put(b"d", b"v"))];
    let outcomes = ledger.commit(writes).await;
    let verdicts: Vec<_> = outcomes.iter().map(verdict).collect();
    assert_eq!(verdicts, ["done", "ownership lost", "ledger behind", "done"]);
    let stored = ledger.records_with_prefix(world.instance, RecordKind::Identity, b"").await.unwrap();
    assert_eq!(stored, [record(RecordKind::Identity, b"a", b"v", 0)]);
}

/// No stored epoch: the ledger went back in time.
pub async fn an_absent_epoch_is_behind(subject: impl Subject) {
    let ledger = subject.ledger();
    let owner = tenant();
    ledger.create_tenant(&owner).await.unwrap();
    let made = instance(owner.id);
    ledger.create_instance(&made, 10).await.unwrap();
    let write = Write { fence: fence(made.id, EPOCH), tenant: owner.id, instance: made.id, op: Op::Barrier };
    assert_eq!(ledger.commit(vec![write]).await.first().map(verdict), Some("ledger behind"));
}

/// The instance must exist, belong to the tenant, and hash to the fence's shard.
pub async fn the_instance_must_be_the_tenants_and_of_the_shard(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let strangers = Write { tenant: TenantId::generate(), ..world.write(put(b"a", b"v")) };
    let unknown = Write { instance: InstanceId::generate(), ..world.write(put(b"a", b"v")) };
    let elsewhere = Shard((world.fence.shard.0 + 1) % 1024);
    ledger.take(&[(elsewhere, EPOCH)]).await.unwrap();
    let mut misplaced = world.write(put(b"a", b"v"));
    misplaced.fence.shard = elsewhere;
    let outcomes = ledger.commit(vec![strangers, unknown, misplaced]).await;
    assert_eq!(outcomes.iter().map(verdict).collect::<Vec<_>>(), ["not_found", "not_found", "not_found"]);
    assert_eq!(ledger.records_with_prefix(world.instance, RecordKind::Identity, b"").await.unwrap(), []);
}

/// A data error fails the culprit only, as a whole; what is beside it commits.
pub async fn a_culprit_fails_alone(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let taken = note(1);
    assert_eq!(world.commit(Op::Append(taken.clone())).await, "done");
    // Its message is good, its event's id is taken: neither may stay.
    let mut culprit = world.incoming("A");
    culprit.event.id = taken.id;
    let writes = vec![
        world.write(put(b"before", b"v")),
        world.write(Op::Receive(Box::new(culprit))),
        world.write(put(b"after", b"v")),
        world.write(Op::Append(note(2))),
    ];
    let outcomes = world.ledger.commit(writes).await;
    assert_eq!(outcomes.iter().map(verdict).collect::<Vec<_>>(), ["done", "internal", "done", "done"]);
    assert_eq!(world.ledger.records_with_prefix(world.instance, RecordKind::Identity, b"").await.unwrap().len(), 2);
    let author = "15550111@s.whatsapp.net";
    assert!(!crate::ledger::Messages::has_inbound(world.ledger, world.instance, author, author, "A").await.unwrap());
    assert_eq!(world.assert_gapless().await, 2);
}

/// Writes take effect in the order in which their calls were first polled.
pub async fn writes_take_effect_in_the_order_of_their_calls(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    for round in 0..20_u8 {
        let first = pin!(world.commit(put(b"k", &[round, 1])));
        let second = pin!(world.commit(put(b"k", &[round, 2])));
        let third = pin!(world.commit(put(b"k", &[round, 3])));
        // Polled in the order in which they are named.
        let verdicts = tokio::join!(biased; first, second, third);
        assert_eq!(verdicts, ("done", "done", "done"));
        let stored = world.ledger.records(world.instance, RecordKind::Identity, &[b"k".to_vec()]).await.unwrap();
        assert_eq!(stored, [record(RecordKind::Identity, b"k", &[round, 3], 0)]);
    }
}

/// Every event gets the instance's next number, whoever else commits.
pub async fn numbers_are_gapless_under_parallel_writes(subject: impl Subject) {
    let ledger = subject.ledger();
    let (one, other) = (World::new(ledger).await, World::new(ledger).await);
    let many = async |world: &World<'_, _>, start: i64| {
        for number in 0..25 {
            assert_eq!(world.commit(Op::Append(note(start + number))).await, "done");
        }
    };
    tokio::join!(many(&one, 0), many(&one, 100), many(&one, 200), many(&other, 0), many(&other, 100));
    assert_eq!((one.assert_gapless().await, other.assert_gapless().await), (75, 50));
}

/// A state is written with its event; `NoChange` if state and reason are already so.
pub async fn a_state_is_written_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let set = |reason: Option<&str>, moment: i64| Op::SetState {
        state: InstanceState::Disconnected,
        reason: reason.map(str::to_owned),
        at: at(moment),
    };
    assert_eq!(world.commit(set(None, 5)).await, "done");
    assert_eq!(world.commit(set(None, 6)).await, "no change");
    assert_eq!(world.commit(set(Some("asked"), 7)).await, "done");
    assert_eq!(world.commit(set(Some("asked"), 8)).await, "no change");
    let stored = world.ledger.owned_instance(world.instance).await.unwrap().unwrap();
    let expected = (InstanceState::Disconnected, Some("asked"), at(7));
    assert_eq!((stored.state, stored.reason.as_deref(), stored.since), expected);
    let events = world.events().await;
    assert!(events.iter().all(|event| event.kind == EventType::InstanceStateChanged));
    assert_eq!(events.iter().map(|event| event.occurred_at).collect::<Vec<_>>(), [at(5), at(7)]);
}

/// An account is written with the event given, or without one.
pub async fn an_account_comes_with_its_event(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let mut account =
        Account { phone: "15550133".to_owned(), jid: "15550133:1@s.whatsapp.net".to_owned(), ..Account::default() };
    let paired = NewEvent::new(EventType::PairingSucceeded, at(5), Map::new());
    assert_eq!(world.commit(Op::SetAccount { account: account.clone(), event: Some(paired) }).await, "done");
    account.push_name = Some("New".to_owned());
    assert_eq!(world.commit(Op::SetAccount { account: account.clone(), event: None }).await, "done");
    assert_eq!(world.commit(Op::SetAccount { account: account.clone(), event: None }).await, "no change");
    let stored = world.ledger.owned_instance(world.instance).await.unwrap().unwrap();
    assert_eq!(stored.account, Some(account));
    let kinds: Vec<_> = world.events().await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventType::PairingSucceeded]);
}

/// A health is written with its event; `NoChange` if status and reason are already so.
pub async fn a_health_is_written_once(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let health = Health {
        status: HealthStatus::Degraded,
        reason: Some("silent".to_owned()),
        last_stanza_at: Some(at(1)),
        rtt_ms: Some(30),
    };
    assert_eq!(world.commit(Op::SetHealth { health: Health::OK, at: at(4) }).await, "no change");
    assert_eq!(world.commit(Op::SetHealth { health: health.clone(), at: at(5) }).await, "done");
    assert_eq!(world.commit(Op::SetHealth { health: health.clone(), at: at(6) }).await, "no change");
    let stored = world.ledger.owned_instance(world.instance).await.unwrap().unwrap();
    assert_eq!(stored.health, health);
    assert_eq!(world.assert_gapless().await, 1);
}

/// An ephemeral event has no place in the log.
pub async fn ephemeral_events_are_refused(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let qr = NewEvent::new(EventType::PairingQr, at(1), Map::new());
    assert_eq!(world.commit(Op::Append(qr)).await, "ephemeral_event");
    assert_eq!(world.assert_gapless().await, 0);
}

/// A barrier writes nothing; what was put before it is settled, even if its own call was given up.
pub async fn a_barrier_writes_nothing(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    {
        let mut given_up = pin!(world.commit(put(b"k", b"v")));
        // Polled once, then dropped.
        tokio::select! {
            biased;
            _ = &mut given_up => {}
            () = std::future::ready(()) => {}
        }
    }
    assert_eq!(world.commit(Op::Barrier).await, "done");
    let stored = world.ledger.records(world.instance, RecordKind::Identity, &[b"k".to_vec()]).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(world.assert_gapless().await, 0);
    assert_eq!(world.ledger.waiting_ms(), 0);
}
