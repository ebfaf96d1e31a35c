//! Coordinators that can be killed and come back.

use super::{Authority, Behaviour, LeaseStore, Ledger, Worker, until};
use std::{
    num::NonZeroU16,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use warren_coordinator::{Error, Options, Ports, Seat};
use warren_domain::{ShardCount, time::SystemClock};
use warren_ports::lease::Incarnation;
use warren_raft::{ClientOptions, Credential, RaftPlacement, Status};
use warren_runtime::{Health, Lifecycle, Metrics};
use warren_testkit::services::Port;

pub(crate) const CLUSTER: &str = "test";
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Running {
    lifecycle: Lifecycle,
    task: JoinHandle<Result<(), Error>>,
    metrics: Metrics,
    health: Health,
}

/// A group, its lease store, and the ledger of its workers. Nodes have numbers from 1.
pub(crate) struct Group {
    folder: TempDir,
    ports: Vec<Port>,
    running: Vec<Option<Running>>,
    pub(crate) leases: LeaseStore,
    pub(crate) ledger: Ledger,
    options: Options,
    shards: u16,
    /// Whose certificates its nodes have, if they speak TLS.
    authority: Option<Authority>,
    incarnations: AtomicU64,
}

impl Group {
    /// A group with 64 shards, which leads.
    pub(crate) async fn start(size: usize) -> Self {
        Self::start_with(size, 64, Options::default()).await
    }

    pub(crate) async fn start_with(size: usize, shards: u16, options: Options) -> Self {
        Self::begin(size, shards, options, None).await
    }

    /// One that speaks TLS, with certificates of this authority.
    pub(crate) async fn start_over_tls(size: usize, authority: Authority) -> Self {
        Self::begin(size, 64, Options::default(), Some(authority)).await
    }

    async fn begin(size: usize, shards: u16, options: Options, authority: Option<Authority>) -> Self {
        if let Ok(filter) = std::env::var("RUST_LOG") {
            let _ = warren_runtime::log::start(&filter, warren_runtime::log::Format::Pretty);
        }
        let mut group = Self {
            folder: tempfile::tempdir().unwrap(),
            ports: (0..size).map(|_| Port::take().unwrap()).collect(),
            running: (0..size).map(|_| None).collect(),
            leases: LeaseStore::default(),
            ledger: Ledger::default(),
            options,
            shards,
            authority,
            incarnations: AtomicU64::new(1),
        };
        for node in 1..=size as u64 {
            group.start_node(node).await;
        }
        group.leader().await;
        group
    }

    pub(crate) fn size(&self) -> u64 {
        self.ports.len() as u64
    }

    fn slot(node: u64) -> usize {
        usize::try_from(node - 1).unwrap()
    }

    pub(crate) fn address(&self, node: u64) -> String {
        self.ports[Self::slot(node)].address().to_string()
    }

    pub(crate) fn addresses(&self) -> Vec<String> {
        (1..=self.size()).map(|node| self.address(node)).collect()
    }

    pub(crate) fn data_folder(&self, node: u64) -> PathBuf {
        self.folder.path().join(node.to_string())
    }

    pub(crate) fn seat(&self, node: u64) -> Seat {
        Seat {
            credential: Credential::new(CLUSTER, SECRET),
            node,
            coordinators: self.addresses(),
            data_folder: self.data_folder(node),
            shard_count: self.shard_count(),
            tls: self.authority.as_ref().map(Authority::tls),
        }
    }

    pub(crate) fn shard_count(&self) -> ShardCount {
        ShardCount(NonZeroU16::new(self.shards).unwrap())
    }

    /// Starts a node, over what it kept.
    pub(crate) async fn start_node(&mut self, node: u64) {
        self.start_seat(self.seat(node)).await;
    }

    /// The same, with another seat than its own.
    pub(crate) async fn start_seat(&mut self, seat: Seat) {
        let node = seat.node;
        let listener = TcpListener::bind(self.address(node)).await.unwrap();
        let running = self.run_with(seat, listener).await;
        self.running[Self::slot(node)] = Some(running);
    }

    async fn run_with(&self, seat: Seat, listener: TcpListener) -> Running {
        let (lifecycle, metrics, health) = (Lifecycle::new(), Metrics::default(), Health::new());
        let ports = Ports {
            leases: Arc::new(self.leases.clone()),
            clock: Arc::new(SystemClock),
            metrics: metrics.clone(),
            health: health.clone(),
        };
        let run = warren_coordinator::run(self.options.clone(), seat, ports, listener, lifecycle.clone());
        Running { task: tokio::spawn(run), lifecycle, metrics, health }
    }

    /// Starts a node that is expected to refuse, and says how.
    pub(crate) async fn refusal(&self, seat: Seat) -> Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = self.run_with(seat, listener).await;
        let ended = tokio::time::timeout(super::PATIENCE, running.task).await;
        ended.expect("it should have refused").unwrap().expect_err("it should have refused")
    }

    /// Drops a node as a kill does: at once, whatever it is doing.
    pub(crate) async fn kill(&mut self, node: u64) {
        let running = self.running[Self::slot(node)].take().unwrap();
        running.lifecycle.stop(Duration::ZERO, std::future::ready(())).await;
        running.task.await.unwrap().unwrap();
    }

    pub(crate) fn is_running(&self, node: u64) -> bool {
        self.running[Self::slot(node)].is_some()
    }

    /// Its disk is lost.
    pub(crate) fn wipe(&self, node: u64) {
        assert!(!self.is_running(node));
        std::fs::remove_dir_all(self.data_folder(node)).unwrap();
    }

    /// A figure of a node, with one set of labels or summed over all.
    pub(crate) fn metric(&self, node: u64, name: &str) -> f64 {
        let running = self.running[Self::slot(node)].as_ref().unwrap();
        let text = running.metrics.render();
        let of = text.lines().filter(|line| {
            line.strip_prefix("warren_coordinator_")
                .and_then(|rest| rest.strip_prefix(name))
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        of.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// How many workers are gone for this reason, by the nodes that run.
    pub(crate) fn deaths(&self, reason: &str) -> f64 {
        self.total(&format!("deaths_total{{reason=\"{reason}\"}}"))
    }

    /// A figure, over all nodes that run.
    pub(crate) fn total(&self, name: &str) -> f64 {
        (1..=self.size()).filter(|node| self.is_running(*node)).map(|node| self.metric(node, name)).sum()
    }

    pub(crate) fn is_ready(&self, node: u64) -> bool {
        self.running[Self::slot(node)].as_ref().unwrap().health.is_ready()
    }

    /// Who leads; waits until somebody does.
    pub(crate) async fn leader(&self) -> u64 {
        let mut leader = 0;
        until("somebody leads", async || match self.leads() {
            Some(node) => {
                leader = node;
                true
            }
            None => false,
        })
        .await;
        leader
    }

    /// Who leads now.
    pub(crate) fn leads(&self) -> Option<u64> {
        (1..=self.size()).find(|node| self.is_running(*node) && self.metric(*node, "is_leader") > 0.0)
    }

    /// A node that does not lead.
    pub(crate) async fn follower(&self) -> u64 {
        let leader = self.leader().await;
        (1..=self.size()).find(|node| *node != leader && self.is_running(*node)).unwrap()
    }

    pub(crate) fn known(&self) -> warren_raft::Group {
        self.known_at(self.addresses())
    }

    fn known_at(&self, addresses: Vec<String>) -> warren_raft::Group {
        let group = warren_raft::Group::new(CLUSTER, SECRET, addresses).unwrap();
        match &self.authority {
            Some(authority) => group.trusting(authority.trust()),
            None => group,
        }
    }

    pub(crate) async fn status(&self) -> Status {
        warren_raft::status(&self.known()).await.unwrap()
    }

    /// What a worker of this name connects with; each call is another start of it.
    pub(crate) fn client(&self, worker: &str) -> ClientOptions {
        ClientOptions {
            group: self.known(),
            worker: worker.to_owned(),
            incarnation: Incarnation(self.incarnations.fetch_add(1, Ordering::SeqCst)),
            weight: 1,
            shard_count: self.shard_count(),
        }
    }

    pub(crate) fn connect(&self, worker: &str) -> RaftPlacement {
        RaftPlacement::connect(self.client(worker)).unwrap()
    }

    /// Starts a worker that does what workers do.
    pub(crate) fn worker(&self, name: &str) -> Worker {
        self.worker_with(name, Behaviour::default())
    }

    /// A worker that reaches the coordinators at other addresses.
    pub(crate) fn worker_by(&self, name: &str, addresses: Vec<String>) -> Worker {
        let options = ClientOptions { group: self.known_at(addresses), ..self.client(name) };
        Worker::start(options, self.leases.clone(), self.ledger.clone(), Behaviour::default())
    }

    pub(crate) fn worker_with(&self, name: &str, behaviour: Behaviour) -> Worker {
        Worker::start(self.client(name), self.leases.clone(), self.ledger.clone(), behaviour)
    }

    /// Waits until the ledger knows just this: how many shards each serves.
    pub(crate) async fn serves(&self, expected: &[(&str, usize)]) {
        let expected = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        until(&format!("they serve {expected:?}"), async || self.ledger.loads() == expected).await;
    }

    /// Waits until these, and nobody else, serve everything in equal shares.
    pub(crate) async fn balanced(&self, names: &[&str]) {
        let share = usize::from(self.shards) / names.len();
        until(&format!("{names:?} have equal shares"), async || {
            let loads = self.ledger.loads();
            loads.keys().eq(names)
                && loads.values().all(|load| (share..=share + 1).contains(load))
                && loads.values().sum::<usize>() == usize::from(self.shards)
        })
        .await;
    }
}
