//! One process over one folder: SQLite, and bus, leases and placement in memory.

use super::{Commits, Files};
use crate::failure::Failure;
use crate::settings::Settings;
use std::path::Path;
use std::sync::Arc;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{Epoch, Network, ShardCount};
use warren_memory::{Bus, Leases, Limiter, LocalPlacement};
use warren_ports::lease::Incarnation;
use warren_ports::ledger::Ownership;
use warren_runtime::{Apart, Health, Metrics};
use warren_sqlite::{OpenError, Options, Sqlite};
use warren_worker::{Endpoint, sealing::MasterKey};

/// Where standalone keeps everything.
pub(crate) type Store = Sqlite;

/// Everything that the services of one process share.
pub(crate) struct Local {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    shard_count: ShardCount,
    bus: Bus,
    limiter: Limiter,
    leases: Leases,
    apart: Apart,
    placement: LocalPlacement,
    files: Files,
}

/// The store of a folder with the usual settings.
pub(crate) fn store_options(folder: &Path, network: Network) -> Options {
    Options::new(folder, network)
}

/// The store of a folder as the settings want it, with its figures registered.
pub(crate) fn store_options_of(settings: &Settings, network: Network, metrics: &Metrics) -> Options {
    Options {
        shard_count: ShardCount(settings.store.shard_count),
        readers: settings.store.readers,
        observer: Some(Commits::new(metrics)),
        ..store_options(&settings.store.data_dir, network)
    }
}

/// Opens a store.
pub(crate) async fn open(options: Options) -> Result<Store, Failure> {
    Sqlite::open(options).await.map_err(refused)
}

/// Opens the store of a folder for whatever network it belongs to, without making one. Says which network that is.
pub(crate) async fn open_existing(settings: &Settings, migrate: bool) -> Result<(Store, Network), Failure> {
    let options = |network| Options { migrate, ..store_options_of(settings, network, &Metrics::default()) };
    match Sqlite::open(options(Network::Whatsapp)).await {
        Ok(store) => Ok((store, Network::Whatsapp)),
        Err(OpenError::OtherNetwork { stored, .. }) => {
            let network = stored.parse().map_err(|error| Failure::config(format!("the store's network: {error}")))?;
            Ok((open(options(network)).await?, network))
        }
        Err(error) => Err(refused(error)),
    }
}

/// Whether there is a store in the folder.
pub(crate) fn has_store(folder: &Path) -> bool {
    folder.join("warren.db").exists()
}

fn refused(error: OpenError) -> Failure {
    match error {
        OpenError::Thread(_) | OpenError::Sqlite(_) => Failure::system(error),
        _ => Failure::config(error),
    }
}

impl Local {
    /// Bus, leases and placement inside this process; every shard is local, under an epoch that no earlier start had.
    pub(crate) async fn new(settings: &Settings, store: Store, metrics: Metrics) -> Result<Self, Failure> {
        let Epoch(highest) = store.highest_epoch().await?;
        let epoch = Epoch(highest.saturating_add(1));
        let shard_count = ShardCount(settings.store.shard_count);
        let files = Files::open(settings, &store).await?;
        Ok(Self {
            store,
            clock: Arc::new(SystemClock),
            metrics,
            health: Health::new(),
            shard_count,
            bus: Bus::new(),
            limiter: Limiter::new(),
            leases: Leases::new(),
            apart: super::thread_apart()?,
            placement: LocalPlacement::new(shard_count, epoch),
            files,
        })
    }

    /// What the gateway needs of the outside.
    pub(crate) fn gateway(
        &self,
        admin_key: warren_gateway::AdminKey,
        seed: Option<warren_gateway::SeedSettings>,
    ) -> warren_gateway::Ports {
        warren_gateway::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            limiter: Arc::new(self.limiter.clone()),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            admin_key: Some(admin_key),
            health: self.health.clone(),
            objects: Arc::new(self.files.objects.clone()),
            limits: self.files.limits,
            egress: self.files.egress.clone(),
            link_key: self.files.link_key.clone(),
            seed,
        }
    }

    /// What the dispatcher needs of the outside.
    pub(crate) fn dispatcher(&self) -> warren_dispatcher::Ports {
        warren_dispatcher::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            egress: self.files.egress.clone(),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            health: self.health.clone(),
        }
    }

    /// What the worker needs of the outside.
    pub(crate) fn worker(&self, master_key: MasterKey, endpoint: Endpoint) -> warren_worker::Ports {
        warren_worker::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            leases: Arc::new(self.leases.clone()),
            apart: self.apart.handle(),
            incarnation: Incarnation(rand::random()),
            placement: Arc::new(self.placement.clone()),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            shard_count: self.shard_count,
            master_key,
            endpoint,
            objects: Arc::new(self.files.objects.clone()),
            limits: self.files.limits,
            egress: self.files.egress.clone(),
        }
    }

    /// Closes the bus, then the store with what it still holds.
    pub(crate) async fn close(self) {
        self.bus.close();
        self.store.close().await;
    }
}
