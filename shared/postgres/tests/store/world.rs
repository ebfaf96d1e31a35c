//! A database, handles of it, and an instance with its owner.

use serde_json::{Map, Value};
use sqlx::{Connection, PgConnection};
use std::time::{Duration, Instant};
use warren_domain::event::NewEvent;
use warren_domain::message::{Content, Text, Times};
use warren_domain::{
    Delivery, Direction, Epoch, Event, EventType, Fence, InstanceId, Message, MessageId, MessageStatus, Network, Person,
    Shard, ShardCount, TenantId, Timestamp,
};
use warren_ports::contract;
use warren_ports::ledger::{
    Accepted, Committer, EventFilter, Events, Inbound, Instances, Messages, NewMessage, Op, Outcome, Ownership, Record,
    RecordKind, Sessions, Tenants, Write,
};
use warren_postgres::{Options, Postgres};
use warren_testkit::services::{Database, Postgres as Server};

/// How long a condition is waited for.
const LIMIT: Duration = Duration::from_secs(30);

/// Options for a database that is made if it is empty; with several lanes, so that a call through more than one is tested too.
pub(crate) fn options(url: &str) -> Options {
    Options { migrate: true, lanes: 4, ..Options::new(url, Network::Whatsapp) }
}

/// A handle of the store at a URL: what one process has.
pub(crate) async fn open(url: &str) -> Postgres {
    Postgres::open(options(url)).await.unwrap()
}

/// A fresh database and a handle of it.
pub(crate) async fn fresh() -> (Database, Postgres) {
    let database = Server::database().await.unwrap();
    let store = open(database.url()).await;
    (database, store)
}

/// A connection of our own.
pub(crate) async fn sql(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs statements one after the other, without parameters.
pub(crate) async fn run(conn: &mut PgConnection, statements: &'static str) {
    sqlx::raw_sql(statements).execute(conn).await.unwrap();
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// An instance, and who owns it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World {
    pub(crate) tenant: TenantId,
    pub(crate) instance: InstanceId,
    pub(crate) fence: Fence,
}

impl World {
    /// Makes a tenant with an instance, owned under epoch 1.
    pub(crate) async fn new(store: &Postgres) -> Self {
        let tenant = contract::ledger::tenant();
        store.create_tenant(&tenant).await.unwrap();
        Self::of(store, tenant.id).await
    }

    /// Another instance of a tenant.
    pub(crate) async fn of(store: &Postgres, tenant: TenantId) -> Self {
        let instance = contract::ledger::instance(tenant);
        store.create_instance(&instance, 10_000).await.unwrap();
        let fence = Fence { shard: Shard::of(instance.id, ShardCount::default()), epoch: Epoch(1) };
        store.take(&[(fence.shard, fence.epoch)]).await.unwrap();
        Self { tenant, instance: instance.id, fence }
    }

    /// The same instance under another epoch.
    pub(crate) fn under(self, epoch: i64) -> Self {
        Self { fence: Fence { epoch: Epoch(epoch), ..self.fence }, ..self }
    }

    /// A write of its owner.
    pub(crate) fn write(&self, op: Op) -> Write {
        Write { fence: self.fence, tenant: self.tenant, instance: self.instance, op }
    }

    /// Commits one write.
    pub(crate) async fn commit(&self, store: &Postgres, op: Op) -> Outcome {
        store.commit(vec![self.write(op)]).await.pop().unwrap()
    }

    /// Commits one write that must be done.
    pub(crate) async fn done(&self, store: &Postgres, op: Op) {
        let outcome = self.commit(store, op).await;
        assert!(matches!(outcome, Outcome::Done), "{outcome:?}");
    }

    /// Accepts one message.
    pub(crate) async fn queued(&self, store: &Postgres, whatsapp_id: &str, chat: &str) -> MessageId {
        let message = NewMessage {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            whatsapp_id: whatsapp_id.to_owned(),
            secret: [3; 32],
            chat: chat.to_owned(),
            content: text("hello"),
            media: None,
            quoted: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            created_at: Timestamp::default(),
            idempotency: None,
            part: None,
            queue_limit: 10_000,
        };
        let id = message.id;
        assert!(matches!(store.accept(vec![message]).await.unwrap()[..], [Accepted::New(_)]));
        id
    }

    /// A message that came in.
    pub(crate) fn incoming(&self, whatsapp_id: &str, push_name: &str) -> Inbound {
        let jid = "15550111@s.whatsapp.net".to_owned();
        let message = Message {
            id: MessageId::generate(),
            tenant: self.tenant,
            instance: self.instance,
            direction: Direction::Inbound,
            whatsapp_id: whatsapp_id.to_owned(),
            chat: jid.clone(),
            author: Some(Person { jid, push_name: Some(push_name.to_owned()), ..Person::default() }),
            content: text("good \0 morning"),
            quoted: None,
            status: MessageStatus::Delivered,
            reason: None,
            delivery: Delivery::AtLeastOnce,
            expires_at: None,
            send_at: None,
            metadata: Map::new(),
            backfilled: false,
            times: Times::default(),
        };
        let event = NewEvent::message_received(&message, Timestamp::default());
        Inbound { message, event, media: None }
    }

    /// What is stored under an identity's name.
    pub(crate) async fn identity(&self, store: &Postgres, key: &[u8]) -> Option<Vec<u8>> {
        let found = store.records(self.instance, RecordKind::Identity, &[key.to_vec()]).await.unwrap();
        found.into_iter().next().map(|record| record.value)
    }

    /// All events of the instance, by position.
    pub(crate) async fn events(&self, store: &Postgres) -> Vec<Event> {
        let filter = EventFilter { instances: vec![self.instance], types: Vec::new() };
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = store.read_events(self.tenant, &filter, after, 500).await.unwrap();
            events.extend(page.events);
            if !page.more {
                return events;
            }
            after = page.next;
        }
    }
}

fn text(body: &str) -> Content {
    Content::Text { text: Text { body: body.to_owned(), ..Text::default() } }
}

/// Stores one identity.
pub(crate) fn put(key: &[u8], value: &[u8]) -> Op {
    Op::Put(vec![Record { kind: RecordKind::Identity, key: key.to_vec(), value: value.to_vec(), mark: 0 }])
}

/// An event that says a number.
pub(crate) fn note(number: usize) -> Op {
    let data = Map::from_iter([("number".to_owned(), Value::from(number))]);
    Op::Append(NewEvent::new(EventType::MessageUndecryptable, Timestamp::default(), data))
}

/// The numbers that events say.
pub(crate) fn numbers(events: &[Event]) -> Vec<usize> {
    events.iter().map(|event| usize::try_from(event.data["number"].as_u64().unwrap()).unwrap()).collect()
}

/// The events' numbers are gapless, and their positions rise with them.
pub(crate) fn assert_in_order(events: &[Event]) {
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..).take(events.len()).collect::<Vec<_>>());
    assert!(events.is_sorted_by(|left, right| left.position < right.position));
}
