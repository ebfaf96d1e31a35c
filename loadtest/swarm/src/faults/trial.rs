//! One run of a fault: a load, the fault, and what is seen of it.

use super::logins::Logins;
use super::machine::CpuTime;
use super::outcome::Outcome;
use super::scene::Scene;
use super::watch::Watch;
use crate::load::{Kind, Load, Plan};
use crate::simulator::Stats;
use crate::witness::Mark;
use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use warren_testkit::cluster::{Cluster, Node, Role};

/// A run under way.
#[derive(Debug)]
pub struct Trial<'a> {
    /// What it runs on.
    pub scene: &'a mut Scene,
    /// Decides what is random in the fault itself.
    pub rng: StdRng,
    pub(super) load: Load,
    pub(super) watch: Watch,
    pub(super) outcome: Outcome,
    pub(super) mark: Mark,
    pub(super) began: Began,
    pub(super) fault: Option<Instant>,
    pub(super) before: Stats,
    pub(super) logins: Option<Logins>,
    pub(super) replaced_at_most: u64,
    pub(super) deaths_at_most: Option<u32>,
}

/// The beginning of a run.
#[derive(Debug)]
pub(super) struct Began {
    pub(super) at: Instant,
    pub(super) since_1970_ms: i64,
    pub(super) gaps: u64,
    pub(super) counted: BTreeMap<(String, String), f64>,
    pub(super) cpu: Option<CpuTime>,
    pub(super) stats: Stats,
}

impl<'a> Trial<'a> {
    /// Starts the load on a whole cluster, and lets it run well for a while.
    pub(super) async fn begin(scene: &'a mut Scene, fault: u8, case: &str, seed: u64) -> Result<Self> {
        scene.whole().await?;
        let mark = scene.witness.mark().await?;
        let watch = Watch::start(&scene.place.simulator, &mut scene.cluster);
        let stats = scene.place.simulator.stats().await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("a clock before 1970")?;
        let began = Began {
            at: Instant::now(),
            since_1970_ms: i64::try_from(now.as_millis()).unwrap_or(i64::MAX),
            gaps: scene.place.simulator.gaps(u64::MAX).await?.1,
            counted: scene.counted().await,
            cpu: CpuTime::now(),
            stats,
        };
        let outcome = Outcome {
            fault,
            case: case.to_owned(),
            seed,
            instances: scene.fleet.members.len() as u64,
            texts_per_s: scene.scale.rate,
            ..Outcome::default()
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let load = Load::start(&scene.place, &scene.fleet, Plan::usual(rng.random(), scene.scale.rate))?;
        sleep(scene.scale.steady).await;
        Ok(Self {
            rng,
            load,
            watch,
            outcome,
            mark,
            began,
            fault: None,
            before: stats,
            logins: None,
            replaced_at_most: 0,
            deaths_at_most: None,
            scene,
        })
    }

    /// The cluster.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.scene.cluster
    }

    /// Waits for a random while; what comes next is the fault. `hit` instances will have to log in again because of it.
    ///
    /// # Errors
    /// The simulator or Postgres does not answer.
    pub async fn strike(&mut self, hit: u64) -> Result<()> {
        let spread = self.scene.scale.spread.as_secs_f64();
        sleep(Duration::from_secs_f64(self.rng.random_range(0.0..=spread))).await;
        self.logins = Some(Logins::now(self.scene).await?);
        self.strike_now(hit).await
    }

    /// The same at once; also for the part of a fault that counts, after one that only leads to it.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn strike_now(&mut self, hit: u64) -> Result<()> {
        self.before = self.scene.place.simulator.stats().await?;
        self.outcome.hit = hit;
        self.outcome.busy_before = CpuTime::now().zip(self.began.cpu).map(|(now, began)| now.busy_since(began));
        self.fault = Some(Instant::now());
        Ok(())
    }

    /// When the fault came.
    ///
    /// # Errors
    /// It did not.
    pub fn struck(&self) -> Result<Instant> {
        self.fault.context("the fault has not come yet")
    }

    /// So many connections may be ended by another login: those that a paused owner still holds.
    pub const fn may_replace(&mut self, connections: u64) {
        self.replaced_at_most += connections;
    }

    /// So many workers may be taken for dead.
    pub const fn may_die(&mut self, workers: u32) {
        self.deaths_at_most = Some(workers);
    }

    /// The name of this form of the fault.
    #[must_use]
    pub fn case(&self) -> &str {
        &self.outcome.case
    }

    /// The first process of a role.
    ///
    /// # Errors
    /// There is none.
    pub fn first(&mut self, role: Role) -> Result<&mut Node> {
        let first = self.scene.cluster.nodes_mut().find(|node| node.role() == role);
        first.with_context(|| format!("no {}", role.as_str()))
    }

    /// Processes have come, gone, or answer no more.
    pub fn look_again(&mut self) {
        self.watch.look_again(&mut self.scene.cluster);
        self.scene.place.find_gateways(&self.scene.cluster);
    }

    /// A process is paused: its metrics are not waited for.
    pub fn without(&mut self, name: &str) {
        self.watch.without(&mut self.scene.cluster, name);
    }

    /// Notes a figure of the fault's own.
    pub fn measure(&mut self, name: &str, value: f64) {
        self.outcome.measured.insert(name.to_owned(), value);
    }

    /// Notes it if an instance was taken for one that two clients log in with.
    ///
    /// # Errors
    /// The API does not answer.
    pub(super) async fn nobody_is_quarantined(&mut self) -> Result<()> {
        let quarantined = self.scene.in_state("quarantined").await?;
        if quarantined > 0 {
            self.wrong(format!("{quarantined} instances are quarantined"));
        }
        Ok(())
    }

    /// Notes that something is wrong that no invariant speaks of.
    pub fn wrong(&mut self, what: impl Into<String>) {
        self.outcome.violations.push(what.into());
    }

    /// How many calls failed for good so far.
    #[must_use]
    pub fn failed_calls(&self) -> u64 {
        self.load.counts().failed
    }

    /// The load.
    #[must_use]
    pub const fn load(&self) -> &Load {
        &self.load
    }

    /// The slowest of a kind of call among those due since the fault, milliseconds.
    ///
    /// # Errors
    /// The fault has not come.
    pub fn slowest(&self, kind: Kind) -> Result<f64> {
        Ok(self.load.latencies().between(self.struck()?, Instant::now(), kind)?.worst_ms)
    }
}
