//! What is looked at all the time while a fault runs its course: the simulator's counters, who owns how many shards, memory.

use crate::history::Memory;
use crate::simulator::{Simulator, Stats};
use anyhow::Result;
use futures::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use warren_testkit::cluster::{Cluster, Node, Role};
use warren_testkit::memory_of;

/// Between two looks at the simulator's counters.
const CLOSE: Duration = Duration::from_millis(20);
/// Between two looks at the processes' metrics.
const WIDE: Duration = Duration::from_millis(100);
/// Looks at metrics to one look at memory.
const MEMORY: u64 = 10;
/// How long the metrics of one process may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A process to look at.
#[derive(Debug, Clone)]
struct Looked {
    role: Role,
    name: String,
    url: String,
    id: Option<u32>,
}

/// What the processes' metrics said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    /// Shards that workers own, in all.
    pub(super) owned: f64,
    /// Workers that the coordinators saw die, in all.
    pub(super) deaths: f64,
    /// How far the webhooks are behind, seconds.
    pub(super) webhook_lag: f64,
}

#[derive(Debug, Default)]
struct Seen {
    stats: Vec<(Instant, Stats)>,
    figures: Vec<(Instant, Figures)>,
    memory: Vec<(Instant, HashMap<&'static str, u64>)>,
    /// Deaths of coordinators that have gone since: their counters start again.
    deaths: HashMap<String, (f64, f64)>,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    seen: Arc<Mutex<Seen>>,
    nodes: Arc<Mutex<Vec<Looked>>>,
    /// Processes that are paused.
    paused: HashSet<String>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn with<T>(seen: &Mutex<Seen>, look: impl FnOnce(&mut Seen) -> T) -> T {
    look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Watch {
    pub(super) fn start(simulator: &Simulator, cluster: &mut Cluster) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let nodes = Arc::new(Mutex::new(looked(cluster)));
        let tasks = [
            tokio::spawn(watch_simulator(simulator.clone(), seen.clone())),
            tokio::spawn(watch_processes(nodes.clone(), seen.clone())),
        ];
        Self { seen, nodes, paused: HashSet::new(), tasks }
    }

    /// Processes have come or gone, and none is paused.
    pub(super) fn look_again(&mut self, cluster: &mut Cluster) {
        self.paused.clear();
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = looked(cluster);
    }

    /// A process is paused: waiting for its metrics would hold up the others'.
    pub(super) fn without(&mut self, cluster: &mut Cluster, name: &str) {
        self.paused.insert(name.to_owned());
        let nodes = looked(cluster).into_iter().filter(|node| !self.paused.contains(&node.name)).collect();
        *self.nodes.lock().unwrap_or_else(PoisonError::into_inner) = nodes;
    }

    /// The simulator's counters at this moment, or the first ones after it.
    pub(super) fn stats_at(&self, at: Instant) -> Option<Stats> {
        with(&self.seen, |seen| {
            let after = seen.stats.iter().find(|(when, _)| *when >= at).or_else(|| seen.stats.last());
            after.map(|(_, stats)| *stats)
        })
    }

    /// The figures at this moment, or the last ones before it.
    pub(super) fn figures_at(&self, at: Instant) -> Option<Figures> {
        with(&self.seen, |seen| {
            let before = seen.figures.iter().rev().find(|(when, _)| *when <= at).or_else(|| seen.figures.first());
            before.map(|(_, figures)| *figures)
        })
    }

    /// The first look at the simulator after `at` of which this is true.
    pub(super) fn first_stats(&self, at: Instant, is_it: impl Fn(&Stats) -> bool) -> Option<Instant> {
        with(&self.seen, |seen| seen.stats.iter().find(|(when, stats)| *when > at && is_it(stats)).map(|(when, _)| *when))
    }

    /// The first look at the processes after `at` of which this is true.
    pub(super) fn first_figures(&self, at: Instant, is_it: impl Fn(&Figures) -> bool) -> Option<Instant> {
        with(&self.seen, |seen| {
            seen.figures.iter().find(|(when, figures)| *when > at && is_it(figures)).map(|(when, _)| *when)
        })
    }

    /// The worst lag of webhooks, seconds.
    pub(super) fn worst_webhook_lag(&self) -> f64 {
        with(&self.seen, |seen| seen.figures.iter().map(|(_, figures)| figures.webhook_lag).fold(0.0, f64::max))
    }

    /// Messages a second that the server took between two moments.
    pub(super) fn throughput(&self, from: Instant, until: Instant) -> f64 {
        let taken = |at| self.stats_at(at).map_or(0, |stats| stats.messages_accepted);
        let seconds = until.saturating_duration_since(from).max(Duration::from_millis(1)).as_secs_f64();
        taken(until).saturating_sub(taken(from)) as f64 / seconds
    }

    /// What each kind of process held before `fault`, and the most since.
    pub(super) fn memory(&self, fault: Instant) -> Vec<Memory> {
        with(&self.seen, |seen| Memory::of(&seen.memory, fault))
    }
}

fn looked(cluster: &mut Cluster) -> Vec<Looked> {
    let look = |node: &mut Node| {
        let id = if node.is_running() { node.process_id().ok() } else { None };
        Looked { role: node.role(), name: node.name().to_owned(), url: node.metrics_address().to_owned(), id }
    };
    cluster.nodes_mut().map(look).collect()
}

async fn watch_simulator(simulator: Simulator, seen: Arc<Mutex<Seen>>) {
    let mut clock = interval(CLOSE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        if let Ok(stats) = simulator.stats().await {
            with(&seen, |seen| seen.stats.push((Instant::now(), stats)));
        }
    }
}

async fn watch_processes(nodes: Arc<Mutex<Vec<Looked>>>, seen: Arc<Mutex<Seen>>) {
    let Ok(http) = crate::http_client(LIMIT) else { return };
    let mut clock = interval(WIDE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        clock.tick().await;
        let now = nodes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_looked_at = |node: &&Looked| node.role != Role::Gateway && node.id.is_some();
        let look = async |node: &Looked| {
            let text = timeout(LIMIT, metrics(&http, &node.url)).await.ok().and_then(Result::ok);
            (node.role, node.name.clone(), text.unwrap_or_default())
        };
        let metrics = join_all(now.iter().filter(is_looked_at).map(look)).await;
        let at = Instant::now();
        with(&seen, |seen| {
            let mut figures = Figures::default();
            for (role, name, text) in &metrics {
                figures.owned += sum(text, "warren_shards_owned");
                figures.webhook_lag = figures.webhook_lag.max(sum(text, "warren_webhook_lag_seconds"));
                // One that does not answer has not forgotten anything yet.
                if *role == Role::Coordinator && !text.is_empty() {
                    seen.died(name, sum(text, "warren_coordinator_deaths_total"));
                }
            }
            figures.deaths = seen.deaths.values().map(|(before, now)| before + now).sum();
            seen.figures.push((at, figures));
            if number % MEMORY == 0 {
                seen.memory.push((at, held(&now)));
            }
        });
    }
}

impl Seen {
    fn died(&mut self, coordinator: &str, count: f64) {
        let (before, now) = self.deaths.entry(coordinator.to_owned()).or_default();
        if count < *now {
            *before += *now;
        }
        *now = count;
    }
}

fn held(nodes: &[Looked]) -> HashMap<&'static str, u64> {
    let mut held = HashMap::new();
    for node in nodes {
        if let Some(bytes) = node.id.and_then(|id| memory_of(id).ok()) {
            *held.entry(node.role.as_str()).or_default() += bytes;
        }
    }
    held
}

async fn metrics(http: &reqwest::Client, url: &str) -> Result<String> {
    Ok(http.get(url).send().await?.error_for_status()?.text().await?)
}

/// The sum of a metric's samples.
pub(super) fn sum(text: &str, name: &str) -> f64 {
    let samples = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
    samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_the_samples_of_one_metric() {
        let text = "# HELP a x\na 1\na_b 7\na{c=\"d\"} 2.5\n";
        assert!((sum(text, "a") - 3.5).abs() < 1e-9);
        assert!(sum(text, "b").abs() < 1e-9);
    }

    #[test]
    fn counters_that_start_again_are_added() {
        let mut seen = Seen::default();
        for count in [1.0, 3.0, 0.0, 2.0] {
            seen.died("c", count);
        }
        let all: f64 = seen.deaths.values().map(|(before, now)| before + now).sum();
        assert!((all - 5.0).abs() < 1e-9);
    }
}
