//! How a scene stands: what is owned, connected, delivered, and the waits for it.

use super::scale::Scale;
use super::scene::Scene;
use crate::load::Record;
use crate::witness::{Follower as _, Receiver};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use warren_testkit::eventually;

/// How long one process may take to tell its metrics.
const LIMIT: Duration = Duration::from_secs(5);

/// The counters that tell why something happened.
const COUNTERS: &[&str] = &[
    "warren_bus_refused_total",
    "warren_bus_retries_total",
    "warren_connects_total",
    "warren_coordinator_deaths_total",
    "warren_coordinator_elections_total",
    "warren_coordinator_moves",
    "warren_coordinator_retakes_total",
    "warren_inbound_lost_total",
    "warren_limiter_local_total",
    "warren_ownership_lost_total",
    "warren_replaced_total",
    "warren_resends_total",
    "warren_sessions_given_up_total",
    "warren_signals_dropped_total",
    "warren_webhook_claims_lost_total",
    "warren_webhook_missed_total",
];

impl Scene {
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
            // The count first: the list of all accounts, as often as one has to look, takes a tenth of a CPU.
            let open = simulator.stats().await?.connections_open;
            ensure!(open >= wanted as u64, "{open} of {wanted} connections are open");
            let accounts = simulator.accounts().await?;
            let ours = accounts.iter().filter(|account| ours.contains(account.phone.as_str()));
            let connected = ours.filter(|account| account.is_connected()).count();
            ensure!(connected >= wanted, "{connected} of {wanted} are connected");
            Ok(Some(Instant::now()))
        });
        waited.await.with_context(|| self.cluster.last_lines(4))
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
        waited.await.with_context(|| self.cluster.last_lines(4))
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
        waited.await.with_context(|| self.cluster.last_lines(4))
    }

    /// How many instances are in a state.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn in_state(&self, state: &str) -> Result<usize> {
        let listed: Value = self.place.api()?.get(&format!("/v1/instances?state={state}&limit=100")).await?.into()?;
        Ok(listed.get("data").and_then(Value::as_array).context("no list")?.len())
    }

    /// The receiver of another webhook, which is well all the time.
    ///
    /// # Errors
    /// The webhook is not made.
    pub async fn bystander(&mut self) -> Result<Arc<Receiver>> {
        if !self.has_bystander {
            self.bystander.subscribe(&self.place.api()?, "begin", None).await?;
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

    /// What the running processes have counted, by process and counter.
    pub(super) async fn counted(&mut self) -> BTreeMap<(String, String), f64> {
        let mut counted = BTreeMap::new();
        for node in self.cluster.nodes_mut() {
            let metrics = if node.is_running() { timeout(LIMIT, node.metrics()).await } else { continue };
            let Ok(Ok(text)) = metrics else { continue };
            for (name, value) in text.lines().filter_map(|line| line.rsplit_once(' ')) {
                let is_one = COUNTERS.iter().any(|counter| name.starts_with(counter));
                if let (true, Ok(value)) = (is_one, value.parse()) {
                    counted.insert((node.name().to_owned(), name.to_owned()), value);
                }
            }
        }
        counted
    }
}
