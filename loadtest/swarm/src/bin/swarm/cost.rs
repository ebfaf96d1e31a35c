//! What a stretch of load costs: CPU and memory of processes, and what Postgres wrote.

use crate::process;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::time::{Duration, Instant};
use warren_testkit::services::query;

/// Until Postgres has told its statistics of what was done just now: its processes do so once a second.
const TOLD: Duration = Duration::from_secs(2);

/// What is looked at.
#[derive(clap::Args)]
pub(crate) struct Watched {
    /// A process whose CPU and memory are printed, with its children. Those of one name are added up.
    #[arg(long = "process", value_name = "NAME=PID", value_delimiter = ',', value_parser = named)]
    processes: Vec<(String, u32)>,
    /// A Postgres whose commits and log are counted, by the URL of a superuser.
    #[arg(long, env = "SWARM_LEDGER", hide_env_values = true)]
    ledger: Option<String>,
}

/// A process as it is given: `NAME=PID`.
pub(crate) fn named(text: &str) -> Result<(String, u32)> {
    let (name, pid) = text.split_once('=').with_context(|| format!("{text} is not NAME=PID"))?;
    Ok((name.to_owned(), pid.parse()?))
}

/// What Postgres counted so far.
#[derive(Debug, Clone, Copy, Default)]
struct Written {
    /// Bytes of its log.
    wal_bytes: f64,
    /// Transactions that ended well, reading ones too.
    transactions: f64,
    /// Pages that are in the log as a whole, as after each checkpoint.
    whole_pages: f64,
    /// How often the log was synced to disk.
    syncs: f64,
}

impl Written {
    async fn read(url: &str) -> Result<Self> {
        const STATEMENT: &str = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn, \
            (SELECT sum(xact_commit) FROM pg_stat_database WHERE datname = current_database()), wal_fpi, wal_sync \
            FROM pg_stat_wal";
        let row = query(url, &[STATEMENT]).await?;
        let figures = row.split('|').map(str::parse).collect::<Result<Vec<f64>, _>>();
        match figures.as_deref() {
            Ok([wal_bytes, transactions, whole_pages, syncs]) => {
                Ok(Self { wal_bytes: *wal_bytes, transactions: *transactions, whole_pages: *whole_pages, syncs: *syncs })
            }
            _ => anyhow::bail!("Postgres does not tell its statistics"),
        }
    }

    fn since(self, before: Self) -> [(&'static str, f64); 4] {
        [
            ("wal_bytes", self.wal_bytes - before.wal_bytes),
            ("transactions", self.transactions - before.transactions),
            ("whole_pages", self.whole_pages - before.whole_pages),
            ("syncs", self.syncs - before.syncs),
        ]
    }
}

impl Watched {
    /// Begins to count.
    pub(crate) async fn start(&self) -> Result<Meter<'_>> {
        let written = match &self.ledger {
            Some(url) => Some(Written::read(url).await?),
            None => None,
        };
        Ok(Meter { watched: self, cpu: self.cpu()?, written, started: Instant::now() })
    }

    fn cpu(&self) -> Result<Vec<f64>> {
        self.processes.iter().map(|(_, pid)| process::family_cpu_seconds(*pid)).collect()
    }
}

/// Counts.
pub(crate) struct Meter<'a> {
    watched: &'a Watched,
    cpu: Vec<f64>,
    written: Option<Written>,
    started: Instant,
}

impl Meter<'_> {
    /// What each of `count` things cost: microseconds of CPU by name, and what Postgres wrote for it. Empty if nothing is
    /// looked at.
    pub(crate) async fn each(&self, count: u64) -> Result<Value> {
        let (cpu, count) = (self.watched.cpu()?, count.max(1) as f64);
        let mut cost = Map::new();
        for ((name, pid), (before, now)) in self.watched.processes.iter().zip(self.cpu.iter().zip(cpu)) {
            add(&mut cost, "cpu_us", name, (now - before) / count * 1e6);
            add(&mut cost, "private_kib", name, process::private_kib(*pid)? as f64);
        }
        if let (Some(url), Some(before)) = (&self.watched.ledger, self.written) {
            // The log is counted at once; the rest is told a little later.
            let wal_bytes = Written::read(url).await?.wal_bytes;
            tokio::time::sleep(TOLD).await;
            let written = Written { wal_bytes, ..Written::read(url).await? };
            for (name, figure) in written.since(before) {
                add(&mut cost, "ledger", name, figure / count);
            }
            add(&mut cost, "ledger", "over_s", self.started.elapsed().as_secs_f64());
        }
        Ok(Value::Object(cost))
    }
}

/// Adds to a figure below a group.
fn add(cost: &mut Map<String, Value>, group: &str, name: &str, figure: f64) {
    let group = cost.entry(group).or_insert_with(|| json!({}));
    let known = group.get(name).and_then(Value::as_f64).unwrap_or(0.0);
    if let Some(group) = group.as_object_mut() {
        group.insert(name.to_owned(), json!(known + figure));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_one_name_is_added_up() {
        let mut cost = Map::new();
        for figure in [1.5, 2.0] {
            add(&mut cost, "cpu_us", "worker", figure);
        }
        add(&mut cost, "cpu_us", "gateway", 4.0);
        assert_eq!(Value::Object(cost), json!({"cpu_us": {"worker": 3.5, "gateway": 4.0}}));
    }

    #[test]
    fn a_process_is_told_by_name_and_id() {
        assert_eq!(named("worker=12").ok(), Some(("worker".to_owned(), 12)));
        assert!(named("12").is_err() && named("worker=x").is_err());
    }
}
