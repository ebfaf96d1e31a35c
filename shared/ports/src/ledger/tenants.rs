//! Tenants and their keys.

use async_trait::async_trait;
use warren_domain::{KeyId, Result, Tenant, TenantId, Timestamp, key::ApiKey, tenant::Limits};

/// What may be changed of a tenant. `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct TenantPatch {
    /// A new name.
    pub name: Option<String>,
    /// New limits, as a whole.
    pub limits: Option<Limits>,
}

/// Tenants and their API keys.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Stores a new tenant. Creating the same id again changes nothing and is no error.
    async fn create_tenant(&self, tenant: &Tenant) -> Result<()>;
    /// The tenant with this id.
    async fn tenant(&self, id: TenantId) -> Result<Option<Tenant>>;
    /// Up to `limit` tenants with an id above `after`, by id.
    async fn tenants(&self, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>>;
    /// Changes a tenant; `None` if there is none.
    async fn update_tenant(&self, id: TenantId, patch: TenantPatch) -> Result<Option<Tenant>>;
    /// Deletes a tenant that has no instances, with its keys.
    ///
    /// # Errors
    /// `Conflict` `tenant_not_empty` while it has instances.
    async fn delete_tenant(&self, id: TenantId) -> Result<bool>;

    /// Stores a new key.
    ///
    /// # Errors
    /// `NotFound` without such a tenant; `Conflict` `key_prefix_taken` if the 8 characters are in use (make another).
    async fn create_key(&self, key: &ApiKey) -> Result<()>;
    /// The key with these 8 characters, live or not.
    async fn key_by_prefix(&self, prefix: &str) -> Result<Option<ApiKey>>;
    /// All keys of a tenant, by id; at most 1,000.
    async fn keys(&self, tenant: TenantId) -> Result<Vec<ApiKey>>;
    /// Revokes a key as of `at`; `false` if the tenant has no such live key.
    async fn revoke_key(&self, tenant: TenantId, key: KeyId, at: Timestamp) -> Result<bool>;
    /// Notes that a key was used. Best effort: may be lost in a crash.
    async fn touch_key(&self, key: KeyId, at: Timestamp) -> Result<()>;
}
