//! One ledger of three handles: each method goes to the service that needs it.

use crate::world::World;
use async_trait::async_trait;
use warren_domain::group::MemberReceipt;
use warren_domain::key::ApiKey;
use warren_domain::media::{Media, MediaOutcome};
use warren_domain::message::Outbound;
use warren_domain::number::KnownNumber;
use warren_domain::webhook::{Attempt, DeadLetter, Replay, Secret};
use warren_domain::{
    DispatcherId, Epoch, EventId, Instance, InstanceId, KeyId, MediaId, Message, MessageId, ReplayId, Result, Shard, Tenant,
    TenantId, Timestamp, Webhook, WebhookId,
};
use warren_ports::ledger::{
    Accepted, Acquaintance, Assignment, AttemptFilter, CheckQuota, Claim, Claimed, Claiming, Committer, Contact, Contacts,
    Deliveries, EventFilter, Events, Expired, Idempotency, InstanceFilter, InstancePatch, Instances, LogBounds, Maintenance,
    MediaFiles, MessageFilter, Messages, NewMessage, Numbers, Outcome, Ownership, Page, Progress, Record, RecordKind,
    Released, Reservation, Reserved, Retention, Sessions, StoredResponse, Taken, TenantPatch, Tenants, WebhookPatch,
    Webhooks, Write,
};
use warren_postgres::{Postgres, Service};

/// The three.
pub(crate) struct Services {
    pub(crate) gateway: Postgres,
    pub(crate) worker: Postgres,
    pub(crate) dispatcher: Postgres,
}

impl Services {
    pub(crate) async fn open(world: &World) -> Self {
        Self {
            gateway: world.open(Service::Gateway).await,
            worker: world.open(Service::Worker).await,
            dispatcher: world.open(Service::Dispatcher).await,
        }
    }
}

/// A trait whose methods are each somebody's.
macro_rules! divided {
    ($trait:ident { $($who:ident: $method:ident($($name:ident: $kind:ty),*) -> $answer:ty;)+ }) => {
        #[async_trait]
        impl $trait for Services {
            $(async fn $method(&self, $($name: $kind),*) -> Result<$answer> {
                $trait::$method(&self.$who, $($name),*).await
            })+
        }
    };
}

divided!(Tenants {
    gateway: create_tenant(tenant: &Tenant) -> ();
    gateway: tenant(id: TenantId) -> Option<Tenant>;
    gateway: tenants(after: Option<TenantId>, limit: u32) -> Vec<Tenant>;
    gateway: update_tenant(id: TenantId, patch: TenantPatch) -> Option<Tenant>;
    gateway: delete_tenant(id: TenantId) -> bool;
    gateway: create_key(key: &ApiKey) -> ();
    gateway: key_by_prefix(prefix: &str) -> Option<ApiKey>;
    gateway: keys(tenant: TenantId) -> Vec<ApiKey>;
    gateway: revoke_key(tenant: TenantId, key: KeyId, at: Timestamp) -> bool;
    gateway: touch_key(key: KeyId, at: Timestamp) -> ();
});

divided!(Instances {
    gateway: create_instance(instance: &Instance, limit: u32) -> ();
    gateway: instance(tenant: TenantId, id: InstanceId) -> Option<Instance>;
    gateway: instances(tenant: TenantId, filter: &InstanceFilter, after: Option<InstanceId>, limit: u32) -> Vec<Instance>;
    gateway: instance_by_phone(tenant: TenantId, phone: &str) -> Option<Instance>;
    gateway: update_instance(tenant: TenantId, id: InstanceId, patch: InstancePatch) -> Option<Instance>;
    gateway: delete_instance(tenant: TenantId, id: InstanceId) -> bool;
    worker: instances_of(shards: &[Shard]) -> Vec<Instance>;
    worker: owned_instance(id: InstanceId) -> Option<Instance>;
});

divided!(Messages {
    gateway: accept(messages: Vec<NewMessage>) -> Vec<Accepted>;
    gateway: message(tenant: TenantId, id: MessageId) -> Option<Message>;
    gateway: messages_by_whatsapp_id(tenant: TenantId, instance: InstanceId, whatsapp_id: &str) -> Vec<Message>;
    gateway: messages(tenant: TenantId, instance: InstanceId, filter: &MessageFilter, before: Option<MessageId>, limit: u32)
        -> Vec<Message>;
    gateway: member_receipts(tenant: TenantId, id: MessageId) -> Vec<MemberReceipt>;
    worker: open_messages(instances: &[InstanceId], limit: u32) -> Vec<Outbound>;
    worker: open_messages_to_known(instance: InstanceId, limit: u32) -> Vec<Outbound>;
    worker: acquaintance(instance: InstanceId, chats: &[String], since: Timestamp) -> Acquaintance;
    worker: release_due(now: Timestamp, limit: u32) -> Released;
    worker: instances_with_open_messages(shards: &[Shard]) -> Vec<InstanceId>;
    worker: outbound_by_whatsapp_id(instance: InstanceId, whatsapp_id: &str) -> Option<Outbound>;
    worker: has_inbound(instance: InstanceId, chat: &str, author: &str, whatsapp_id: &str) -> bool;
});

divided!(MediaFiles {
    gateway: create_media(media: Media) -> ();
    gateway: media(tenant: TenantId, id: MediaId) -> Option<Media>;
    gateway: settle_upload(tenant: TenantId, id: MediaId, outcome: MediaOutcome) -> bool;
    gateway: forget_upload(tenant: TenantId, id: MediaId) -> ();
    gateway: linked_media(id: MediaId) -> Option<Media>;
    gateway: delete_media(tenant: TenantId, id: MediaId) -> bool;
    gateway: media_bytes(tenant: TenantId) -> u64;
    worker: expired_media(now: Timestamp, limit: u32) -> Vec<(TenantId, MediaId)>;
    gateway: media_deleted(files: &[(TenantId, MediaId)]) -> ();
});

divided!(Numbers {
    gateway: known_numbers(tenant: TenantId, phones: &[String]) -> Vec<KnownNumber>;
    gateway: take_checks(tenant: TenantId, instance: InstanceId, count: u32, quota: CheckQuota) -> bool;
});

divided!(Idempotency {
    gateway: reserve(reservation: &Reservation) -> Reserved;
    gateway: complete(tenant: TenantId, key: &str, response: &StoredResponse) -> ();
    gateway: release(tenant: TenantId, key: &str) -> ();
});

#[async_trait]
impl Events for Services {
    /// As a gateway reads them; a dispatcher, who comes later, reads the same.
    async fn read_events(&self, tenant: TenantId, filter: &EventFilter, after: i64, limit: u32) -> Result<Page> {
        let page = self.gateway.read_events(tenant, filter, after, limit).await?;
        let later = self.dispatcher.read_events(tenant, filter, after, limit).await?;
        assert!(later.events.starts_with(&page.events), "a dispatcher reads {later:?}, a gateway {page:?}");
        Ok(page)
    }

    async fn log_bounds(&self) -> Result<LogBounds> {
        self.gateway.log_bounds().await
    }

    async fn event_position(&self, tenant: TenantId, id: EventId) -> Result<Option<i64>> {
        self.gateway.event_position(tenant, id).await
    }
}

divided!(Contacts {
    gateway: contacts(tenant: TenantId, instance: InstanceId, after: Option<&str>, limit: u32) -> Vec<Contact>;
});

divided!(Webhooks {
    gateway: create_webhook(webhook: &Webhook, limit: u32) -> ();
    gateway: webhook(tenant: TenantId, id: WebhookId) -> Option<Webhook>;
    gateway: webhooks(tenant: TenantId, after: Option<WebhookId>, limit: u32) -> Vec<Webhook>;
    gateway: update_webhook(tenant: TenantId, id: WebhookId, patch: WebhookPatch, at: Timestamp) -> Option<Webhook>;
    gateway: rotate_secret(tenant: TenantId, id: WebhookId, secret: &Secret, former_until: Timestamp, at: Timestamp)
        -> Option<Webhook>;
    gateway: delete_webhook(tenant: TenantId, id: WebhookId) -> bool;
    gateway: set_seed_webhook(webhook: &Webhook, keep_secret: bool) -> Webhook;
    gateway: delete_seed_webhook(tenant: TenantId, instance: InstanceId) -> bool;
    gateway: attempts(tenant: TenantId, id: WebhookId, filter: AttemptFilter, limit: u32) -> Vec<Attempt>;
    gateway: dead_letters(tenant: TenantId, id: WebhookId, after: i64, limit: u32) -> Vec<DeadLetter>;
    gateway: dead_letter_positions(tenant: TenantId, id: WebhookId, events: &[EventId]) -> Vec<Option<i64>>;
    gateway: start_replay(tenant: TenantId, id: WebhookId, replay: &Replay, limit: u32) -> ();
    gateway: replays(tenant: TenantId, id: WebhookId) -> Vec<Replay>;
    gateway: cancel_replay(tenant: TenantId, id: WebhookId, replay: ReplayId) -> bool;
});

divided!(Deliveries {
    dispatcher: claim(claiming: Claiming) -> Claimed;
    dispatcher: assignment(claim: Claim) -> Option<Assignment>;
    dispatcher: give_back(claims: &[Claim]) -> ();
    dispatcher: leave(dispatcher: DispatcherId) -> ();
    dispatcher: record(progress: Vec<Progress>) -> Vec<bool>;
    dispatcher: letters(webhook: WebhookId, after: i64, limit: u32) -> Vec<DeadLetter>;
    dispatcher: tidy_webhooks(dead_before: Timestamp, limit: u32) -> bool;
});

divided!(Sessions {
    worker: records(instance: InstanceId, kind: RecordKind, keys: &[Vec<u8>]) -> Vec<Record>;
    worker: records_with_prefix(instance: InstanceId, kind: RecordKind, prefix: &[u8]) -> Vec<Record>;
    worker: last_record(instance: InstanceId, kind: RecordKind, by_mark: bool) -> Option<Record>;
    worker: records_of(instances: &[InstanceId], kind: RecordKind) -> Vec<(InstanceId, Record)>;
});

divided!(Ownership {
    worker: take(shards: &[(Shard, Epoch)]) -> Vec<Taken>;
    worker: highest_epoch() -> Epoch;
});

divided!(Maintenance {
    worker: expire(now: Timestamp, retention: &Retention, limit: u32) -> Expired;
    worker: expire_queued(now: Timestamp, limit: u32) -> u64;
});

#[async_trait]
impl Committer for Services {
    async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome> {
        self.worker.commit(writes).await
    }

    fn waiting_ms(&self) -> u64 {
        self.worker.waiting_ms()
    }
}
