//! What a tenant may have, while several gateways give it.

use crate::world::{Sender, gateways, tenant};
use futures::future::join_all;
use warren_domain::{ErrorKind, MessageId};
use warren_ports::contract::ledger::instance;
use warren_ports::ledger::{
    CheckQuota, Idempotency, IdempotencyKey, InstanceFilter, Instances, Numbers, Reservation, Reserved, StoredResponse,
    Tenants,
};

/// A tenant's limit of instances is met exactly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_are_made_to_the_limit() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let owner = tenant(first).await;
    let made: Vec<_> = (0..30).map(|_| instance(owner)).collect();
    let creating = made.iter().enumerate().map(async |(number, made)| {
        let store = if number % 2 == 0 { first } else { second };
        store.create_instance(made, 7).await.is_ok()
    });
    let created = join_all(creating).await;
    assert_eq!(created.iter().filter(|created| **created).count(), 7);
    assert_eq!(first.instances(owner, &InstanceFilter::default(), None, 100).await.unwrap().len(), 7);
}

/// A tenant goes, or gets an instance: not both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_goes_gets_no_instance() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    for _ in 0..30 {
        let owner = tenant(first).await;
        let made = instance(owner);
        let (created, deleted) = tokio::join!(first.create_instance(&made, 5), second.delete_tenant(owner));
        match (created, deleted) {
            (Ok(()), Err(refused)) => assert_eq!(refused.code, "tenant_not_empty"),
            (Err(refused), Ok(true)) => assert_eq!(refused.kind, ErrorKind::NotFound),
            other => panic!("{other:?}"),
        }
        assert_eq!(first.tenant(owner).await.unwrap().is_some(), first.instance(owner, made.id).await.unwrap().is_some());
    }
}

/// Of parallel calls no two take the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quota_is_taken_once() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let one = Sender::new(first).await;
    let other = Sender::of(first, one.tenant).await;
    let quota = CheckQuota { day: 20_000, per_instance: 60, per_tenant: 100 };
    let taking = (0..40_usize).map(|number| {
        let store = if number % 2 == 0 { first } else { second };
        store.take_checks(one.tenant, if number % 4 < 2 { one.instance } else { other.instance }, 5, quota)
    });
    let taken = join_all(taking).await;
    assert_eq!(taken.into_iter().filter(|taken| matches!(taken, Ok(true))).count(), 20);
}

/// Of parallel requests with one key, through any gateway, one is carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_reserved_once() {
    let (_database, stores) = gateways::<2>().await;
    let [first, second] = &stores;
    let owner = tenant(first).await;
    for round in 0..20_i64 {
        let at = warren_domain::Timestamp::from_millis(1_000 + round);
        let reservation = |_| Reservation {
            tenant: owner,
            key: IdempotencyKey { key: format!("k{round}"), fingerprint: [1; 32] },
            resource: MessageId::generate(),
            at,
            abandoned_before: warren_domain::Timestamp::default(),
        };
        let asked: Vec<_> = (0..6).map(reservation).collect();
        let asking =
            asked.iter().enumerate().map(|(number, asked)| (if number % 2 == 0 { first } else { second }).reserve(asked));
        let answers: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers.iter().filter(|answer| matches!(answer, Reserved::Fresh(_))).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == Reserved::InFlight).count(), 5, "{answers:?}");
        let answer = StoredResponse { status: 201, body: b"{}".to_vec() };
        second.complete(owner, &format!("k{round}"), &answer).await.unwrap();
        assert_eq!(first.reserve(asked.first().unwrap()).await.unwrap(), Reserved::Done(answer));
    }
}
