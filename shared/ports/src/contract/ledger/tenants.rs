//! Tenants and their keys.

use super::{Subject, World, at, tenant};
use crate::ledger::{Instances, TenantPatch, Tenants};
use warren_domain::key::{ApiKey, Scope};
use warren_domain::tenant::Limits;
use warren_domain::{ErrorKind, KeyId, TenantId};

fn key(tenant: TenantId, prefix: &str) -> ApiKey {
    ApiKey {
        id: KeyId::generate(),
        tenant,
        prefix: prefix.to_owned(),
        hash: [9; 32],
        name: "server".to_owned(),
        scopes: vec![Scope::Read, Scope::Write],
        expires_at: Some(at(9_000)),
        created_at: at(0),
        revoked_at: None,
        last_used_at: None,
    }
}

/// Creating the same id again changes nothing and is no error.
pub async fn creating_a_tenant_again_changes_nothing(subject: impl Subject) {
    let ledger = subject.ledger();
    let first = tenant();
    ledger.create_tenant(&first).await.unwrap();
    let mut again = first.clone();
    again.name = "Other".to_owned();
    ledger.create_tenant(&again).await.unwrap();
    assert_eq!(ledger.tenant(first.id).await.unwrap(), Some(first));
    assert_eq!(ledger.tenant(TenantId::generate()).await.unwrap(), None);
}

/// Lists go by id, above `after`, up to the limit.
pub async fn tenants_are_listed_by_id(subject: impl Subject) {
    let ledger = subject.ledger();
    let mut all: Vec<_> = (0..5).map(|_| tenant()).collect();
    for made in &all {
        ledger.create_tenant(made).await.unwrap();
    }
    all.sort_by_key(|made| made.id);
    let first = ledger.tenants(None, 2).await.unwrap();
    let rest = ledger.tenants(first.last().map(|last| last.id), 10).await.unwrap();
    assert_eq!([first, rest].concat(), all);
}

/// A patch leaves what it does not name; an unknown tenant is `None`.
pub async fn a_patch_leaves_what_it_does_not_name(subject: impl Subject) {
    let ledger = subject.ledger();
    let mut made = tenant();
    ledger.create_tenant(&made).await.unwrap();
    let named = TenantPatch { name: Some("New".to_owned()), limits: None };
    made.name = "New".to_owned();
    assert_eq!(ledger.update_tenant(made.id, named).await.unwrap(), Some(made.clone()));
    let limits = Limits { instances: Some(3), requests_per_second: None };
    made.limits = limits;
    let limited = TenantPatch { name: None, limits: Some(limits) };
    assert_eq!(ledger.update_tenant(made.id, limited.clone()).await.unwrap(), Some(made.clone()));
    assert_eq!(ledger.tenant(made.id).await.unwrap(), Some(made));
    assert_eq!(ledger.update_tenant(TenantId::generate(), limited).await.unwrap(), None);
}

/// A tenant that has instances is not deleted; without them it goes with its keys.
pub async fn a_tenant_with_instances_stays(subject: impl Subject) {
    let world = World::new(subject.ledger()).await;
    let ledger = world.ledger;
    ledger.create_key(&key(world.tenant, "AAAAAAAA")).await.unwrap();
    let refused = ledger.delete_tenant(world.tenant).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "tenant_not_empty"));
    assert!(ledger.delete_instance(world.tenant, world.instance).await.unwrap());
    assert!(ledger.delete_tenant(world.tenant).await.unwrap());
    assert!(!ledger.delete_tenant(world.tenant).await.unwrap());
    assert_eq!(ledger.tenant(world.tenant).await.unwrap(), None);
    assert_eq!(ledger.key_by_prefix("AAAAAAAA").await.unwrap(), None);
}

/// A key is found by its 8 characters and listed by id.
pub async fn keys_are_found_and_listed(subject: impl Subject) {
    let ledger = subject.ledger();
    let (one, other) = (tenant(), tenant());
    ledger.create_tenant(&one).await.unwrap();
    ledger.create_tenant(&other).await.unwrap();
    let mut keys = vec![key(one.id, "AAAAAAAA"), key(one.id, "aaaaaaaa")];
    for made in &keys {
        ledger.create_key(made).await.unwrap();
    }
    ledger.create_key(&key(other.id, "CCCCCCCC")).await.unwrap();
    keys.sort_by_key(|made| made.id);
    assert_eq!(ledger.keys(one.id).await.unwrap(), keys);
    for made in &keys {
        assert_eq!(ledger.key_by_prefix(&made.prefix).await.unwrap().as_ref(), Some(made));
    }
    assert_eq!(ledger.key_by_prefix("DDDDDDDD").await.unwrap(), None);
}

/// A key needs a tenant and 8 characters of its own.
pub async fn a_key_needs_its_tenant_and_its_prefix(subject: impl Subject) {
    let ledger = subject.ledger();
    assert_eq!(ledger.create_key(&key(TenantId::generate(), "AAAAAAAA")).await.unwrap_err().kind, ErrorKind::NotFound);
    let made = tenant();
    ledger.create_tenant(&made).await.unwrap();
    ledger.create_key(&key(made.id, "AAAAAAAA")).await.unwrap();
    let refused = ledger.create_key(&key(made.id, "AAAAAAAA")).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (ErrorKind::Conflict, "key_prefix_taken"));
}

/// A key is revoked once, and by its own tenant.
pub async fn a_key_is_revoked_once(subject: impl Subject) {
    let ledger = subject.ledger();
    let made = tenant();
    ledger.create_tenant(&made).await.unwrap();
    let key = key(made.id, "AAAAAAAA");
    ledger.create_key(&key).await.unwrap();
    assert!(!ledger.revoke_key(TenantId::generate(), key.id, at(5)).await.unwrap());
    assert!(ledger.revoke_key(made.id, key.id, at(6)).await.unwrap());
    assert!(!ledger.revoke_key(made.id, key.id, at(7)).await.unwrap());
    assert_eq!(ledger.key_by_prefix("AAAAAAAA").await.unwrap().unwrap().revoked_at, Some(at(6)));
}

/// A key that was used says so, soon.
pub async fn a_used_key_says_so(subject: impl Subject) {
    let ledger = subject.ledger();
    let made = tenant();
    ledger.create_tenant(&made).await.unwrap();
    let key = key(made.id, "AAAAAAAA");
    ledger.create_key(&key).await.unwrap();
    ledger.touch_key(key.id, at(70_000)).await.unwrap();
    let used = async || ledger.key_by_prefix("AAAAAAAA").await.unwrap().unwrap().last_used_at == Some(at(70_000));
    super::super::until("the key says when it was used", used).await;
}
