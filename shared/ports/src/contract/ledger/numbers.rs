//! What WhatsApp said of numbers, and how often it was asked.

use super::{Subject, World, at};
use crate::ledger::{CheckQuota, Maintenance, Numbers, Op, Retention};
use std::time::Duration;
use warren_domain::number::NumberCheck;
use warren_domain::{InstanceId, TenantId};

fn check(phone: &str, jid: Option<&str>) -> NumberCheck {
    NumberCheck { phone: phone.to_owned(), jid: jid.map(str::to_owned), lid: jid.map(|_| "77@lid".to_owned()) }
}

fn keep(checks: &[NumberCheck], millis: i64) -> Op {
    Op::KeepNumbers { checks: checks.to_vec(), at: at(millis) }
}

fn phones(phones: &[&str]) -> Vec<String> {
    phones.iter().map(|phone| (*phone).to_owned()).collect()
}

/// What is kept is found by its number, by its tenant and nobody else.
pub async fn an_answer_is_kept_for_its_tenant(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let answers = [check("551187654321", Some("551187654321@s.whatsapp.net")), check("4912345678", None)];
    assert_eq!(world.commit(keep(&answers, 5)).await, "done");
    let asked = phones(&["551187654321", "4912345678", "628000000"]);
    let mut known = world.ledger.known_numbers(world.tenant, &asked).await.unwrap();
    known.sort_by(|left, right| right.check.phone.cmp(&left.check.phone));
    let found: Vec<_> = known.iter().map(|known| known.check.clone()).collect();
    assert_eq!(found, answers);
    assert!(known.iter().all(|known| known.checked_at == at(5)));
    assert!(world.ledger.known_numbers(TenantId::generate(), &asked).await.unwrap().is_empty());
    assert_eq!(world.commit(keep(&[], 5)).await, "no change");
}

/// A number that joined later is known by its later answer.
pub async fn a_later_answer_replaces_the_first(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    world.commit(keep(&[check("4912345678", None)], 5)).await;
    world.commit(keep(&[check("4912345678", Some("4912345678@s.whatsapp.net"))], 9)).await;
    let known = world.ledger.known_numbers(world.tenant, &phones(&["4912345678"])).await.unwrap();
    assert_eq!(known.len(), 1);
    assert!(known.iter().all(|known| known.check.is_registered() && known.checked_at == at(9)));
}

/// A quota is taken from whole or not at all, an instance's and its tenant's, and is new on the next day.
pub async fn a_quota_holds_for_instance_and_tenant(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let quota = CheckQuota { day: 20_000, per_instance: 10, per_tenant: 15 };
    let (one, other) = (world.instance, InstanceId::generate());
    let take = async |instance, count, quota| world.ledger.take_checks(world.tenant, instance, count, quota).await.unwrap();
    assert!(take(one, 8, quota).await);
    assert!(!take(one, 3, quota).await, "more than the instance's");
    assert!(take(one, 2, quota).await, "nothing was taken by the refused one");
    assert!(!take(other, 6, quota).await, "more than the tenant's");
    assert!(take(other, 5, quota).await);
    assert!(take(one, 10, CheckQuota { day: 20_001, ..quota }).await);
    let another = World::new(world.ledger).await;
    assert!(another.ledger.take_checks(another.tenant, another.instance, 10, quota).await.unwrap());
}

/// An answer goes when it counts no more; a younger one stays.
pub async fn answers_that_count_no_more_go(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let day = 24 * 3_600 * 1_000;
    world.commit(keep(&[check("4911111111", None)], 0)).await;
    world.commit(keep(&[check("4922222222", None)], 2 * day)).await;
    let long = Duration::from_secs(365 * 24 * 3_600);
    let retention = Retention { events: long, messages: long, idempotency: long };
    world.ledger.expire(at(8 * day), &retention, 100).await.unwrap();
    let known = world.ledger.known_numbers(world.tenant, &phones(&["4911111111", "4922222222"])).await.unwrap();
    let left: Vec<_> = known.iter().map(|known| known.check.phone.as_str()).collect();
    assert_eq!(left, ["4922222222"]);
}
