//! A database, handles of it, and who sends through them.

use serde_json::Map;
use warren_domain::message::{Content, Text};
use warren_domain::time::{Clock as _, SystemClock};
use warren_domain::{Delivery, InstanceId, MessageId, Network, TenantId};
use warren_ports::contract;
use warren_ports::ledger::{Accepted, IdempotencyKey, Instances, Messages, NewMessage, Tenants};
use warren_postgres::{Options, Postgres};
use warren_testkit::services::{Database, Postgres as Server};

/// A handle of the store at a URL: what one process has.
pub(crate) async fn handle(url: &str) -> Postgres {
    Postgres::open(Options { migrate: true, ..Options::new(url, Network::Whatsapp) }).await.unwrap()
}

/// A fresh database and as many handles of it as gateways.
pub(crate) async fn gateways<const N: usize>() -> (Database, [Postgres; N]) {
    let database = Server::database().await.unwrap();
    let first = handle(database.url()).await;
    let mut handles = vec![first];
    while handles.len() < N {
        handles.push(handle(database.url()).await);
    }
    (database, handles.try_into().unwrap())
}

/// A tenant that is stored.
pub(crate) async fn tenant(store: &Postgres) -> TenantId {
    let tenant = contract::ledger::tenant();
    store.create_tenant(&tenant).await.unwrap();
    tenant.id
}

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
}

impl Sender {
    /// A stored instance of a tenant of its own.
    pub(crate) async fn new(store: &Postgres) -> Self {
        Self::of(store, tenant(store).await).await
    }

    /// Another stored instance of a tenant.
    pub(crate) async fn of(store: &Postgres, tenant: TenantId) -> Self {
        let made = contract::ledger::instance(tenant);
        store.create_instance(&made, 10_000).await.unwrap();
        Self { tenant, instance: made.id }
    }

    /// A message to be accepted.
    pub(crate) fn message(&self, whatsapp_id: &str) -> NewMessage {
        NewMessage {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            whatsapp_id: whatsapp_id.to_owned(),
            secret: [3; 32],
            chat: "15550111@s.whatsapp.net".to_owned(),
            content: Content::Text { text: Text { body: "hello".to_owned(), ..Text::default() } },
            media: None,
            quoted: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            created_at: SystemClock.now(),
            idempotency: None,
            part: None,
            queue_limit: 100_000,
        }
    }

    /// One with the caller's key.
    pub(crate) fn keyed(&self, key: &str) -> NewMessage {
        NewMessage { idempotency: Some(IdempotencyKey { key: key.to_owned(), fingerprint: [1; 32] }), ..self.message(key) }
    }

    /// The WhatsApp ids of what is open, in the order of the queue.
    pub(crate) async fn open(&self, store: &Postgres) -> Vec<String> {
        let open = store.open_messages(&[self.instance], 1_000_000).await.unwrap();
        assert!(open.is_sorted_by(|left, right| left.order < right.order));
        open.into_iter().map(|open| open.message.whatsapp_id).collect()
    }
}

/// Accepts one message; its verdict.
pub(crate) async fn accept(store: &Postgres, message: NewMessage) -> Accepted {
    store.accept(vec![message]).await.unwrap().pop().unwrap()
}

/// Whether it is new.
pub(crate) fn is_new(verdict: &Accepted) -> bool {
    matches!(verdict, Accepted::New(_))
}
