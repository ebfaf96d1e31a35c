//! A process of a cluster: the ledger in Postgres, the bus over NATS, leases and rates in Redis, placement by the coordinators.

use super::{Commits, Facts, Files};
use crate::failure::Failure;
use crate::settings::Settings;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use warren_coordinator::Tls;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{Network, ShardCount};
use warren_egress::Guard;
use warren_nats::ConnectError;
use warren_ports::lease::Incarnation;
use warren_postgres::{OpenError, Postgres, Service};
use warren_raft::{ClientOptions, Credential, Group, RaftPlacement, tls::Trust};
use warren_redis::Redis;
use warren_runtime::config::Secret;
use warren_runtime::{Apart, Health, Metrics};
use warren_worker::{Endpoint, sealing::MasterKey};

/// What every process of a cluster has.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) shard_count: ShardCount,
}

impl Shared {
    pub(crate) fn new(settings: &Settings, metrics: Metrics) -> Self {
        Self {
            clock: Arc::new(SystemClock),
            metrics,
            health: Health::new(),
            shard_count: ShardCount(settings.store.shard_count),
        }
    }
}

impl Facts for Postgres {
    async fn fact(&self, name: &str) -> warren_domain::Result<Option<Vec<u8>>> {
        self.meta(name).await
    }

    async fn settle_fact(&self, name: &str, value: &[u8]) -> warren_domain::Result<Vec<u8>> {
        self.put_meta_if_absent(name, value).await
    }
}

/// A setting without which a process of a cluster cannot be.
fn needed<'a>(secret: Option<&'a Secret>, variable: &str, key: &str, purpose: &str) -> Result<&'a str, Failure> {
    let secret = secret.map(|secret| secret.reveal().trim()).filter(|text| !text.is_empty());
    secret.ok_or_else(|| Failure::config(format!("{variable} ({key}) is missing: {purpose}")))
}

/// Who opens the store.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Client {
    /// A service, with the rights of its role.
    Service(Service),
    /// A command of the operator, with the rights of the login.
    Command(&'static str),
}

impl Client {
    /// How it calls itself at the server.
    const fn name(self) -> &'static str {
        match self {
            Self::Service(Service::Gateway) => "warren gateway",
            Self::Service(Service::Worker) => "warren worker",
            Self::Service(Service::Dispatcher) => "warren dispatcher",
            Self::Command(name) => name,
        }
    }

    const fn service(self) -> Option<Service> {
        match self {
            Self::Service(service) => Some(service),
            Self::Command(_) => None,
        }
    }
}

/// Options of the store for whoever opens it.
fn store_options(
    settings: &Settings,
    client: Client,
    network: Option<Network>,
    metrics: Option<&Metrics>,
) -> Result<warren_postgres::Options, Failure> {
    let url =
        needed(settings.database.url.as_ref(), "DATABASE_URL", "database.url", "a cluster keeps everything in Postgres")?;
    Ok(warren_postgres::Options {
        application_name: client.name().to_owned(),
        service: client.service(),
        shard_count: ShardCount(settings.store.shard_count),
        pool: settings.database.connections,
        lanes: settings.database.lanes,
        observer: metrics.map(|metrics| Commits::new(metrics) as Arc<dyn warren_postgres::CommitObserver>),
        ..warren_postgres::Options::new(url, network)
    })
}

/// Opens the store; `migrate` brings it up to date first, the roles of services included.
pub(crate) async fn open_store(
    settings: &Settings,
    client: Client,
    network: Option<Network>,
    metrics: Option<&Metrics>,
    migrate: bool,
) -> Result<Postgres, Failure> {
    let options = warren_postgres::Options { migrate, roles: migrate, ..store_options(settings, client, network, metrics)? };
    Postgres::open(options).await.map_err(|error| match error {
        OpenError::Unreachable { .. } => Failure::unavailable(format!("DATABASE_URL: {error}")),
        OpenError::Url(_) => Failure::config(format!("DATABASE_URL: {error}")),
        _ => Failure::config(error),
    })
}

/// The secret that the processes of the cluster share.
fn cluster_secret(settings: &Settings) -> Result<&str, Failure> {
    let purpose = "the processes of a cluster prove themselves to each other with it, for example `openssl rand -base64 32`";
    needed(settings.cluster.secret.as_ref(), "WARREN_CLUSTER_SECRET", "cluster.secret", purpose)
}

/// How the bus is connected to.
pub(crate) fn bus_options(settings: &Settings, service: &str) -> Result<warren_nats::Options, Failure> {
    let url = needed(settings.nats.url.as_ref(), "NATS_URL", "nats.url", "a cluster's processes speak over NATS")?;
    Ok(warren_nats::Options::new(url, &settings.cluster.id, cluster_secret(settings)?, service))
}

/// Connects to the bus.
async fn open_bus(settings: &Settings, service: &str, metrics: &Metrics) -> Result<warren_nats::Bus, Failure> {
    let figures = warren_nats::Metrics::new().map_err(Failure::system)?;
    metrics.adopt(figures.collectors());
    let connected = warren_nats::connect(&bus_options(settings, service)?, figures).await;
    connected.map_err(|error| match error {
        ConnectError::Url | ConnectError::Name { .. } => Failure::config(format!("NATS_URL: {error}")),
        _ => Failure::unavailable(format!("NATS_URL: {error}")),
    })
}

/// How the lease store is connected to.
pub(crate) fn redis_options(settings: &Settings) -> Result<warren_redis::Options, Failure> {
    let url = needed(settings.redis.url.as_ref(), "REDIS_URL", "redis.url", "a cluster's leases and rates are in Redis")?;
    Ok(warren_redis::Options::new(url, &settings.cluster.id))
}

/// Connects to the lease store, on a runtime that drives the connection from then on.
pub(crate) async fn open_redis(settings: &Settings, metrics: &Metrics, runtime: &Handle) -> Result<Redis, Failure> {
    let connected = runtime.spawn(Redis::connect(redis_options(settings)?)).await.map_err(Failure::system)?;
    let redis = connected.map_err(|error| match error {
        warren_redis::ConnectError::Url => Failure::config(format!("REDIS_URL: {error}")),
        warren_redis::ConnectError::Unreachable { .. } => Failure::unavailable(format!("REDIS_URL: {error}")),
    })?;
    metrics.adopt(redis.collectors());
    Ok(redis)
}

/// The coordinators.
pub(crate) fn group(settings: &Settings) -> Result<Group, Failure> {
    if settings.cluster.coordinators.is_empty() {
        return Err(Failure::config("WARREN_CLUSTER__COORDINATORS (cluster.coordinators) is missing: host:7000 of each"));
    }
    let secret = cluster_secret(settings)?;
    let group = Group::new(&settings.cluster.id, secret, settings.cluster.coordinators.clone());
    let group = group.map_err(|error| Failure::config(error.detail))?;
    let authority = &settings.cluster.tls_authority;
    if authority.as_os_str().is_empty() {
        return Ok(group);
    }
    Ok(group.trusting(Trust::read(authority).map_err(Failure::config)?))
}

/// Files of messages must be where every process finds them.
pub(crate) fn needs_shared_files(settings: &Settings) -> Result<(), Failure> {
    if settings.media.folder.as_os_str().is_empty() && settings.media.s3_endpoint.is_empty() {
        return Err(Failure::config(
            "media.s3_endpoint or media.folder is missing: a cluster's files are in object storage, or in a folder that all share",
        ));
    }
    Ok(())
}

async fn open_files(settings: &Settings, store: &Postgres) -> Result<Files, Failure> {
    needs_shared_files(settings)?;
    Files::open(settings, store).await
}

/// What a gateway needs of the outside.
pub(crate) struct Gateway {
    pub(crate) shared: Shared,
    pub(crate) store: Postgres,
    bus: warren_nats::Bus,
    redis: Redis,
    files: Files,
}

impl Gateway {
    pub(crate) async fn open(settings: &Settings, metrics: Metrics) -> Result<Self, Failure> {
        let shared = Shared::new(settings, metrics);
        let store = open_store(settings, Client::Service(Service::Gateway), None, None, false).await?;
        let files = open_files(settings, &store).await?;
        let bus = open_bus(settings, "gateway", &shared.metrics).await?;
        let redis = open_redis(settings, &shared.metrics, &Handle::current()).await?;
        Ok(Self { shared, store, bus, redis, files })
    }

    pub(crate) fn ports(
        &self,
        admin_key: warren_gateway::AdminKey,
        seed: Option<warren_gateway::SeedSettings>,
    ) -> warren_gateway::Ports {
        warren_gateway::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            limiter: Arc::new(self.redis.limiter()),
            clock: Arc::clone(&self.shared.clock),
            metrics: self.shared.metrics.clone(),
            admin_key: Some(admin_key),
            health: self.shared.health.clone(),
            objects: Arc::new(self.files.objects.clone()),
            limits: self.files.limits,
            egress: self.files.egress.clone(),
            link_key: self.files.link_key.clone(),
            seed,
        }
    }

    pub(crate) async fn close(self) {
        self.bus.close().await;
        self.store.close().await;
    }
}

/// What a worker needs of the outside.
pub(crate) struct Worker {
    pub(crate) shared: Shared,
    pub(crate) store: Postgres,
    bus: warren_nats::Bus,
    redis: Redis,
    placement: RaftPlacement,
    apart: Apart,
    incarnation: Incarnation,
    files: Files,
}

impl Worker {
    pub(crate) async fn open(settings: &Settings, network: Network, metrics: Metrics) -> Result<Self, Failure> {
        let shared = Shared::new(settings, metrics);
        let group = group(settings)?;
        let store =
            open_store(settings, Client::Service(Service::Worker), Some(network), Some(&shared.metrics), false).await?;
        let files = open_files(settings, &store).await?;
        let bus = open_bus(settings, "worker", &shared.metrics).await?;
        let apart = super::thread_apart()?;
        let redis = open_redis(settings, &shared.metrics, &apart.handle()).await?;
        let incarnation = Incarnation(rand::random());
        let options = ClientOptions {
            group,
            worker: settings.worker.name.clone(),
            incarnation,
            weight: settings.worker.weight,
            shard_count: shared.shard_count,
        };
        // The heartbeats of the leader have a deadline.
        let placement = RaftPlacement::connect_apart(options, &apart.handle());
        let placement = placement.map_err(|error| Failure::config(error.detail))?;
        Ok(Self { shared, store, bus, redis, placement, apart, incarnation, files })
    }

    pub(crate) fn ports(&self, master_key: MasterKey, endpoint: Endpoint) -> warren_worker::Ports {
        warren_worker::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            leases: Arc::new(self.redis.leases()),
            apart: self.apart.handle(),
            incarnation: self.incarnation,
            placement: Arc::new(self.placement.clone()),
            clock: Arc::clone(&self.shared.clock),
            metrics: self.shared.metrics.clone(),
            shard_count: self.shared.shard_count,
            master_key,
            endpoint,
            objects: Arc::new(self.files.objects.clone()),
            limits: self.files.limits,
            egress: self.files.egress.clone(),
        }
    }

    /// How it stands to the coordinators.
    pub(crate) fn placement(&self) -> &RaftPlacement {
        &self.placement
    }

    pub(crate) async fn close(self) {
        self.placement.close().await;
        self.bus.close().await;
        self.store.close().await;
    }
}

/// What a dispatcher needs of the outside.
pub(crate) struct Dispatcher {
    pub(crate) shared: Shared,
    pub(crate) store: Postgres,
    bus: warren_nats::Bus,
    egress: Guard,
}

impl Dispatcher {
    pub(crate) async fn open(settings: &Settings, metrics: Metrics) -> Result<Self, Failure> {
        let shared = Shared::new(settings, metrics);
        let egress = super::guard(settings)?;
        let store = open_store(settings, Client::Service(Service::Dispatcher), None, None, false).await?;
        let bus = open_bus(settings, "dispatcher", &shared.metrics).await?;
        Ok(Self { shared, store, bus, egress })
    }

    pub(crate) fn ports(&self) -> warren_dispatcher::Ports {
        warren_dispatcher::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            egress: self.egress.clone(),
            clock: Arc::clone(&self.shared.clock),
            metrics: self.shared.metrics.clone(),
            health: self.shared.health.clone(),
        }
    }

    pub(crate) async fn close(self) {
        self.bus.close().await;
        self.store.close().await;
    }
}

/// What a coordinator needs of the outside.
pub(crate) fn coordinator(shared: &Shared, redis: &Redis) -> warren_coordinator::Ports {
    warren_coordinator::Ports {
        leases: Arc::new(redis.leases()),
        clock: Arc::clone(&shared.clock),
        metrics: shared.metrics.clone(),
        health: shared.health.clone(),
    }
}

/// Which coordinator of which group a process is.
pub(crate) fn seat(settings: &Settings, number: u64) -> Result<warren_coordinator::Seat, Failure> {
    Ok(warren_coordinator::Seat {
        credential: Credential::new(&settings.cluster.id, cluster_secret(settings)?),
        node: number,
        coordinators: settings.cluster.coordinators.clone(),
        data_folder: settings.store.data_dir.clone(),
        shard_count: ShardCount(settings.store.shard_count),
        tls: Tls::read(&settings.coordinator, &settings.cluster.tls_authority).map_err(Failure::config)?,
    })
}

/// How often a process looks at what it depends on, and how long an answer may take.
pub(crate) const PROBE: Duration = Duration::from_secs(1);
pub(crate) const PROBE_LIMIT: Duration = Duration::from_secs(2);
