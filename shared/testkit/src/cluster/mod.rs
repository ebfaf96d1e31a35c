//! A whole cluster on this machine: Postgres, Redis and NATS, coordinators, workers, gateways and dispatchers, each a process of
//! its own on free ports.

mod node;
mod servers;

pub use node::{Node, Role};
pub use servers::{Durability, Ledger, Servers};

use crate::api::Api;
use crate::eventually::{PATIENCE, eventually};
use crate::services::Port;
use crate::tether;
use crate::warren::{Keys, bare};
use anyhow::{Context, Result, ensure};
use node::Launch;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// How many of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// 1, 3 or 5.
    pub coordinators: usize,
    /// How many own shards.
    pub workers: usize,
    /// How many answer the API.
    pub gateways: usize,
    /// How many deliver webhooks.
    pub dispatchers: usize,
}

impl Shape {
    /// One of each.
    pub const SMALL: Self = Self { coordinators: 1, workers: 1, gateways: 1, dispatchers: 1 };
    /// The usual cluster: three coordinators, three workers, two gateways, a dispatcher.
    pub const USUAL: Self = Self { coordinators: 3, workers: 3, gateways: 2, dispatchers: 1 };
}

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// The binary.
    pub binary: PathBuf,
    /// How many of what.
    pub shape: Shape,
    /// How Postgres is started.
    pub durability: Durability,
    /// The simulator's URL; without one, workers connect to WhatsApp, which tests never reach.
    pub simulator: Option<String>,
    /// Further environment of every process.
    pub environment: Vec<(String, String)>,
    /// What fills the ledger before anything serves it.
    pub import: Option<Exported>,
}

/// What `warren export` wrote.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The file.
    pub file: PathBuf,
    /// The folder with files of messages.
    pub files: PathBuf,
    /// The key of a tenant in it.
    pub tenant_key: String,
}

impl ClusterOptions {
    /// A cluster of this shape whose workers connect to a simulator.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, shape: Shape, simulator: &str) -> Self {
        Self {
            binary: binary.into(),
            shape,
            durability: Durability::Shared,
            simulator: Some(simulator.to_owned()),
            environment: Vec::new(),
            import: None,
        }
    }

    /// With a ledger that begins with what was exported.
    #[must_use]
    pub fn import(mut self, exported: Exported) -> Self {
        self.import = Some(exported);
        self
    }

    /// With Postgres started like this.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// With this in every environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running cluster. Everything ends when it is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// The coordinators, number 1 first.
    pub coordinators: Vec<Node>,
    /// The workers.
    pub workers: Vec<Node>,
    /// The gateways.
    pub gateways: Vec<Node>,
    /// The dispatchers.
    pub dispatchers: Vec<Node>,
    /// The servers below.
    pub servers: Servers,
    options: ClusterOptions,
    secrets: Secrets,
    ports: Vec<Port>,
    keys: Keys,
    folder: Arc<TempDir>,
}

#[derive(Debug, Clone)]
struct Secrets {
    admin: String,
    cluster: String,
    sealing: String,
}

fn secret() -> String {
    rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Cluster {
    /// Starts everything, makes a tenant with a key, and waits until every shard has an owner.
    ///
    /// # Errors
    /// A server is not installed, or something does not start.
    pub async fn start(options: ClusterOptions) -> Result<Self> {
        let servers = Servers::start(options.durability).await?;
        Self::over(servers, options).await
    }

    /// The same over servers that run already, whose ledger may hold something.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn over(servers: Servers, options: ClusterOptions) -> Result<Self> {
        let folder = Arc::new(tempfile::Builder::new().prefix("warren-cluster-").tempdir().context("a folder")?);
        let ports = (0..options.shape.coordinators).map(|_| Port::take()).collect::<Result<Vec<_>>>()?;
        let secrets = Secrets { admin: secret(), cluster: secret(), sealing: secret() };
        let mut cluster = Self {
            coordinators: Vec::new(),
            workers: Vec::new(),
            gateways: Vec::new(),
            dispatchers: Vec::new(),
            servers,
            options,
            secrets,
            ports,
            keys: Keys::default(),
            folder,
        };
        std::fs::create_dir(cluster.folder.path().join("media")).context("a folder for files")?;
        cluster.migrate().await?;
        let shape = cluster.options.shape;
        for number in 1..=shape.coordinators {
            let coordinator = cluster.node(Role::Coordinator, number)?;
            cluster.coordinators.push(coordinator);
        }
        for number in 1..=shape.workers {
            let worker = cluster.node(Role::Worker, number)?;
            cluster.workers.push(worker);
        }
        for number in 1..=shape.gateways {
            let gateway = cluster.node(Role::Gateway, number)?;
            cluster.gateways.push(gateway);
        }
        for number in 1..=shape.dispatchers {
            let dispatcher = cluster.node(Role::Dispatcher, number)?;
            cluster.dispatchers.push(dispatcher);
        }
        cluster.start_all().await?;
        cluster.make_tenant().await?;
        Ok(cluster)
    }

    /// Starts every process that does not run, and waits until all answer and every shard has an owner.
    ///
    /// # Errors
    /// One of them does not start.
    pub async fn start_all(&mut self) -> Result<()> {
        let mut started = Vec::new();
        for node in self.nodes_mut() {
            if !node.is_running() {
                node.start()?;
                started.push(node);
            }
        }
        futures::future::try_join_all(started.into_iter().map(Node::answering)).await?;
        self.owned().await
    }

    /// Waits until the running workers own every shard.
    ///
    /// # Errors
    /// They do not within the usual patience.
    pub async fn owned(&mut self) -> Result<()> {
        let shards = f64::from(self.shard_count());
        let workers: Vec<_> = self.workers.iter_mut().filter_map(|node| node.is_running().then_some(&*node)).collect();
        let waited = eventually("every shard to have an owner", PATIENCE, async || {
            let mut owned = 0.0;
            for worker in &workers {
                owned += worker.metric("warren_shards_owned").await?;
            }
            ensure!((owned - shards).abs() < 0.5, "{owned} of {shards} shards are owned");
            Ok(Some(()))
        })
        .await;
        waited.with_context(|| self.last_lines(15))
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> u16 {
        let set = self.options.environment.iter().find(|(name, _)| name == "WARREN_STORE__SHARD_COUNT");
        set.and_then(|(_, value)| value.parse().ok()).unwrap_or(1024)
    }

    async fn migrate(&self) -> Result<()> {
        let ended = self.run(&["migrate"]).await?;
        ensure!(ended.code == Some(0), "migrating failed: {}", ended.stderr);
        if let Some(Exported { file, files, .. }) = &self.options.import {
            let (file, files) = (file.to_string_lossy(), files.to_string_lossy());
            let ended = self.run(&["import", &file, "--files", &files]).await?;
            ensure!(ended.code == Some(0), "importing failed: {}", ended.stderr);
        }
        Ok(())
    }

    /// What every process of the cluster has in its environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let coordinators: Vec<_> = self.ports.iter().map(|port| port.address().to_string()).collect();
        let media = self.folder.path().join("media");
        let own = [
            ("DATABASE_URL", self.servers.ledger.url()),
            ("REDIS_URL", self.servers.redis.url()),
            ("NATS_URL", self.servers.nats.url()),
            ("WARREN_CLUSTER_SECRET", self.secrets.cluster.clone()),
            ("WARREN_CLUSTER__COORDINATORS", coordinators.join(",")),
            ("WARREN_ADMIN_KEY", self.secrets.admin.clone()),
            ("WARREN_SEALING_KEY", self.secrets.sealing.clone()),
            ("WARREN_MEDIA__FOLDER", media.to_string_lossy().into_owned()),
            ("WARREN_LISTEN", "127.0.0.1:0".to_owned()),
            ("WARREN_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            // As a benchmark would: tests do not wait for the pace that suits WhatsApp.
            ("WARREN_WORKER__RECONNECT_JITTER_MS", "100".to_owned()),
        ];
        let own = own.into_iter().map(|(name, value)| (name.to_owned(), value));
        own.chain(self.options.environment.iter().cloned()).collect()
    }

    fn node(&self, role: Role, number: usize) -> Result<Node> {
        let name = format!("{}-{number}", role.as_str());
        let folder = self.folder.path().join(&name);
        std::fs::create_dir_all(&folder).context("a folder for a process")?;
        let mut arguments = vec![role.as_str().to_owned()];
        let mut environment = self.environment();
        environment.push(("WARREN_DATA_DIR".to_owned(), folder.join("data").to_string_lossy().into_owned()));
        match role {
            Role::Coordinator => {
                let address = self.ports.get(number - 1).context("no port for this coordinator")?.address();
                arguments.extend(["--number".to_owned(), number.to_string()]);
                environment.push(("WARREN_COORDINATOR__LISTEN".to_owned(), address.to_string()));
            }
            Role::Worker => {
                arguments.extend(["--name".to_owned(), name.clone()]);
                if let Some(simulator) = &self.options.simulator {
                    arguments.extend(["--simulator-url".to_owned(), simulator.clone()]);
                }
            }
            Role::Gateway | Role::Dispatcher => {}
        }
        Ok(Node::new(role, name, Launch { binary: self.options.binary.clone(), arguments, environment, folder }))
    }

    /// Adds a process of this role and waits until it answers; returns its place among its kind.
    ///
    /// # Errors
    /// It does not start, or it is a coordinator: those are named from the beginning.
    pub async fn add(&mut self, role: Role) -> Result<usize> {
        ensure!(role != Role::Coordinator, "coordinators are named when the cluster is made");
        let place = self.nodes(role).len();
        let mut node = self.node(role, place + 1)?;
        node.start()?;
        node.answering().await?;
        match role {
            Role::Worker => self.workers.push(node),
            Role::Gateway => self.gateways.push(node),
            Role::Dispatcher | Role::Coordinator => self.dispatchers.push(node),
        }
        Ok(place)
    }

    async fn make_tenant(&mut self) -> Result<()> {
        if let Some(exported) = &self.options.import {
            self.keys = Keys { admin: self.secrets.admin.clone(), tenant: exported.tenant_key.clone() };
            return Ok(());
        }
        let admin = self.admin(0)?;
        let tenant = admin.post("/v1/tenants", &json!({"name": "default"})).await?.into::<serde_json::Value>()?;
        let id = tenant.get("id").and_then(|id| id.as_str()).context("no tenant id")?;
        let body = json!({"name": "default", "scopes": ["read", "write"]});
        let key = admin.post(&format!("/v1/tenants/{id}/keys"), &body).await?.into::<serde_json::Value>()?;
        let text = key.get("key").and_then(|key| key.as_str()).context("no key")?;
        self.keys = Keys { admin: self.secrets.admin.clone(), tenant: text.to_owned() };
        Ok(())
    }

    /// The processes of a role.
    #[must_use]
    pub fn nodes(&self, role: Role) -> &[Node] {
        match role {
            Role::Coordinator => &self.coordinators,
            Role::Worker => &self.workers,
            Role::Gateway => &self.gateways,
            Role::Dispatcher => &self.dispatchers,
        }
    }

    /// Every process, coordinators first.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        self.coordinators.iter_mut().chain(&mut self.workers).chain(&mut self.gateways).chain(&mut self.dispatchers)
    }

    fn all(&self) -> impl Iterator<Item = &Node> {
        self.coordinators.iter().chain(&self.workers).chain(&self.gateways).chain(&self.dispatchers)
    }

    /// A client of a gateway with the tenant's key.
    ///
    /// # Errors
    /// There is no such gateway.
    pub fn api(&self, gateway: usize) -> Result<Api> {
        Api::new(self.gateways.get(gateway).context("no such gateway")?.api_address()?, &self.keys.tenant)
    }

    /// A client of a gateway with the admin key.
    ///
    /// # Errors
    /// There is no such gateway.
    pub fn admin(&self, gateway: usize) -> Result<Api> {
        Api::new(self.gateways.get(gateway).context("no such gateway")?.api_address()?, &self.secrets.admin)
    }

    /// The keys of the tenant and of the operator.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The folder of everything that the processes keep: one below it for each, and `media`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The ends of all logs, for a failed test's message.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> String {
        self.all().map(|node| format!("-- {}\n{}\n", node.name(), node.last_lines(count))).collect()
    }

    /// Runs the binary with these arguments as one more process of the cluster, to its end.
    ///
    /// # Errors
    /// It does not start, or does not end.
    pub async fn run(&self, arguments: &[&str]) -> Result<crate::process::Ended> {
        let mut command = tether::command(&self.options.binary, None);
        command.args(arguments).current_dir(self.folder.path());
        bare(&mut command);
        command.envs(self.environment());
        tether::start(command)?.ended(PATIENCE).await
    }
}
