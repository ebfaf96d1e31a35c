//! Instances, as the edge creates and lists them.

use super::{ROOM, Subject, World, at, claim, instance, tenant};
use crate::ledger::{Accepted, Committer, InstanceFilter, InstancePatch, Instances, Op, Tenants};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use warren_domain::{
    ErrorKind, EventType, FailureReason, Health, HealthStatus, Instance, InstanceId, InstanceState, MessageStatus, Shard,
    ShardCount, TenantId,
};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// Every field reads back.
pub async fn an_instance_reads_back_as_it_was_stored(subject: impl Subject) {
    let ledger = subject.ledger();
    let owner = tenant();
    ledger.create_tenant(&owner).await.unwrap();
    let mut full = instance(owner.id);
    full.metadata = object(json!({"team": "a", "nested": {"x": [1, null]}}));
    full.reason = Some("because".to_owned());
    full.health = Health {
        status: HealthStatus::Degraded,
        reason: Some("store".to_owned()),
        last_stanza_at: Some(at(3)),
        rtt_ms: Some(41),
    };
    let mut bare = instance(owner.id);
    (bare.name, bare.account, bare.state) = (None, None, InstanceState::Created);
    for made in [full, bare] {
        ledger.create_instance(&made, ROOM).await.unwrap();
        assert_eq!(ledger.instance(owner.id, made.id).await.unwrap().as_ref(), Some(&made));
        assert_eq!(ledger.owned_instance(made.id).await.unwrap(), Some(made));
    }
}

/// A tenant has at most `limit` live instances; creating the same id again changes nothing; the tenant must exist.
pub async fn the_limit_holds(subject: impl Subject) {
    let ledger = subject.ledger();
    assert_eq!(ledger.create_instance(&instance(TenantId::generate()), 5).await.unwrap_err().kind, ErrorKind::NotFound);
    let owner = tenant();
    ledger.create_tenant(&owner).await.unwrap();
    let (first, second, third) = (instance(owner.id), instance(owner.id), instance(owner.id));
    ledger.create_instance(&first, 2).await.unwrap();
    ledger.create_instance(&second, 2).await.unwrap();
    let mut again = first.clone();
    again.name = Some("Other".to_owned());
    ledger.create_instance(&again, 2).await.unwrap();
    assert_eq!(ledger.instance(owner.id, first.id).await.unwrap(), Some(first.clone()));
    let refused = ledger.create_instance(&third, 2).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (ErrorKind::Exhausted, "instance_limit"));
    assert!(ledger.delete_instance(owner.id, first.id).await.unwrap());
    ledger.create_instance(&third, 2).await.unwrap();
}

/// Another tenant's instance answers as an unknown one.
pub async fn another_tenants_instance_is_unknown(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let stranger = tenant();
    ledger.create_tenant(&stranger).await.unwrap();
    assert_eq!(ledger.instance(stranger.id, world.instance).await.unwrap(), None);
    assert_eq!(ledger.update_instance(stranger.id, world.instance, InstancePatch::default()).await.unwrap(), None);
    assert!(!ledger.delete_instance(stranger.id, world.instance).await.unwrap());
    assert_eq!(ledger.instances(stranger.id, &InstanceFilter::default(), None, 10).await.unwrap(), []);
    assert_eq!(ledger.instance_by_phone(stranger.id, "15550100").await.unwrap(), None);
    assert!(ledger.instance(world.tenant, world.instance).await.unwrap().is_some());
}

/// Lists go by id; every part of a filter that is set must hold.
pub async fn lists_are_narrowed_and_paged(subject: impl Subject) {
    let ledger = subject.ledger();
    let owner = tenant();
    ledger.create_tenant(&owner).await.unwrap();
    let mut all: Vec<Instance> = (0..6).map(|_| instance(owner.id)).collect();
    all.sort_by_key(|made| made.id);
    for (number, made) in all.iter_mut().enumerate() {
        made.name = Some(format!("n{}", number % 2));
        made.metadata = object(json!({"team": format!("t{}", number % 3), "dotted.key": "x", "count": 1}));
        if number == 0 {
            (made.state, made.account) = (InstanceState::Created, None);
        }
        ledger.create_instance(made, ROOM).await.unwrap();
    }
    let ids = async |filter: InstanceFilter| -> Vec<usize> {
        let found = ledger.instances(owner.id, &filter, None, 10).await.unwrap();
        found.iter().filter_map(|found| all.iter().position(|made| made == found)).collect()
    };
    let text = |value: &str| Some(value.to_owned());
    let metadata = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    assert_eq!(ids(InstanceFilter::default()).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(ids(InstanceFilter { state: Some(InstanceState::Created), ..Default::default() }).await, [0]);
    assert_eq!(ids(InstanceFilter { name: text("n1"), ..Default::default() }).await, [1, 3, 5]);
    assert_eq!(ids(InstanceFilter { phone: text("15550100"), name: text("n0"), ..Default::default() }).await, [2, 4]);
    assert_eq!(ids(InstanceFilter { metadata: metadata("team", "t0"), ..Default::default() }).await, [0, 3]);
    assert_eq!(ids(InstanceFilter { metadata: metadata("dotted.key", "x"), ..Default::default() }).await.len(), 6);
    assert_eq!(ids(InstanceFilter { metadata: metadata("count", "1"), ..Default::default() }).await.len(), 0);
    let narrowed = InstanceFilter { metadata: metadata("team", "t1"), ..Default::default() };
    let first = ledger.instances(owner.id, &narrowed, None, 1).await.unwrap();
    let rest = ledger.instances(owner.id, &narrowed, first.last().map(|last| last.id), 10).await.unwrap();
    let pages: Vec<InstanceId> = first.iter().chain(&rest).map(|found| found.id).collect();
    let expected: Vec<InstanceId> = [1, 4].iter().filter_map(|number| all.get(*number)).map(|made| made.id).collect();
    assert_eq!(pages, expected);
}

/// A patch changes what it names and leaves the rest.
pub async fn a_patch_changes_what_it_names(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let (ledger, tenant, id) = (world.ledger, world.tenant, world.instance);
    let mut expected = ledger.instance(tenant, id).await.unwrap().unwrap();
    let patch = InstancePatch { metadata: Some(object(json!({"a": "b"}))), ..InstancePatch::default() };
    expected.metadata = object(json!({"a": "b"}));
    assert_eq!(ledger.update_instance(tenant, id, patch).await.unwrap(), Some(expected.clone()));
    let patch = InstancePatch { name: Some(None), ..InstancePatch::default() };
    expected.name = None;
    assert_eq!(ledger.update_instance(tenant, id, patch).await.unwrap(), Some(expected.clone()));
    assert_eq!(ledger.instance(tenant, id).await.unwrap(), Some(expected));
    assert_eq!(ledger.update_instance(tenant, InstanceId::generate(), InstancePatch::default()).await.unwrap(), None);
}

/// Of several instances with one number, the one seen online last.
pub async fn the_number_finds_the_one_seen_online_last(subject: impl Subject) {
    let ledger = subject.ledger();
    let first = World::new(ledger).await;
    let second = World::of(ledger, first.tenant).await;
    for (world, moment) in [(&first, 10), (&second, 20), (&first, 30)] {
        let away = Op::SetState { state: InstanceState::Connecting, reason: None, at: at(moment) };
        world.commit(away).await;
        let online = Op::SetState { state: InstanceState::Online, reason: None, at: at(moment + 1) };
        assert_eq!(world.commit(online).await, "done");
    }
    let found = ledger.instance_by_phone(first.tenant, "15550100").await.unwrap().unwrap();
    assert_eq!(found.id, first.instance);
    assert_eq!(ledger.instance_by_phone(first.tenant, "15550199").await.unwrap(), None);
}

/// A deleted instance is not found, its open messages are failed, new ones are refused, and its owner's writes too.
pub async fn a_deleted_instance_is_gone_and_its_messages_fail(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    let (queued, handed) = (world.queued("A").await, world.queued("B").await);
    assert_eq!(world.commit(claim(handed.id, b"bytes")).await, "done");
    assert!(ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert!(!ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert_eq!(ledger.instance(world.tenant, world.instance).await.unwrap(), None);
    assert_eq!(ledger.owned_instance(world.instance).await.unwrap(), None);
    assert_eq!(ledger.instances_of(&[world.fence.shard]).await.unwrap(), []);
    assert_eq!(ledger.instance_by_phone(world.tenant, "15550100").await.unwrap(), None);
    for message in [queued.id, handed.id] {
        let failed = world.message(message).await;
        assert_eq!((failed.status, failed.reason), (MessageStatus::Failed, Some(FailureReason::LoggedOut)));
    }
    assert_eq!(world.open().await, []);
    assert_eq!(world.accept(vec![world.outgoing("C")]).await, [Accepted::NoInstance]);
    assert_eq!(world.commit(Op::Barrier).await, "not_found");
    assert_eq!(world.assert_gapless().await, 2);
    assert!(world.events().await.iter().all(|event| event.kind == EventType::MessageStatus));
}

/// An owner finds the live instances of its shards, recently active first.
pub async fn an_owner_finds_its_instances_by_activity(subject: impl Subject) {
    let ledger = subject.ledger();
    let first = World::new(ledger).await;
    let mut worlds = vec![first];
    for _ in 0..3 {
        let tenant = worlds.first().map(|world| world.tenant).unwrap();
        worlds.push(World::of(ledger, tenant).await);
    }
    let shards: BTreeSet<Shard> = worlds.iter().map(|world| world.fence.shard).collect();
    let shards: Vec<Shard> = shards.into_iter().collect();
    let active = worlds.get(2).unwrap();
    let received = ledger.commit(vec![active.write(Op::Receive(Box::new(active.incoming("A"))))]).await;
    assert_eq!(received.first().map(super::verdict), Some("done"));
    let found = ledger.instances_of(&shards).await.unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(found.first().map(|found| found.id), Some(active.instance));
    let free = (0..1024).map(Shard).find(|shard| !shards.contains(shard)).unwrap();
    assert_eq!(ledger.instances_of(&[free]).await.unwrap(), []);
    assert!(found.iter().all(|found| shards.contains(&Shard::of(found.id, ShardCount::default()))));
}
