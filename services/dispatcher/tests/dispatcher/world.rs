//! A store with a tenant, its instances and their events, and dispatchers over it.

use crate::receiver::{Receiver, until};
use async_trait::async_trait;
use serde_json::Map;
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use warren_dispatcher::{Options, Ports};
use warren_domain::event::NewEvent;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::webhook::{Attempt, DeadLetter, Format, Secret, Secrets, Standing, Webhook};
use warren_domain::{
    Epoch, Event, EventType, Fence, InstanceId, Network, Shard, ShardCount, TenantId, Timestamp, WebhookId,
};
use warren_egress::{Guard, Policy, Resolver};
use warren_ports::bus::{Bus as _, Ring, Topic};
use warren_ports::contract;
use warren_ports::ledger::{
    AttemptFilter, Committer as _, EventFilter, Events as _, Instances as _, Op, Outcome, Ownership as _, Tenants as _,
    Webhooks as _, Write,
};
use warren_runtime::{Health as Readiness, Lifecycle, Metrics};
use warren_sqlite::Sqlite;

/// A clock that can be turned, and stopped.
#[derive(Debug, Default)]
pub(crate) struct TurnedClock {
    ahead_ms: AtomicI64,
    stopped_at: OnceLock<Timestamp>,
    /// How often it was looked at.
    looks: AtomicU64,
}

impl TurnedClock {
    /// Has time pass only when it is turned, from now on.
    pub(crate) fn stop(&self) {
        self.stopped_at.set(SystemClock.now()).unwrap();
    }

    /// Waits until a dispatcher has looked at it some times: whatever is due now has begun by then.
    pub(crate) async fn looked_at(&self) {
        let enough = self.looks.load(Ordering::Relaxed) + 8;
        until("the clock is looked at", async || self.looks.load(Ordering::Relaxed) >= enough).await;
    }

    pub(crate) fn turn(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        self.looks.fetch_add(1, Ordering::Relaxed);
        let unturned = self.stopped_at.get().copied().unwrap_or_else(|| SystemClock.now());
        unturned.after(Duration::from_millis(self.ahead_ms.load(Ordering::Relaxed).unsigned_abs()))
    }
}

/// Quick, so that tests are.
pub(crate) fn quick() -> Options {
    Options { sweep_ms: 20, claim_ttl_ms: 600, record_ms: 10, probe_ms: 3_000, timeout_ms: 5_000, ..Options::default() }
}

/// The store, and everything that is in it.
pub(crate) struct World {
    pub(crate) store: Sqlite,
    pub(crate) bus: warren_memory::Bus,
    pub(crate) clock: Arc<TurnedClock>,
    pub(crate) tenant: TenantId,
    pub(crate) instances: Vec<InstanceId>,
    log: u64,
    _folder: tempfile::TempDir,
}

impl World {
    /// A tenant with so many instances.
    pub(crate) async fn new(instances: usize) -> Self {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = Sqlite::open(warren_sqlite::Options::new(folder.path(), Network::Whatsapp)).await.unwrap();
        let tenant = contract::ledger::tenant();
        store.create_tenant(&tenant).await.unwrap();
        let mut world = Self {
            log: store.log_bounds().await.unwrap().log,
            store,
            bus: warren_memory::Bus::new(),
            clock: Arc::default(),
            tenant: tenant.id,
            instances: Vec::new(),
            _folder: folder,
        };
        for _ in 0..instances {
            world.add_instance().await;
        }
        world
    }

    async fn add_instance(&mut self) {
        let instance = contract::ledger::instance(self.tenant);
        self.store.create_instance(&instance, u32::MAX).await.unwrap();
        let fence = fence(instance.id);
        self.store.take(&[(fence.shard, fence.epoch)]).await.unwrap();
        self.instances.push(instance.id);
    }

    /// Writes one event with a number, and rings.
    pub(crate) async fn write(&self, instance: InstanceId, number: i64) {
        self.write_all(&[(instance, EventType::MessageUndecryptable, number)]).await;
    }

    /// Writes events, in their order, in one commit; and rings.
    pub(crate) async fn write_all(&self, events: &[(InstanceId, EventType, i64)]) {
        let write = |(instance, kind, number): &(InstanceId, EventType, i64)| {
            let data = Map::from_iter([("number".to_owned(), (*number).into())]);
            let event = NewEvent::new(*kind, self.clock.now(), data);
            Write { fence: fence(*instance), tenant: self.tenant, instance: *instance, op: Op::Append(event) }
        };
        let outcomes = self.store.commit(events.iter().map(write).collect()).await;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Done)), "{outcomes:?}");
        self.bus.ring(Topic::Log(self.tenant), Ring::Log);
    }

    /// Writes `each` events of every instance, mixed; their numbers go on from `from`.
    pub(crate) async fn write_rounds(&self, from: i64, each: i64) {
        for number in from..from + each {
            let round: Vec<_> =
                self.instances.iter().map(|instance| (*instance, EventType::MessageUndecryptable, number)).collect();
            self.write_all(&round).await;
        }
    }

    /// All events of the log.
    pub(crate) async fn events(&self) -> Vec<Event> {
        let (mut events, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.read_events(self.tenant, &EventFilter::default(), after, 1_000).await.unwrap();
            events.extend(page.events);
            if !page.more {
                return events;
            }
            after = page.next;
        }
    }

    /// A webhook that begins at the end of the log.
    pub(crate) async fn webhook(&self, receiver: &Receiver) -> Webhook {
        self.webhook_with(receiver, |_| {}).await
    }

    pub(crate) async fn webhook_with(&self, receiver: &Receiver, change: impl FnOnce(&mut Webhook)) -> Webhook {
        let mut webhook = Webhook {
            id: WebhookId::generate(),
            tenant: self.tenant,
            url: receiver.url(),
            description: None,
            events: Vec::new(),
            instances: Vec::new(),
            headers: Vec::new(),
            secrets: Secrets::new(Secret::generate()),
            format: Format::Standard,
            disabled: None,
            created_at: self.clock.now(),
            updated_at: self.clock.now(),
            position: self.store.log_bounds().await.unwrap().head,
            standing: Standing::default(),
        };
        change(&mut webhook);
        self.store.create_webhook(&webhook, 1_000).await.unwrap();
        webhook
    }

    pub(crate) async fn stored(&self, webhook: WebhookId) -> Webhook {
        self.store.webhook(self.tenant, webhook).await.unwrap().unwrap()
    }

    pub(crate) async fn attempts(&self, webhook: WebhookId) -> Vec<Attempt> {
        self.store.attempts(self.tenant, webhook, AttemptFilter::default(), 1_000).await.unwrap()
    }

    pub(crate) async fn dead_letters(&self, webhook: WebhookId) -> Vec<DeadLetter> {
        self.store.dead_letters(self.tenant, webhook, 0, 1_000).await.unwrap()
    }

    /// Which log it is, for the texts of its events.
    pub(crate) fn log(&self) -> u64 {
        self.log
    }

    /// Waits until a webhook's place is the end of the log.
    pub(crate) async fn caught_up(&self, webhook: WebhookId) {
        let head = self.store.log_bounds().await.unwrap().head;
        until("the webhook is at the end of the log", async || self.stored(webhook).await.position >= head).await;
    }

    /// Every instance's numbers arrived in order, without a gap, from 0.
    pub(crate) fn all_in_order(&self, receiver: &Receiver, each: i64) {
        for instance in &self.instances {
            assert_eq!(receiver.numbers(&instance.to_string()), (0..each).collect::<Vec<_>>(), "{instance}");
        }
    }

    /// A dispatcher that may post to a receiver.
    pub(crate) fn dispatcher(&self, options: Options, receiver: &Receiver) -> Dispatcher {
        self.dispatcher_with(options, &[receiver])
    }

    pub(crate) fn dispatcher_with(&self, options: Options, receivers: &[&Receiver]) -> Dispatcher {
        let policy = Policy {
            plain_http: true,
            ports: receivers.iter().map(|receiver| receiver.address().port()).collect(),
            networks: vec!["127.0.0.1/32".parse().unwrap()],
            ..Policy::default()
        };
        let guard = Guard::with_resolver(policy, Arc::new(Rebound)).unwrap();
        let (lifecycle, metrics, health) = (Lifecycle::new(), Metrics::new(), Readiness::new());
        let ports = Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            egress: guard,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let life = lifecycle.clone();
        let task = tokio::spawn(async move { warren_dispatcher::run(options, ports, life).await.unwrap() });
        Dispatcher { lifecycle, metrics, health, task }
    }
}

fn fence(instance: InstanceId) -> Fence {
    Fence { shard: Shard::of(instance, ShardCount::default()), epoch: Epoch(1) }
}

/// A name server that answers a private address for every name.
struct Rebound;

#[async_trait]
impl Resolver for Rebound {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec!["10.0.0.1".parse().unwrap()])
    }
}

/// A running dispatcher.
pub(crate) struct Dispatcher {
    lifecycle: Lifecycle,
    task: JoinHandle<()>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Readiness,
}

impl Dispatcher {
    /// Stops it as SIGTERM does.
    pub(crate) async fn stop(mut self) {
        self.lifecycle.begin_stop();
        (&mut self.task).await.unwrap();
        assert!(self.lifecycle.stop(Duration::from_secs(20), std::future::pending()).await, "it ended by itself");
    }

    /// Drops it where it stands: nothing is finished, recorded or given back.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        (&mut self.task).await.unwrap_err();
        self.lifecycle.stop(Duration::ZERO, std::future::ready(())).await;
    }

    /// The value of a metric, by its name with labels; 0 before it is registered.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let rendered = self.metrics.render();
        let line = rendered.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as i64)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.lifecycle.begin_stop();
    }
}
