//! Instances, as the edge creates and lists them. Their state is written by their owner only: see [`super::Op`].

use async_trait::async_trait;
use serde_json::{Map, Value};
use warren_domain::{Instance, InstanceId, InstanceState, Result, Shard, TenantId, proxy::Proxy};

/// What a list of instances is narrowed to; every part that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    /// In this state.
    pub state: Option<InstanceState>,
    /// With exactly this name.
    pub name: Option<String>,
    /// With this phone number (E.164 digits).
    pub phone: Option<String>,
    /// With these top-level metadata texts (`metadata.key=value`).
    pub metadata: Vec<(String, String)>,
}

/// What the edge may change of an instance. `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct InstancePatch {
    /// A new name, or none.
    pub name: Option<Option<String>>,
    /// New metadata, as a whole.
    pub metadata: Option<Map<String, Value>>,
    /// A new name for phones to show, or the deployment's.
    pub device_name: Option<Option<String>>,
    /// A new proxy, or none.
    pub proxy: Option<Option<Proxy>>,
}

/// Instances.
#[async_trait]
pub trait Instances: Send + Sync {
    /// Stores a new instance if its tenant has fewer than `limit`. Creating the same id again changes nothing and is no
    /// error (so that a retry is safe).
    ///
    /// # Errors
    /// `NotFound` without such a tenant, or if another tenant has this id; `Exhausted` `instance_limit` at the limit.
    async fn create_instance(&self, instance: &Instance, limit: u32) -> Result<()>;
    /// The tenant's instance with this id. Another tenant's is `None`.
    async fn instance(&self, tenant: TenantId, id: InstanceId) -> Result<Option<Instance>>;
    /// Up to `limit` of the tenant's instances with an id above `after`, by id.
    async fn instances(
        &self,
        tenant: TenantId,
        filter: &InstanceFilter,
        after: Option<InstanceId>,
        limit: u32,
    ) -> Result<Vec<Instance>>;
    /// The tenant's instance that is linked to this phone number; the one seen online last if there are several. One that
    /// was logged out is named only if there is no other.
    async fn instance_by_phone(&self, tenant: TenantId, phone: &str) -> Result<Option<Instance>>;
    /// Changes an instance; `None` if the tenant has no such one.
    async fn update_instance(&self, tenant: TenantId, id: InstanceId, patch: InstancePatch) -> Result<Option<Instance>>;
    /// Marks an instance deleted: from now on it is not found, its open messages are failed with `logged_out`, new ones
    /// are refused; the rows and session state go in small batches by [`super::Maintenance`]. The owner is told over the
    /// bus; its files are deleted ([`super::MediaFiles`]). Its events stay as long as all others, so that readers hear of its
    /// end. `false` if the tenant has no such one.
    async fn delete_instance(&self, tenant: TenantId, id: InstanceId) -> Result<bool>;

    /// All live instances of these shards, for the owner: by last activity, most recent first.
    async fn instances_of(&self, shards: &[Shard]) -> Result<Vec<Instance>>;
    /// One instance of any tenant, for its owner; deleted ones are `None`.
    async fn owned_instance(&self, id: InstanceId) -> Result<Option<Instance>>;
}
