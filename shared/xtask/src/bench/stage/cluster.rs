//! A whole cluster on this machine, over a Postgres that syncs every commit.

use super::metrics::online;
use super::process::{Beside, Simulator, swarm_within};
use super::{ADMISSION, LIMIT, Load, Warren};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use warren_testkit::cluster::{Cluster, ClusterOptions, Durability, Ledger, Role, Shape};
use warren_testkit::services::Port;

const ONLINE: Duration = Duration::from_secs(300);
/// Commits whose median is one raw commit.
const COMMITS: usize = 300;

/// A cluster and its simulator. Everything ends when it is dropped.
pub(crate) struct Clustered {
    cluster: Cluster,
    simulator: Simulator,
    webhooks: u16,
    bin: PathBuf,
    folder: TempDir,
    /// Last: what the cluster's processes say is read on it.
    runtime: Runtime,
}

impl Clustered {
    /// One coordinator, so many workers, a gateway, a dispatcher.
    pub(crate) fn start(bin: &Path, workers: usize) -> Result<Self> {
        println!("\nstarting a cluster: 1 coordinator, {workers} workers, 1 gateway, 1 dispatcher, Postgres with fsync");
        let (runtime, simulator) = (Runtime::new().context("a runtime")?, Simulator::start(bin)?);
        // Given back at once: the load generator takes it when it needs it.
        let webhooks = Port::take()?.number();
        let shape = Shape { coordinators: 1, workers, gateways: 1, dispatchers: 1 };
        let mut options = ClusterOptions::new(bin.join("warren"), shape, simulator.url())
            .durability(Durability::Synced)
            .env("WARREN_EGRESS__ALLOW_HTTP", "true")
            .env("WARREN_EGRESS__PORTS", &format!("[{webhooks}]"))
            .env("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#);
        for (name, value) in ADMISSION {
            options = options.env(name, value);
        }
        let cluster = runtime.block_on(Cluster::start(options))?;
        Ok(Self { cluster, simulator, webhooks, bin: bin.to_owned(), folder: tempfile::tempdir()?, runtime })
    }

    /// Makes and pairs instances; their ids are kept for what follows.
    pub(crate) fn fleet(&self, instances: usize) -> Result<Value> {
        let (count, out) = (instances.to_string(), self.fleet_file());
        self.load("fleet", &["--instances", &count, "--out", &out])
    }

    /// How long until callers hear of a text, and how many webhooks a second from a log with so many texts of each instance.
    pub(crate) fn inbound(&self, backlog: u64) -> Result<Value> {
        let (fleet, port, backlog) = (self.fleet_file(), self.webhooks.to_string(), backlog.to_string());
        self.load("inbound", &["--fleet", &fleet, "--port", &port, "--backlog", &backlog])
    }

    /// Cuts a WebSocket off so many times.
    pub(crate) fn resumes(&self, resumes: u64) -> Result<Value> {
        let (fleet, resumes) = (self.fleet_file(), resumes.to_string());
        self.load("resumes", &["--fleet", &fleet, "--resumes", &resumes])
    }

    /// Kills every process of ours and starts them all: seconds to every shard owned, and to all instances online.
    pub(crate) fn cold_start(&mut self, instances: usize) -> Result<(f64, f64)> {
        let cluster = &mut self.cluster;
        self.runtime.block_on(async {
            for node in cluster.nodes_mut() {
                node.kill().await?;
            }
            anyhow::Ok(())
        })?;
        let (since, beside) = (Instant::now(), Beside::begin(self.simulator.pid())?);
        self.runtime.block_on(cluster.start_all())?;
        let owned = since.elapsed().as_secs_f64();
        let admins = self.admins(&[Role::Worker]);
        let admins: Vec<_> = admins.iter().map(String::as_str).collect();
        while online(&admins)? < instances {
            ensure!(since.elapsed() < ONLINE, "not all instances came online");
            std::thread::sleep(Duration::from_millis(20));
        }
        let online = since.elapsed().as_secs_f64();
        beside.end()?;
        Ok((owned, online))
    }

    fn fleet_file(&self) -> String {
        self.folder.path().join("fleet").display().to_string()
    }

    /// Where the metrics of the processes of these roles are.
    fn admins(&self, roles: &[Role]) -> Vec<String> {
        let nodes = roles.iter().flat_map(|role| self.cluster.nodes(*role));
        nodes.map(|node| node.metrics_address().trim_end_matches("/metrics").to_owned()).collect()
    }

    /// Every process, by name: ours by their roles, and who serves them.
    fn watched(&self) -> Result<String> {
        let mut processes = self.ours()?;
        processes.push(("simulator", self.simulator.pid()));
        let servers = &self.cluster.servers;
        let Ledger::Private(postgres) = &servers.ledger else { anyhow::bail!("the ledger has no server of its own") };
        let served = [
            ("postgres", postgres.process_id()),
            ("redis", servers.redis.process_id()),
            ("nats", servers.nats.process_id()),
        ];
        for (name, pid) in served {
            processes.push((name, pid.with_context(|| format!("{name} does not run"))?));
        }
        Ok(named(&processes))
    }

    /// Our own processes, by their roles.
    fn ours(&self) -> Result<Vec<(&'static str, u32)>> {
        let roles = [Role::Coordinator, Role::Worker, Role::Gateway, Role::Dispatcher];
        let nodes = roles.into_iter().flat_map(|role| self.cluster.nodes(role).iter().map(move |node| (role, node)));
        nodes.map(|(role, node)| Ok((role.as_str(), node.process_id()?))).collect()
    }

    fn execute(&self, statements: &[&str]) -> Result<String> {
        self.runtime.block_on(self.cluster.servers.ledger.execute(statements))
    }
}

/// As the load generator takes them.
fn named(processes: &[(&'static str, u32)]) -> String {
    processes.iter().map(|(name, pid)| format!("{name}={pid}")).collect::<Vec<_>>().join(",")
}

impl Warren for Clustered {
    fn load(&self, command: &str, more: &[&str]) -> Result<Value> {
        let gateway = self.cluster.gateways.first().context("no gateway")?;
        let target = [command, "--api", gateway.api_address()?, "--simulator", self.simulator.url()];
        let ledger = self.cluster.servers.ledger.url();
        let keys = self.cluster.keys();
        let keys = [("WARREN_KEY", keys.tenant.clone()), ("WARREN_ADMIN_KEY", keys.admin.clone())];
        let environment = [&keys[..], &[("SWARM_LEDGER", ledger)]].concat();
        Beside::of(self.simulator.pid(), || swarm_within(&self.bin, &[&target[..], more].concat(), &environment, LIMIT))
    }

    fn send(&self, load: Load) -> Result<Value> {
        let (fleet, watched) = (self.fleet_file(), self.watched()?);
        let (arguments, admins) = (load.arguments(), self.admins(&[Role::Worker, Role::Gateway]).join(","));
        let mut all = vec!["--fleet", &fleet, "--admin", &admins, "--process", &watched];
        all.extend(arguments.iter().map(String::as_str));
        self.load("send", &all)
    }

    fn receive(&self, texts: u64) -> Result<Value> {
        let (texts, watched, fleet) = (texts.to_string(), self.watched()?, self.fleet_file());
        let admins = self.admins(&[Role::Worker]).join(",");
        self.load("receive", &["--fleet", &fleet, "--admin", &admins, "--texts", &texts, "--process", &watched])
    }

    fn witnesses(&self) -> Result<Vec<String>> {
        let webhooks = ["--port".to_owned(), self.webhooks.to_string()];
        Ok(["--process".to_owned(), named(&self.ours()?)].into_iter().chain(webhooks).collect())
    }

    /// An `INSERT` of a line of text alone in its transaction, on the same Postgres, by a connection that is open.
    fn raw_commit_ms(&self) -> Result<f64> {
        let insert = format!("INSERT INTO raw_commit VALUES ('{}')", "x".repeat(200));
        let mut statements = vec!["DROP TABLE IF EXISTS raw_commit", "CREATE TABLE raw_commit (line text)", "\\timing on"];
        statements.extend(std::iter::repeat_n(insert.as_str(), COMMITS));
        statements.extend(["\\timing off", "DROP TABLE raw_commit"]);
        let told = self.execute(&statements)?;
        let times = told.lines().filter_map(|line| line.strip_prefix("Time: ")?.split(' ').next()?.parse::<f64>().ok());
        let mut times: Vec<_> = times.collect();
        times.sort_by(f64::total_cmp);
        ensure!(times.len() >= COMMITS, "Postgres told the time of {} commits", times.len());
        times.get(times.len() / 2).copied().context("no commits")
    }

    fn disk_bytes(&self) -> Result<f64> {
        Ok(self.execute(&["SELECT pg_database_size(current_database())"])?.parse()?)
    }
}
