//! The one place that names adapters: what stands behind each port. [`local`] is one process over one folder,
//! [`cluster`] the processes of a cluster.

pub(crate) mod cluster;
pub(crate) mod local;

use crate::failure::Failure;
use crate::settings::Settings;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use warren_domain::media::MediaLimits;
use warren_egress::{Guard, Policy};
use warren_objects::{Bucket, ObjectStorage};
use warren_runtime::{Apart, Metrics};
use warren_sqlite::Sqlite;

/// Small facts that a store keeps about itself: written once, never changed.
pub(crate) trait Facts {
    /// The value of a name.
    fn fact(&self, name: &str) -> impl Future<Output = warren_domain::Result<Option<Vec<u8>>>> + Send;
    /// Stores a value under a name that has none; what is stored now.
    fn settle_fact(&self, name: &str, value: &[u8]) -> impl Future<Output = warren_domain::Result<Vec<u8>>> + Send;
}

impl Facts for Sqlite {
    async fn fact(&self, name: &str) -> warren_domain::Result<Option<Vec<u8>>> {
        self.meta(name).await
    }

    async fn settle_fact(&self, name: &str, value: &[u8]) -> warren_domain::Result<Vec<u8>> {
        self.put_meta_if_absent(name, value).await
    }
}

/// Files of messages: where they are, how large they may be, from where they may be fetched.
pub(crate) struct Files {
    pub(crate) objects: ObjectStorage,
    pub(crate) limits: MediaLimits,
    pub(crate) egress: Guard,
    pub(crate) link_key: warren_gateway::LinkKey,
}

/// In the store: the key that signs links to files.
const LINK_KEY: &str = "media_link_key";

impl Files {
    pub(crate) async fn open(settings: &Settings, store: &impl Facts) -> Result<Self, Failure> {
        let key = store.settle_fact(LINK_KEY, &rand::random::<[u8; 32]>()).await?;
        let key = key.try_into().map_err(|_| Failure::system("the key of links to files is damaged"))?;
        Ok(Self {
            objects: objects(settings).await?,
            limits: settings.media.limits(),
            egress: guard(settings)?,
            link_key: warren_gateway::LinkKey::new(key),
        })
    }
}

/// The thread on which a worker renews its lease.
fn thread_apart() -> Result<Apart, Failure> {
    Apart::start("warren-lease").map_err(Failure::system)
}

/// Where the bytes of files are.
pub(crate) async fn objects(settings: &Settings) -> Result<ObjectStorage, Failure> {
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

/// What may be fetched or called because a caller named it.
pub(crate) fn guard(settings: &Settings) -> Result<Guard, Failure> {
    Guard::new(policy(settings)?).map_err(|error| Failure::config(format!("egress: {error}")))
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

/// Measures commits.
pub(crate) struct Commits {
    seconds: prometheus::Histogram,
    items: prometheus::Histogram,
}

impl Commits {
    /// Registers the figures.
    pub(crate) fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            seconds: metrics.seconds("warren_commit_seconds", "How long a commit took, from the first try on."),
            items: metrics.items("warren_commit_batch_items", "How many writes one commit held."),
        })
    }
}

impl warren_sqlite::CommitObserver for Commits {
    fn committed(&self, items: usize, took: Duration) {
        self.seconds.observe(took.as_secs_f64());
        // At most 256 of them: exact.
        self.items.observe(f64::from(u32::try_from(items).unwrap_or(u32::MAX)));
    }
}

impl warren_postgres::CommitObserver for Commits {
    fn committed(&self, items: usize, took: Duration) {
        warren_sqlite::CommitObserver::committed(self, items, took);
    }
}
