//! The one file that names adapters: what stands behind each port.

use crate::failure::Failure;
use crate::settings::Settings;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use warren_domain::time::{Clock, SystemClock};
use warren_domain::{Epoch, Network, ShardCount, media::MediaLimits};
use warren_egress::{Guard, Policy};
use warren_memory::{Bus, Leases, LocalPlacement};
use warren_objects::{Bucket, ObjectStorage};
use warren_ports::lease::Incarnation;
use warren_ports::ledger::Ownership;
use warren_runtime::{Health, Metrics};
use warren_sqlite::{CommitObserver, OpenError, Options, Sqlite};
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
    leases: Leases,
    placement: LocalPlacement,
    files: Files,
}

/// Files of messages: where they are, how large they may be, from where they may be fetched.
struct Files {
    objects: ObjectStorage,
    limits: MediaLimits,
    egress: Guard,
    link_key: warren_gateway::LinkKey,
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
        observer: Some(Arc::new(Commits {
            seconds: metrics.seconds("warren_commit_seconds", "How long a commit took, from the first try on."),
            items: metrics.items("warren_commit_batch_items", "How many writes one commit held."),
        })),
        ..store_options(&settings.store.data_dir, network)
    }
}

/// In the store: the key that signs links to files.
const LINK_KEY: &str = "media_link_key";

impl Files {
    async fn open(settings: &Settings, store: &Store) -> Result<Self, Failure> {
        let key = store.put_meta_if_absent(LINK_KEY, &rand::random::<[u8; 32]>()).await?;
        let key = key.try_into().map_err(|_| Failure::system("the key of links to files is damaged"))?;
        Ok(Self {
            objects: objects(settings).await?,
            limits: settings.media.limits(),
            egress: Guard::new(policy(settings)?).map_err(|error| Failure::config(format!("egress: {error}")))?,
            link_key: warren_gateway::LinkKey::new(key),
        })
    }
}

async fn objects(settings: &Settings) -> Result<ObjectStorage, Failure> {
    let media = &settings.media;
    let opened = match &media.s3_secret_key {
        Some(secret) if !media.s3_endpoint.is_empty() => ObjectStorage::bucket(&Bucket {
            endpoint: media.s3_endpoint.clone(),
            name: media.s3_bucket.clone(),
            region: media.s3_region.clone(),
            access_key: media.s3_access_key.clone(),
            secret_key: secret.reveal().to_owned(),
        }),
        _ if media.folder.as_os_str().is_empty() => ObjectStorage::folder(&settings.store.data_dir.join("media")).await,
        _ => ObjectStorage::folder(&media.folder).await,
    };
    opened.map_err(|error| Failure::config(format!("media: {error}")))
}

fn policy(settings: &Settings) -> Result<Policy, Failure> {
    let egress = &settings.egress;
    let network = |text: &String| {
        text.parse().map_err(|_| Failure::config("egress.networks: a network is written as 10.1.0.0/16 or fd00::/8"))
    };
    Ok(Policy {
        plain_http: egress.allow_http,
        ports: egress.ports.clone(),
        networks: egress.networks.iter().map(network).collect::<Result<_, _>>()?,
        internal_names: egress.internal_names.clone(),
        own_hosts: egress.own_hosts.clone(),
        max_bytes: settings.media.limits().most_bytes(),
        ..Policy::default()
    })
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
            leases: Leases::new(),
            placement: LocalPlacement::new(shard_count, epoch),
            files,
        })
    }

    /// What the gateway needs of the outside.
    pub(crate) fn gateway(&self, admin_key: warren_gateway::AdminKey) -> warren_gateway::Ports {
        warren_gateway::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            clock: Arc::clone(&self.clock),
            metrics: self.metrics.clone(),
            admin_key: Some(admin_key),
            health: self.health.clone(),
            objects: Arc::new(self.files.objects.clone()),
            limits: self.files.limits,
            egress: self.files.egress.clone(),
            link_key: self.files.link_key.clone(),
        }
    }

    /// What the worker needs of the outside.
    pub(crate) fn worker(&self, master_key: MasterKey, endpoint: Endpoint) -> warren_worker::Ports {
        warren_worker::Ports {
            ledger: Arc::new(self.store.clone()),
            bus: Arc::new(self.bus.clone()),
            leases: Arc::new(self.leases.clone()),
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

struct Commits {
    seconds: prometheus::Histogram,
    items: prometheus::Histogram,
}

impl CommitObserver for Commits {
    fn committed(&self, items: usize, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        // At most 256 of them: exact.
        self.items.observe(f64::from(u32::try_from(items).unwrap_or(u32::MAX)));
    }
}
