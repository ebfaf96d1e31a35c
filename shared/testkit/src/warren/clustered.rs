//! A small cluster in the place of one process: what happens to the process happens to its worker, gateway and dispatcher.

use super::{Network, Options};
use crate::cluster::{Cluster, ClusterOptions, Node, Shape};
use crate::process::Ended;
use anyhow::{Context, Result, bail};

/// What changes from start to start; everything else of the environment stays.
#[derive(Debug)]
pub(super) struct Clustered {
    pub(super) cluster: Cluster,
    /// What the last start had in its environment besides the cluster's own.
    environment: Vec<(String, String)>,
}

impl Clustered {
    pub(super) async fn start(options: &Options) -> Result<Self> {
        let simulator = match &options.network {
            Network::Simulator(url) => url,
            Network::Whatsapp | Network::InProcess => bail!("a cluster under test is connected to a simulator of its own"),
        };
        let mut made = ClusterOptions::new(&options.binary, Shape::SMALL, simulator);
        made.environment.clone_from(&options.environment);
        let cluster = Cluster::start(made).await?;
        Ok(Self { cluster, environment: options.environment.clone() })
    }

    /// Starts what does not run, with what changed in the environment.
    pub(super) async fn start_again(&mut self, options: &Options) -> Result<()> {
        let gone = self.environment.iter().filter(|(known, _)| options.environment.iter().all(|(name, _)| name != known));
        let changes: Vec<(String, String)> =
            gone.map(|(name, _)| (name.clone(), String::new())).chain(options.environment.iter().cloned()).collect();
        self.environment.clone_from(&options.environment);
        for node in self.cluster.nodes_mut() {
            node.set_environment(&changes);
        }
        self.cluster.start_all().await
    }

    pub(super) async fn kill(&mut self) -> Result<()> {
        for node in self.moving() {
            node.kill().await?;
        }
        Ok(())
    }

    pub(super) async fn stop(&mut self) -> Result<Ended> {
        let ended = futures::future::try_join_all(self.moving().map(Node::stop)).await?;
        let code = ended.iter().map(|ended| ended.code).find(|code| *code != Some(0)).unwrap_or(Some(0));
        let joined = |part: fn(&Ended) -> &str| ended.iter().map(part).collect::<Vec<_>>().join("\n");
        Ok(Ended { code, stdout: joined(|ended| &ended.stdout), stderr: joined(|ended| &ended.stderr) })
    }

    /// Everything but the coordinators.
    fn moving(&mut self) -> impl Iterator<Item = &mut Node> {
        let cluster = &mut self.cluster;
        cluster.workers.iter_mut().chain(&mut cluster.gateways).chain(&mut cluster.dispatchers)
    }

    pub(super) fn worker_mut(&mut self) -> Result<&mut Node> {
        self.cluster.workers.first_mut().context("no worker")
    }

    pub(super) fn process_ids(&self) -> Result<Vec<u32>> {
        self.cluster.workers.iter().chain(&self.cluster.gateways).map(Node::process_id).collect()
    }

    pub(super) async fn metrics(&self) -> Result<String> {
        let mut all = String::new();
        for node in self.cluster.workers.iter().chain(&self.cluster.gateways).chain(&self.cluster.dispatchers) {
            all.push_str(&node.metrics().await?);
            all.push('\n');
        }
        Ok(all)
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.cluster
            .workers
            .iter()
            .chain(&self.cluster.gateways)
            .chain(&self.cluster.dispatchers)
            .flat_map(Node::log)
            .collect()
    }
}
