//! Webhooks: what they are, how far they are delivered, who delivers them. All of it is persisted.
//!
//! - `edge`: made, changed and listed by tenants.
//! - `replays`: what is delivered again.
//! - `claims`: which dispatcher works on which, by the database's clock.
//! - `record`: what dispatchers did: a few statements for many webhooks.
//! - `letters`: attempts and dead letters, and how they go.

mod claims;
mod edge;
mod letters;
mod record;
mod replays;
mod rows;

pub(crate) use edge::{delete_of_seed, delete_of_tenant};

use crate::Postgres;
use crate::failure::Stop;
use async_trait::async_trait;
use warren_domain::webhook::{Attempt, DeadLetter, Replay, Secret};
use warren_domain::{DispatcherId, Error, EventId, InstanceId, ReplayId, Result, TenantId, Timestamp, Webhook, WebhookId};
use warren_ports::ledger::{
    Assignment, AttemptFilter, Claim, Claimed, Claiming, Deliveries, Progress, WebhookPatch, Webhooks,
};

#[async_trait]
impl Webhooks for Postgres {
    async fn create_webhook(&self, webhook: &Webhook, limit: u32) -> Result<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            edge::create(&mut tx, webhook, limit).await?;
            tx.commit().await
        })
        .await
    }

    async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
        self.reading(|| async { Ok(edge::find(self.pool(), tenant, id).await?) }).await
    }

    async fn webhooks(&self, tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>> {
        self.reading(|| async { Ok(edge::list(self.pool(), tenant, after, limit).await?) }).await
    }

    async fn update_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        patch: WebhookPatch,
        at: Timestamp,
    ) -> Result<Option<Webhook>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let updated = edge::update(&mut tx, tenant, id, &patch, at).await?;
            tx.commit().await?;
            Ok(updated)
        })
        .await
    }

    async fn rotate_secret(
        &self,
        tenant: TenantId,
        id: WebhookId,
        secret: &Secret,
        former_until: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Webhook>> {
        self.writing(|| async {
            edge::rotate(self.pool(), tenant, id, secret, former_until, at).await?;
            Ok(edge::find(self.pool(), tenant, id).await?)
        })
        .await
    }

    async fn delete_webhook(&self, tenant: TenantId, id: WebhookId) -> Result<bool> {
        self.writing(|| async { Ok(edge::delete(self.pool(), tenant, id, self.now()).await?) }).await
    }

    async fn set_seed_webhook(&self, webhook: &Webhook, keep_secret: bool) -> Result<Webhook> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let set = edge::set_of_seed(&mut tx, webhook, keep_secret).await?;
            tx.commit().await?;
            Ok(set)
        })
        .await
    }

    async fn delete_seed_webhook(&self, tenant: TenantId, instance: InstanceId) -> Result<bool> {
        self.writing(|| async { Ok(edge::delete_of_seed(self.pool(), tenant, instance, self.now()).await?) }).await
    }

    async fn attempts(&self, tenant: TenantId, id: WebhookId, filter: AttemptFilter, limit: u32) -> Result<Vec<Attempt>> {
        self.reading(|| async { Ok(letters::attempts(self.pool(), tenant, id, filter, limit).await?) }).await
    }

    async fn dead_letters(&self, tenant: TenantId, id: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>> {
        self.reading(|| async {
            if !edge::exists(self.pool(), tenant, id).await? {
                return Ok(Vec::new());
            }
            Ok(letters::dead(self.pool(), Some(tenant), id, after, limit).await?)
        })
        .await
    }

    async fn dead_letter_positions(&self, tenant: TenantId, id: WebhookId, events: &[EventId]) -> Result<Vec<Option<i64>>> {
        self.reading(|| async {
            if !edge::exists(self.pool(), tenant, id).await? {
                return Ok(vec![None; events.len()]);
            }
            Ok(letters::positions(self.pool(), tenant, id, events).await?)
        })
        .await
    }

    async fn start_replay(&self, tenant: TenantId, id: WebhookId, replay: &Replay, limit: u32) -> Result<()> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            if !edge::lock(&mut tx, tenant, id).await? {
                return Err(Stop::Verdict(Error::not_found()));
            }
            replays::start(&mut tx, tenant, id, replay, limit).await?;
            tx.commit().await
        })
        .await
    }

    async fn replays(&self, tenant: TenantId, id: WebhookId) -> Result<Vec<Replay>> {
        self.reading(|| async {
            if !edge::exists(self.pool(), tenant, id).await? {
                return Ok(Vec::new());
            }
            Ok(replays::of(self.pool(), tenant, id).await?)
        })
        .await
    }

    async fn cancel_replay(&self, tenant: TenantId, id: WebhookId, replay: ReplayId) -> Result<bool> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let cancelled = edge::lock(&mut tx, tenant, id).await? && replays::cancel(&mut tx, id, replay).await?;
            tx.commit().await?;
            Ok(cancelled)
        })
        .await
    }
}

#[async_trait]
impl Deliveries for Postgres {
    async fn claim(&self, claiming: Claiming) -> Result<Claimed> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let claimed = claims::claim(&mut tx, claiming).await?;
            tx.commit().await?;
            Ok(claimed)
        })
        .await
    }

    async fn assignment(&self, claim: Claim) -> Result<Option<Assignment>> {
        self.reading(|| async {
            let mut conn = self.pool().acquire().await?;
            Ok(claims::assignments(&mut conn, &[claim]).await?.pop())
        })
        .await
    }

    async fn give_back(&self, claims: &[Claim]) -> Result<()> {
        self.writing(|| async { Ok(claims::give_back(self.pool(), claims).await?) }).await
    }

    async fn leave(&self, dispatcher: DispatcherId) -> Result<()> {
        self.writing(|| async { Ok(claims::leave(self.pool(), dispatcher).await?) }).await
    }

    async fn record(&self, progress: Vec<Progress>) -> Result<Vec<bool>> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let verdicts = record::all(&mut tx, &progress).await?;
            tx.commit().await?;
            Ok(verdicts)
        })
        .await
    }

    async fn letters(&self, webhook: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>> {
        self.reading(|| async { Ok(letters::dead(self.pool(), None, webhook, after, limit).await?) }).await
    }

    async fn tidy_webhooks(&self, dead_before: Timestamp, limit: u32) -> Result<bool> {
        self.writing(|| async {
            let mut tx = self.begin().await?;
            let is_more = letters::tidy(&mut tx, dead_before, limit).await?;
            tx.commit().await?;
            Ok(is_more)
        })
        .await
    }
}
