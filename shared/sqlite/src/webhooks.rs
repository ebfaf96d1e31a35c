//! Webhooks: what they are, how far they are delivered, who delivers them. All of it is persisted.
//!
//! - `edge`: made, changed and listed by tenants.
//! - `replays`: what is delivered again.
//! - `claims`: which dispatcher works on which.
//! - `record`: what a dispatcher did.
//! - `letters`: attempts and dead letters, and how they go.

mod claims;
mod edge;
mod letters;
mod record;
mod replays;
mod rows;

pub(crate) use edge::{delete_of_seed, delete_of_tenant};

use crate::Sqlite;
use crate::failure::Stop;
use async_trait::async_trait;
use rows::Home;
use warren_domain::webhook::{Attempt, DeadLetter, Replay, Secret};
use warren_domain::{DispatcherId, Error, EventId, InstanceId, ReplayId, Result, TenantId, Timestamp, Webhook, WebhookId};
use warren_ports::ledger::{
    Assignment, AttemptFilter, Claim, Claimed, Claiming, Deliveries, Progress, WebhookPatch, Webhooks,
};

#[async_trait]
impl Webhooks for Sqlite {
    async fn create_webhook(&self, webhook: &Webhook, limit: u32) -> Result<()> {
        let webhook = webhook.clone();
        self.write(move |tx| edge::create(tx.conn, &webhook, limit)).await
    }

    async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<Option<Webhook>> {
        self.read(move |conn| Ok(edge::find(conn, tenant, id)?)).await
    }

    async fn webhooks(&self, tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Result<Vec<Webhook>> {
        self.read(move |conn| Ok(edge::list(conn, tenant, after, limit)?)).await
    }

    async fn update_webhook(
        &self,
        tenant: TenantId,
        id: WebhookId,
        patch: WebhookPatch,
        at: Timestamp,
    ) -> Result<Option<Webhook>> {
        self.write(move |tx| Ok(edge::update(tx.conn, tenant, id, &patch, at)?)).await
    }

    async fn rotate_secret(
        &self,
        tenant: TenantId,
        id: WebhookId,
        secret: &Secret,
        former_until: Timestamp,
        at: Timestamp,
    ) -> Result<Option<Webhook>> {
        let secret = secret.clone();
        self.write(move |tx| Ok(edge::rotate(tx.conn, tenant, id, &secret, former_until, at)?)).await
    }

    async fn delete_webhook(&self, tenant: TenantId, id: WebhookId) -> Result<bool> {
        self.write(move |tx| Ok(edge::delete(tx, tenant, id)?)).await
    }

    async fn set_seed_webhook(&self, webhook: &Webhook, keep_secret: bool) -> Result<Webhook> {
        let webhook = webhook.clone();
        self.write(move |tx| edge::set_of_seed(tx.conn, &webhook, keep_secret)).await
    }

    async fn delete_seed_webhook(&self, tenant: TenantId, instance: InstanceId) -> Result<bool> {
        self.write(move |tx| Ok(edge::delete_of_seed(tx, tenant, instance)?)).await
    }

    async fn attempts(&self, tenant: TenantId, id: WebhookId, filter: AttemptFilter, limit: u32) -> Result<Vec<Attempt>> {
        self.read(move |conn| Ok(letters::attempts(conn, Home { tenant, webhook: id }, filter, limit)?)).await
    }

    async fn dead_letters(&self, tenant: TenantId, id: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>> {
        self.read(move |conn| match edge::home(conn, tenant, id)? {
            Some(home) => Ok(letters::dead(conn, home.webhook, after, limit)?),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn dead_letter_positions(&self, tenant: TenantId, id: WebhookId, events: &[EventId]) -> Result<Vec<Option<i64>>> {
        let events = events.to_vec();
        self.read(move |conn| match edge::home(conn, tenant, id)? {
            Some(home) => Ok(letters::positions(conn, home.webhook, &events)?),
            None => Ok(vec![None; events.len()]),
        })
        .await
    }

    async fn start_replay(&self, tenant: TenantId, id: WebhookId, replay: &Replay, limit: u32) -> Result<()> {
        let replay = replay.clone();
        self.write(move |tx| {
            let home = edge::home(tx.conn, tenant, id)?.ok_or_else(|| Stop::Verdict(Error::not_found()))?;
            replays::start(tx.conn, home, &replay, limit)
        })
        .await
    }

    async fn replays(&self, tenant: TenantId, id: WebhookId) -> Result<Vec<Replay>> {
        self.read(move |conn| match edge::home(conn, tenant, id)? {
            Some(home) => Ok(replays::of(conn, home.webhook)?),
            None => Ok(Vec::new()),
        })
        .await
    }

    async fn cancel_replay(&self, tenant: TenantId, id: WebhookId, replay: ReplayId) -> Result<bool> {
        self.write(move |tx| match edge::home(tx.conn, tenant, id)? {
            Some(home) => Ok(replays::cancel(tx.conn, home.webhook, replay)?),
            None => Ok(false),
        })
        .await
    }
}

#[async_trait]
impl Deliveries for Sqlite {
    async fn claim(&self, claiming: Claiming) -> Result<Claimed> {
        self.write(move |tx| Ok(claims::claim(tx, claiming)?)).await
    }

    async fn assignment(&self, claim: Claim) -> Result<Option<Assignment>> {
        self.read(move |conn| Ok(claims::assignment(conn, claim)?)).await
    }

    async fn give_back(&self, claims: &[Claim]) -> Result<()> {
        let claims = claims.to_vec();
        self.write(move |tx| Ok(claims::give_back(tx.conn, &claims)?)).await
    }

    async fn leave(&self, dispatcher: DispatcherId) -> Result<()> {
        self.write(move |tx| Ok(claims::leave(tx.conn, dispatcher)?)).await
    }

    async fn record(&self, progress: Vec<Progress>) -> Result<Vec<bool>> {
        let (items, bytes) = record::weight(&progress);
        self.writer().sized_edge(items, bytes, move |tx| Ok(record::all(tx.conn, &progress)?)).await
    }

    async fn letters(&self, webhook: WebhookId, after: i64, limit: u32) -> Result<Vec<DeadLetter>> {
        self.read(move |conn| Ok(letters::dead(conn, webhook, after, limit)?)).await
    }

    async fn tidy_webhooks(&self, dead_before: Timestamp, limit: u32) -> Result<bool> {
        self.write(move |tx| Ok(letters::tidy(tx.conn, dead_before, limit)?)).await
    }
}
