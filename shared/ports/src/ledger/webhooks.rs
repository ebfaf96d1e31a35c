//! Webhooks, as the edge makes, changes and lists them. Who delivers to them is in [`super::Deliveries`].

use async_trait::async_trait;
use warren_domain::{
    EventId, EventType, InstanceId, ReplayId, Result, TenantId, Timestamp, WebhookId,
    webhook::{Attempt, DeadLetter, Disabled, Replay, Secret, Webhook},
};

/// What may be changed of a webhook. `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct WebhookPatch {
    /// A new address; what failed is tried again at once.
    pub url: Option<String>,
    /// A new note, or none.
    pub description: Option<Option<String>>,
    /// New types, as a whole.
    pub events: Option<Vec<EventType>>,
    /// New instances, as a whole.
    pub instances: Option<Vec<InstanceId>>,
    /// New headers, as a whole.
    pub headers: Option<Vec<(String, String)>>,
    /// A new secret that counts at once: the one before it ends.
    pub secret: Option<Secret>,
    /// Why nothing is posted from now on; or that it is enabled, which forgets since when it failed.
    pub disabled: Option<Option<Disabled>>,
    /// Go on after this position in the log, whatever was delivered; what waits is forgotten, replays and dead letters stay.
    pub position: Option<i64>,
}

/// Which attempts are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AttemptFilter {
    /// Only those that failed, or only those that did not.
    pub failed: Option<bool>,
    /// Only those with a lower number.
    pub before: Option<i64>,
}

/// Webhooks of tenants. To every other tenant they do not exist. Secrets and headers are stored as they are.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Stores a new webhook if its tenant has fewer than `limit`, settings of the seed aside. Creating the same id again changes nothing and is no error
    /// (so that a retry is safe).
    ///
    /// # Errors
    /// `NotFound` without such a tenant, or if another tenant has this id; `Exhausted` `webhook_limit` at the limit.
    async fn create_webhook(&self, webhook: &Webhook, limit: u32) -> Result<()>;
    /// The tenant's webhook with this id.
    async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>>;
    /// Up to `limit` of the tenant's webhooks with an id above `after`, by id.
    async fn webhooks(&self, tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>>;
    /// Changes a webhook as of `at`; `None` if the tenant has no such one. Its dispatcher sees the change at its next
    /// [`super::Deliveries::claim`].
    async fn update_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        patch: WebhookPatch,
        at: Timestamp,
    ) -> Result<Option<Webhook>>;
    /// Makes `secret` the one that counts; the one before it stays live until `former_until`, the one before that not. `None`
    /// if the tenant has no such webhook. Setting the same secret again changes nothing.
    async fn rotate_secret(
        &self,
        tenant: TenantId,
        id: WebhookId,
        secret: &Secret,
        former_until: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Webhook>>;
    /// Deletes a webhook: from now on it is not found, and what its dispatcher still records is refused. Its attempts and dead
    /// letters are found no more, and go in small batches by [`super::Deliveries::tidy_webhooks`]. `false` if the tenant has no
    /// such one. The webhooks of a deleted tenant go the same way.
    async fn delete_webhook(&self, tenant: TenantId, id: WebhookId) -> Result<bool>;

    /// Makes this the setting of the seed of the instance that its format names. One that the instance has keeps its id, its
    /// place and what waits, and gets this one's address, and its secret unless `keep_secret`; what failed is tried at once,
    /// and it is enabled, as in [`Webhooks::update_webhook`]. Answers the one that there is then. However many an instance is
    /// given at once, it has one. It goes with its instance.
    ///
    /// # Errors
    /// `NotFound` if the tenant has no such instance.
    async fn set_seed_webhook(&self, webhook: &Webhook, keep_secret: bool) -> Result<Webhook>;
    /// Deletes the setting of the seed of the tenant's instance, as [`Webhooks::delete_webhook`] does. `false` if it has none.
    async fn delete_seed_webhook(&self, tenant: TenantId, instance: InstanceId) -> Result<bool>;

    /// Up to `limit` of the last attempts of the tenant's webhook, newest first. Of each webhook the last 500 that succeeded
    /// and the last 500 that failed are kept. Empty for an unknown one.
    async fn attempts(&self, tenant: TenantId, id: WebhookId, filter: AttemptFilter, limit: u32) -> Result<Vec<Attempt>>;
    /// Up to `limit` dead letters of the tenant's webhook after a position in the log, by position. Empty for an unknown one.
    async fn dead_letters(&self, tenant: TenantId, id: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>>;
    /// The positions of those of these events that are dead letters of the tenant's webhook, in the order of the events; at most
    /// 1,000.
    async fn dead_letter_positions(&self, tenant: TenantId, id: WebhookId, events: &[EventId]) -> Result<Vec<Option<i64>>>;

    /// Has events delivered again, if the webhook has fewer than `limit` replays under way. Asking for the same id again
    /// changes nothing and is no error.
    ///
    /// # Errors
    /// `NotFound` if the tenant has no such webhook; `Exhausted` `replay_limit` at the limit.
    async fn start_replay(&self, tenant: TenantId, id: WebhookId, replay: &Replay, limit: u32) -> Result<()>;
    /// The replays of the tenant's webhook that are under way, by id. Empty for an unknown one.
    async fn replays(&self, tenant: TenantId, id: WebhookId) -> Result<Vec<Replay>>;
    /// Ends a replay. `false` if the tenant's webhook has no such one under way.
    async fn cancel_replay(&self, tenant: TenantId, id: WebhookId, replay: ReplayId) -> Result<bool>;
}
