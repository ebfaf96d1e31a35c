//! A whole cluster with a fleet on it, people who have talked with it and people who have not, and everybody who watches.

use super::network_cut::Proxies;
use super::scale::Scale;
use crate::load::{Fleet, Load, Plan, Record};
use crate::place::Place;
use crate::witness::{Follower as _, Receiver, ResumedStream, Stranger, Witness};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use warren_testkit::cluster::{Cluster, ClusterOptions, Durability, Shape};
use warren_testkit::{Api, Simulator, eventually};

/// What a fault needs of its cluster.
#[derive(Debug, Clone, Copy)]
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
    bystander: Arc<Receiver>,
    has_bystander: bool,
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
        let fleet = Arc::new(Fleet::pair(&place, scale.instances, scale.people).await?);
        let webhook = subscribe(&place, &receiver).await?;
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

    pub(super) async fn settled(&mut self, record: &Record) -> Result<bool> {
        self.witness.settled(record, self.scale.patience).await
    }

    /// Starts every process that does not run, and waits until every shard has an owner and every instance is connected.
    ///
    /// # Errors
    /// It does not come to that.
    pub async fn whole(&mut self) -> Result<()> {
        self.cluster.start_all().await?;
        self.place.find_gateways(&self.cluster);
        self.balanced().await?;
        self.connected().await.map(drop)
    }

    /// Waits until every instance is connected.
    ///
    /// # Errors
    /// Some are not in time.
    pub async fn connected(&self) -> Result<Instant> {
        let wanted = self.fleet.members.len();
        let ours: HashSet<_> = self.fleet.members.iter().map(|member| member.phone.as_str()).collect();
        let simulator = &self.place.simulator;
        let waited = eventually("every instance to be connected", self.scale.patience, async || {
            let accounts = simulator.accounts().await?;
            let ours = accounts.iter().filter(|account| ours.contains(account.phone.as_str()));
            let connected = ours.filter(|account| account.is_connected()).count();
            ensure!(connected >= wanted, "{connected} of {wanted} are connected");
            Ok(Some(Instant::now()))
        });
        waited.await.with_context(|| self.cluster.last_lines(12))
    }

    /// How many instances a worker serves.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn instances_of(&self, worker: usize) -> Result<u64> {
        let worker = self.cluster.workers.get(worker).context("no such worker")?;
        Ok(worker.metric("warren_instances").await? as u64)
    }

    /// Whether the promised figures are to be held.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.scale == Scale::FULL
    }

    /// How often the stream of events was opened.
    #[must_use]
    pub fn stream_connections(&self) -> u64 {
        self.stream.connections()
    }

    /// Shards that the running workers own, worker by worker.
    async fn owned(&self, is_asked: impl Fn(usize) -> bool) -> Result<Vec<u64>> {
        let mut owned = Vec::new();
        for (place, worker) in self.cluster.workers.iter().enumerate() {
            if is_asked(place) && worker.process_id().is_ok() {
                owned.push(worker.metric("warren_shards_owned").await? as u64);
            }
        }
        Ok(owned)
    }

    /// How many shards are owned.
    ///
    /// # Errors
    /// A worker does not answer.
    pub async fn shards_owned(&self) -> Result<u64> {
        Ok(self.owned(|_| true).await?.iter().sum())
    }

    /// Waits until the workers besides this one own every shard.
    ///
    /// # Errors
    /// They do not in time.
    pub async fn others_own(&self, worker: usize) -> Result<()> {
        let shards = u64::from(self.cluster.shard_count());
        let waited = eventually("the others to own every shard", self.scale.patience, async || {
            let owned: u64 = self.owned(|place| place != worker).await?.iter().sum();
            ensure!(owned >= shards, "they own {owned} of {shards}");
            Ok(Some(()))
        });
        waited.await.with_context(|| self.cluster.last_lines(12))
    }

    /// Waits until every worker owns its part of the shards.
    ///
    /// # Errors
    /// They do not in time.
    pub async fn balanced(&self) -> Result<()> {
        /// A shard or two more or less are as even.
        const UNEVEN: u64 = 2;
        let shards = u64::from(self.cluster.shard_count());
        let waited = eventually("shards to be even", self.scale.patience, async || {
            let owned = self.owned(|_| true).await?;
            let fair = shards / (owned.len() as u64).max(1);
            let is_fair = owned.iter().all(|owned| owned.abs_diff(fair) <= UNEVEN);
            ensure!(is_fair && owned.iter().sum::<u64>() == shards, "the workers own {owned:?}");
            Ok(Some(()))
        });
        waited.await.with_context(|| self.cluster.last_lines(12))
    }

    /// How many instances are in a state.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn in_state(&self, state: &str) -> Result<usize> {
        let api = Api::new(&self.place.endpoints.at(0), &self.place.key)?;
        let listed: Value = api.get(&format!("/v1/instances?state={state}&limit=100")).await?.into()?;
        Ok(listed.get("data").and_then(Value::as_array).context("no list")?.len())
    }

    /// The receiver of another webhook, which is well all the time.
    ///
    /// # Errors
    /// The webhook is not made.
    pub async fn bystander(&mut self) -> Result<Arc<Receiver>> {
        if !self.has_bystander {
            subscribe(&self.place, &self.bystander).await?;
            self.has_bystander = true;
        }
        Ok(self.bystander.clone())
    }

    /// Waits until the webhook's receiver has every event that there is.
    ///
    /// # Errors
    /// It has not in time.
    pub async fn drained(&mut self) -> Result<()> {
        let due = self.witness.log().await?;
        let receiver = &self.receiver;
        eventually("the webhook to be drained", self.scale.patience, async || {
            let missing = due.iter().filter(|entry| !receiver.has(&entry.id)).count();
            ensure!(missing == 0, "{missing} of {} events are missing", due.len());
            Ok(Some(()))
        })
        .await
    }

    /// Shards dropped by the workers that run because the ledger refused a write of theirs, by name.
    pub(super) async fn refused(&mut self) -> Vec<(String, u64)> {
        let mut refused = Vec::new();
        for worker in &mut self.cluster.workers {
            if worker.is_running()
                && let Ok(Ok(count)) = tokio::time::timeout(LIMIT, worker.metric("warren_ownership_lost_total")).await
            {
                refused.push((worker.name().to_owned(), count as u64));
            }
        }
        refused
    }
}

/// How long one process may take to tell its metrics.
const LIMIT: Duration = Duration::from_secs(5);

/// Makes a webhook of everything from the beginning of the log; its id.
async fn subscribe(place: &Place, receiver: &Receiver) -> Result<String> {
    let api = Api::new(&place.endpoints.at(0), &place.key)?;
    let made: Value = api.post("/v1/webhooks", &json!({"url": receiver.url(), "after": "begin"})).await?.into()?;
    let text = |name: &str| made.get(name).and_then(Value::as_str).with_context(|| format!("the webhook has no {name}"));
    receiver.expect(text("secret")?);
    Ok(text("id")?.to_owned())
}
