//! A whole cluster with a fleet on it, people who have talked with it and people who have not, and everybody who watches.

use super::network_cut::Proxies;
use super::scale::Scale;
use crate::load::{Fleet, Load, Plan};
use crate::place::Place;
use crate::witness::{Receiver, ResumedStream, Stranger, Witness};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::sync::Arc;
use warren_testkit::Simulator;
use warren_testkit::cluster::{Cluster, ClusterOptions, Durability, Shape};

/// What a fault needs of its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// How many of what.
    pub shape: Shape,
    /// How Postgres is started.
    pub durability: Durability,
    /// Further environment of every process.
    pub environment: &'static [(&'static str, &'static str)],
    /// Whether the binary must have fault points.
    pub fault_points: bool,
}

impl Needs {
    /// The usual cluster over a Postgres that nobody kills.
    pub const USUAL: Self =
        Self { shape: Shape::USUAL, durability: Durability::Shared, environment: &[], fault_points: false };
    /// The usual cluster over a Postgres of its own.
    pub const OWN_POSTGRES: Self = Self { durability: Durability::Private, ..Self::USUAL };
}

/// How fast instances may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// 2,000 a second of a worker, as benchmarks need it.
    Benchmark,
    /// As the settings have it, which suits WhatsApp.
    Default,
}

/// The whole of it.
#[derive(Debug)]
pub struct Scene {
    /// The cluster.
    pub cluster: Cluster,
    /// Where it is.
    pub place: Place,
    /// Its instances, all paired, and their people.
    pub fleet: Arc<Fleet>,
    /// How large all is.
    pub scale: Scale,
    /// A webhook's receiver.
    pub receiver: Receiver,
    /// The webhook's id.
    pub webhook: String,
    /// What stands before the first worker's servers, once it was put there.
    pub proxies: Option<Proxies>,
    pub(super) bystander: Arc<Receiver>,
    pub(super) has_bystander: bool,
    pub(super) stream: ResumedStream,
    pub(super) stranger: Stranger,
    pub(super) witness: Witness,
    simulator: Simulator,
}

impl Scene {
    /// Starts everything, pairs the fleet and lets the first half of its chats exchange a text each.
    ///
    /// # Errors
    /// Something does not start, or an instance does not come online.
    pub async fn prepare(binary: &Path, needs: &Needs, scale: Scale, admission: Admission) -> Result<Self> {
        let simulator = Simulator::start(binary).await?;
        let (receiver, bystander) = (Receiver::start()?, Receiver::start()?);
        let mut options = ClusterOptions::new(binary, needs.shape, simulator.url())
            .durability(needs.durability)
            .env("WARREN_WORKER__PRE_KEYS", "50")
            .env("WARREN_EGRESS__ALLOW_HTTP", "true")
            .env("WARREN_EGRESS__PORTS", &format!("[{}, {}]", receiver.port(), bystander.port()))
            .env("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#);
        if admission == Admission::Benchmark {
            options = options.env("WARREN_WORKER__CONNECTS_PER_SECOND", "2000");
        }
        for (name, value) in needs.environment {
            options = options.env(name, value);
        }
        let cluster = Cluster::start(options).await?;
        let place = Place::of_cluster(&cluster, simulator.url())?;
        let paired = Fleet::pair(&place, scale.instances, scale.people).await;
        let fleet = Arc::new(paired.with_context(|| cluster.last_lines(8))?);
        let webhook = receiver.subscribe(&place.api()?, "begin", None).await?;
        let mut scene = Self {
            witness: Witness::new(&place, &fleet)?,
            stream: ResumedStream::open(&place).await?,
            stranger: Stranger::arrive(&place).await?,
            cluster,
            place,
            fleet,
            scale,
            receiver,
            webhook,
            proxies: None,
            bystander: Arc::new(bystander),
            has_bystander: false,
            simulator,
        };
        scene.acquaint().await?;
        Ok(scene)
    }

    /// The simulator's process.
    #[must_use]
    pub const fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Lets every second chat of each instance exchange a text: below a reserved counter, sessions behave differently.
    async fn acquaint(&mut self) -> Result<()> {
        let nothing = Plan { sends_per_s: 0.0, texts_per_s: 0.0, asks_per_s: 0.0, ..Plan::usual(0, 1.0) };
        let load = Load::start(&self.place, &self.fleet, nothing)?;
        let known: Vec<_> = (0..self.fleet.chats.len() / 2).collect();
        let exchanged = load.probe(&known, u64::from(u32::MAX)).await;
        let all = exchanged.sent.len() == known.len() && exchanged.written.len() == known.len();
        ensure!(all, "not every first text was accepted: {:?}", exchanged.failures);
        ensure!(self.settled(&exchanged).await?, "the first texts did not arrive");
        Ok(())
    }
}
