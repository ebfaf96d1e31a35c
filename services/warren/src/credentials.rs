//! The admin key, and the first tenant of an empty store.
//!
//! Kept in the store: the SHA-256 of an admin key that was made here (`standalone.admin_key`), written last, and the id of
//! the tenant made with it (`standalone.tenant`), written first. A start that dies in between is taken up by the next one:
//! what nobody was shown is made again.

use crate::compose::local::Store;
use crate::failure::Failure;
use warren_domain::key::{ApiKey, Scope, Secret};
use warren_domain::tenant::Limits;
use warren_domain::time::Clock;
use warren_domain::{KeyId, Tenant, TenantId};
use warren_gateway::AdminKey;
use warren_ports::ledger::Tenants;
use warren_runtime::config;

const ADMIN: &str = "standalone.admin_key";
const TENANT: &str = "standalone.tenant";

/// Who may administer, and what was made for that.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// The key that the gateway accepts on admin routes.
    pub(crate) admin: AdminKey,
    /// What has to be shown once, if this is the first start.
    pub(crate) fresh: Option<Fresh>,
}

/// Keys in the clear, to be shown once.
#[derive(Debug)]
pub(crate) struct Fresh {
    /// The text of the admin key.
    pub(crate) admin: String,
    /// The default tenant.
    pub(crate) tenant: TenantId,
    /// The text of its key.
    pub(crate) key: Secret,
}

/// The admin key of the settings, if there is one and it is strong.
pub(crate) fn configured(settings: Option<&config::Secret>) -> Result<Option<AdminKey>, Failure> {
    let key = settings.map(|secret| AdminKey::new(secret.reveal())).transpose();
    key.map_err(|error| Failure::config(format!("WARREN_ADMIN_KEY: {error}")))
}

/// The default tenant, if an earlier start or this one made it.
pub(crate) async fn tenant(store: &Store) -> Result<Option<TenantId>, Failure> {
    let Some(bytes) = store.meta(TENANT).await? else { return Ok(None) };
    let bytes = bytes.try_into().map_err(|_| Failure::config("the store's default tenant is damaged"))?;
    Ok(Some(TenantId::from_bytes(bytes)))
}

/// The configured key, the one of an earlier start, or, for an empty store, fresh ones.
pub(crate) async fn settle(store: &Store, configured: Option<AdminKey>, clock: &dyn Clock) -> Result<Credentials, Failure> {
    if let Some(admin) = configured {
        return Ok(Credentials { admin, fresh: None });
    }
    if let Some(admin) = kept(store).await? {
        return Ok(Credentials { admin, fresh: None });
    }
    let begun = store.meta(TENANT).await?.is_some();
    if !begun && !store.tenants(None, 1).await?.is_empty() {
        return Err(Failure::config("WARREN_ADMIN_KEY is missing: this store was started with one of your own"));
    }
    let tenant = default_tenant(store, clock).await?;
    let key = tenant_key(store, tenant, clock).await?;
    let (admin, text) = AdminKey::generate();
    Ok(Credentials { admin, fresh: Some(Fresh { admin: text, tenant, key }) })
}

/// Keeps a fresh admin key as its hash; to be called after it was shown.
pub(crate) async fn keep(store: &Store, admin: &AdminKey) -> Result<(), Failure> {
    store.put_meta_if_absent(ADMIN, admin.hash()).await?;
    Ok(())
}

/// The admin key that an earlier start made, if one did.
pub(crate) async fn kept(store: &Store) -> Result<Option<AdminKey>, Failure> {
    let Some(hash) = store.meta(ADMIN).await? else { return Ok(None) };
    let hash = hash.try_into().map_err(|_| Failure::config("the store's admin key is damaged; set WARREN_ADMIN_KEY"))?;
    Ok(Some(AdminKey::from_hash(hash)))
}

async fn default_tenant(store: &Store, clock: &dyn Clock) -> Result<TenantId, Failure> {
    let stored = store.put_meta_if_absent(TENANT, TenantId::generate().as_bytes()).await?;
    let bytes = stored.try_into().map_err(|_| Failure::config("the store's default tenant is damaged"))?;
    let id = TenantId::from_bytes(bytes);
    let tenant = Tenant { id, name: "default".to_owned(), limits: Limits::default(), created_at: clock.now() };
    store.create_tenant(&tenant).await?;
    Ok(id)
}

async fn tenant_key(store: &Store, tenant: TenantId, clock: &dyn Clock) -> Result<Secret, Failure> {
    let secret = Secret::generate();
    let key = ApiKey {
        id: KeyId::generate(),
        tenant,
        prefix: secret.prefix().to_owned(),
        hash: secret.hash(),
        name: "default".to_owned(),
        scopes: vec![Scope::Read, Scope::Write],
        expires_at: None,
        created_at: clock.now(),
        revoked_at: None,
        last_used_at: None,
    };
    store.create_key(&key).await?;
    Ok(secret)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::compose::local;
    use warren_domain::Network;
    use warren_domain::time::SystemClock;

    async fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = local::open(local::store_options(folder.path(), Network::Whatsapp)).await.unwrap();
        (folder, store)
    }

    async fn settled(store: &Store) -> Credentials {
        settle(store, None, &SystemClock).await.unwrap()
    }

    #[tokio::test]
    async fn an_empty_store_gets_keys_once() {
        let (_folder, store) = store().await;
        let first = settled(&store).await;
        let fresh = first.fresh.unwrap();
        assert_eq!(AdminKey::new(&fresh.admin).unwrap(), first.admin);
        keep(&store, &first.admin).await.unwrap();
        let stored = store.key_by_prefix(fresh.key.prefix()).await.unwrap().unwrap();
        assert_eq!((stored.tenant, stored.hash), (fresh.tenant, fresh.key.hash()));
        let second = settled(&store).await;
        assert!(second.fresh.is_none());
        assert_eq!(second.admin, first.admin);
    }

    #[tokio::test]
    async fn a_start_that_died_before_showing_them_is_taken_up() {
        let (_folder, store) = store().await;
        let lost = settled(&store).await.fresh.unwrap();
        let shown = settled(&store).await.fresh.unwrap();
        assert_ne!(lost.admin, shown.admin);
        assert_eq!(lost.tenant, shown.tenant, "no second tenant");
    }

    #[tokio::test]
    async fn a_key_of_the_operators_own_makes_nothing() {
        let (_folder, store) = store().await;
        let (own, _) = AdminKey::generate();
        let settled = settle(&store, Some(own.clone()), &SystemClock).await.unwrap();
        assert_eq!(settled.admin, own);
        assert!(settled.fresh.is_none());
        assert!(store.tenants(None, 1).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_own_key_that_is_missing_later_is_asked_for() {
        let (_folder, store) = store().await;
        let tenant =
            Tenant { id: TenantId::generate(), name: "a".into(), limits: Limits::default(), created_at: SystemClock.now() };
        store.create_tenant(&tenant).await.unwrap();
        let line = settle(&store, None, &SystemClock).await.unwrap_err().to_string();
        assert!(line.contains("WARREN_ADMIN_KEY"), "{line}");
    }

    #[test]
    fn a_weak_key_is_refused_and_not_shown() {
        let line = configured(Some(&config::Secret::new("admin:admin".into()))).unwrap_err().to_string();
        assert!(line.starts_with("WARREN_ADMIN_KEY") && !line.contains("admin:admin"), "{line}");
    }
}
