//! One run of a fault: a load, the fault, what is seen of it, and whether all of it was right.

use super::outcome::Outcome;
use super::scene::Scene;
use super::watch::Watch;
use crate::history::{End, History, Throughput};
use crate::invariant::{Invariant, check};
use crate::load::{Kind, Load, Plan, Record};
use crate::simulator::Stats;
use crate::witness::{Mark, ownership};
use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::time::sleep;
use warren_testkit::cluster::{Cluster, Node, Role};

/// Calls that took longer do not count as throughput.
const ON_TIME: Duration = Duration::from_secs(5);

/// A run under way.
#[derive(Debug)]
pub struct Trial<'a> {
    /// What it runs on.
    pub scene: &'a mut Scene,
    /// Decides what is random in the fault itself.
    pub rng: StdRng,
    load: Load,
    watch: Watch,
    outcome: Outcome,
    mark: Mark,
    began: Began,
    fault: Option<Instant>,
    before: Stats,
    replaced_at_most: u64,
    deaths_at_most: Option<u32>,
}

/// The beginning of a run.
#[derive(Debug)]
struct Began {
    at: Instant,
    since_1970_ms: i64,
    gaps: u64,
    refused: Vec<(String, u64)>,
    stats: Stats,
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
            refused: scene.refused().await,
            stats,
        };
        let outcome = Outcome {
            fault,
            case: case.to_owned(),
            seed,
            instances: scene.fleet.members.len() as u64,
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
    /// The simulator does not answer.
    pub async fn strike(&mut self, hit: u64) -> Result<()> {
        let spread = self.scene.scale.spread.as_secs_f64();
        sleep(Duration::from_secs_f64(self.rng.random_range(0.0..=spread))).await;
        self.strike_now(hit).await
    }

    /// The same at once; also for the part of a fault that counts, after one that only leads to it.
    ///
    /// # Errors
    /// The simulator does not answer.
    pub async fn strike_now(&mut self, hit: u64) -> Result<()> {
        self.before = self.scene.place.simulator.stats().await?;
        self.outcome.hit = hit;
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

    /// Lets the cluster heal by itself, then checks everything.
    pub(super) async fn verify(mut self) -> Result<Outcome> {
        let fault = self.struck()?;
        self.heal(fault).await?;
        let healed = Instant::now();
        sleep(self.scene.scale.steady).await;
        let ended = Instant::now();
        self.load.finish().await?;
        self.latencies(fault, healed, ended)?;
        let record = self.load.take();
        self.outcome.calls(&self.load.counts(), record.failures.clone());
        if !self.scene.settled(&record).await? {
            self.outcome.violations.push("not everything settled in time".to_owned());
        }
        let probes = self.probe().await?;
        let mut history = self.history(&record, &probes).await?;
        let steady = (self.began.at + Duration::from_millis(500), fault);
        history.throughput = Some(self.throughput(steady, (healed, ended), fault));
        history.memory = self.watch.memory(fault);
        self.conclude(&history).await?;
        Ok(self.outcome)
    }

    /// Waits until every shard is owned and everybody connected; notes how long each took.
    async fn heal(&mut self, fault: Instant) -> Result<()> {
        self.scene.cluster.owned().await?;
        self.scene.connected().await?;
        let deaths = self.watch.figures_at(fault).map_or(0.0, |figures| figures.deaths);
        let since = |at: Instant| at.saturating_duration_since(fault).as_secs_f64();
        let detected = self.watch.first_figures(fault, |figures| figures.deaths > deaths + 0.5);
        self.outcome.detected_s = detected.map(since);
        if let Some(detected) = detected {
            let shards = f64::from(self.scene.cluster.shard_count());
            let all_owned = self.watch.first_figures(detected, |figures| figures.owned > shards - 0.5);
            self.outcome.reassigned_s = all_owned.map(since);
        }
        if self.outcome.hit > 0 {
            let (logins, open) = (self.before.logins + self.outcome.hit, self.before.connections_open);
            let all = self.watch.first_stats(fault, |now| now.logins >= logins && now.connections_open >= open);
            self.outcome.last_connected_s = all.map(since);
        }
        Ok(())
    }

    fn latencies(&mut self, fault: Instant, healed: Instant, ended: Instant) -> Result<()> {
        for (name, from, until) in [("before", self.began.at, fault), ("during", fault, healed), ("after", healed, ended)] {
            for (kind, what) in [(Kind::Accepted, "accepted"), (Kind::Sent, "sent"), (Kind::Asked, "asked")] {
                let quantiles = self.load.latencies().between(from, until, kind)?;
                self.outcome.latency(&format!("{what}_{name}"), &quantiles);
            }
        }
        Ok(())
    }

    /// A text in each direction in chats of every part of the fleet.
    async fn probe(&mut self) -> Result<Record> {
        let chats = self.scene.fleet.chats.len();
        let wanted = self.scene.scale.probes.min(chats);
        let step = (chats / wanted.max(1)).max(1);
        let chosen: Vec<_> = (0..chats).step_by(step).take(wanted).collect();
        let probes = self.load.probe(&chosen, self.rng.random()).await;
        if probes.sent.len() < chosen.len() || probes.written.len() < chosen.len() {
            self.outcome.violations.push(format!("not every probe was accepted: {:?}", probes.failures));
        }
        self.scene.settled(&probes).await?;
        Ok(probes)
    }

    async fn history(&mut self, record: &Record, probes: &Record) -> Result<History> {
        let scene = &mut *self.scene;
        let mut history = scene.witness.history(record, probes, &self.mark).await?;
        let followers: [(usize, &dyn crate::witness::Follower); 2] = [(0, &scene.stream), (0, &scene.receiver)];
        scene.witness.readers(&mut history, &followers, scene.scale.patience).await?;
        history.looks = scene.stranger.look(&scene.fleet, record).await;
        history.ownership = ownership(&scene.cluster.servers.ledger, self.began.since_1970_ms).await?;
        history.ownership.replaced_at_most = self.replaced_at_most;
        let stats = scene.place.simulator.stats().await?;
        history.ownership.replaced = stats.replaced.saturating_sub(self.began.stats.replaced);
        Ok(history)
    }

    fn throughput(&self, steady: (Instant, Instant), healed: (Instant, Instant), fault: Instant) -> Throughput {
        let rate = |(from, until)| self.load.latencies().rate(from, until, ON_TIME);
        Throughput {
            steady_per_s: rate(steady),
            healed_per_s: rate(healed),
            healed_after: healed.0.saturating_duration_since(fault),
        }
    }

    /// Turns what was seen into figures.
    async fn conclude(&mut self, history: &History) -> Result<()> {
        let violations = check(history);
        let deaths = |at| self.watch.figures_at(at).map_or(0.0, |figures| figures.deaths);
        let died = deaths(Instant::now()) - deaths(self.began.at);
        let count = |invariants: &[Invariant]| {
            violations.iter().filter(|violation| invariants.contains(&violation.invariant)).count() as u64
        };
        let outcome = &mut self.outcome;
        outcome.measured.insert("workers_taken_for_dead".to_owned(), died);
        if self.deaths_at_most.is_some_and(|most| died > f64::from(most) + 0.5) {
            outcome.violations.push(format!("{died} workers were taken for dead"));
        }
        outcome.acked = history.sends.len() as u64;
        outcome.emitted = history.emitted.len() as u64;
        outcome.lost = count(&[Invariant::I1, Invariant::I4]);
        outcome.visible_duplicates = count(&[Invariant::I2a, Invariant::I2b]);
        outcome.wire_resends = history.taken.iter().map(|taken| u64::from(taken.copies.saturating_sub(1))).sum();
        let sessions = &history.sessions;
        outcome.undecryptable = sessions.undecryptable_inbound + sessions.undecryptable_outbound + sessions.retry_receipts;
        outcome.replaced = history.ownership.replaced;
        let failed = history.sends.iter().filter(|send| send.end == End::Failed).count();
        outcome.measured.insert("sends_reported_failed".to_owned(), failed as f64);
        let worker = history.memory.iter().find(|memory| memory.kind == "worker");
        outcome.worst_worker_memory = worker.map_or(0, |memory| memory.worst);
        outcome.worst_webhook_lag_s = self.watch.worst_webhook_lag();
        outcome.violations.extend(violations.iter().map(ToString::to_string));
        let simulator = &self.scene.place.simulator;
        let logins = simulator.stats().await?.logins.saturating_sub(self.began.stats.logins);
        outcome.disconnects = logins.saturating_sub(outcome.hit);
        let mut gaps: Vec<_> = simulator.gaps(self.began.gaps).await?.0;
        gaps.sort_unstable();
        outcome.gap_worst_ms = gaps.last().copied();
        outcome.gap_p99_ms = gaps.get((gaps.len() * 99).div_ceil(100).saturating_sub(1)).copied();
        let refused = self.scene.refused().await;
        let earlier = |name: &str| self.began.refused.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
        // A counter that is smaller belongs to a later start.
        let since = |(name, count): &(String, u64)| count.checked_sub(earlier(name)).unwrap_or(*count);
        outcome.stale_writes_refused = refused.iter().map(since).sum();
        Ok(())
    }
}
