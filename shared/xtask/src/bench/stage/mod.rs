//! What a benchmark runs on, and the load generator that it runs: everything ends with its handle.

mod cluster;
mod metrics;
mod process;
mod standalone;

pub(crate) use cluster::Clustered;
pub(crate) use process::{Beside, Line, Simulator, swarm, swarm_within};
pub(crate) use standalone::Standalone;

use anyhow::Result;
use serde_json::Value;
use std::time::Duration;

/// For one command of the load generator.
const LIMIT: Duration = Duration::from_secs(1_800);

/// Instances connect as fast as they can, and have few keys to make: the same for every kind of Warren, and as bare clients do.
const ADMISSION: [(&str, &str); 3] = [
    ("WARREN_WORKER__CONNECTS_PER_SECOND", "2000"),
    ("WARREN_WORKER__RECONNECT_JITTER_MS", "0"),
    ("WARREN_WORKER__PRE_KEYS", "50"),
];

/// Texts to be sent, one chat an instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// How long.
    pub(crate) seconds: u64,
    /// Texts a second; 0: as fast as they are answered.
    pub(crate) rate: u64,
    /// Whether only their acceptance is waited for, and not the server's acknowledgement.
    pub(crate) accept: bool,
    /// What people confirm: `none`, `delivered` or `read`.
    pub(crate) receipts: &'static str,
}

impl Load {
    /// As fast as they are acknowledged.
    pub(crate) const fn closed_loop(seconds: u64) -> Self {
        Self { seconds, rate: 0, accept: false, receipts: "delivered" }
    }

    /// At a rate.
    pub(crate) const fn paced(seconds: u64, rate: u64) -> Self {
        Self { seconds, rate, accept: false, receipts: "delivered" }
    }

    /// As the load generator takes it.
    fn arguments(&self) -> Vec<String> {
        let mut arguments =
            vec!["--seconds".to_owned(), self.seconds.to_string(), "--rate".to_owned(), self.rate.to_string()];
        arguments.extend(["--receipts".to_owned(), self.receipts.to_owned()]);
        arguments.extend(self.accept.then(|| "--accept".to_owned()));
        arguments
    }
}

/// A Warren with a fleet, standalone or a cluster.
pub(crate) trait Warren {
    /// Sends texts; what the load generator tells of them, their hops too.
    fn send(&self, load: Load) -> Result<Value>;
    /// Lets people write so many texts to every instance.
    fn receive(&self, texts: u64) -> Result<Value>;
    /// One command of the load generator against it.
    fn load(&self, command: &str, more: &[&str]) -> Result<Value>;
    /// Lets texts go both ways with a fleet of its own, so many a second out, then checks every invariant.
    fn soak(&self, instances: usize, rate: u64, seconds: u64) -> Result<Value> {
        let [instances, rate, seconds] = [instances.to_string(), rate.to_string(), seconds.to_string()];
        let mut all = vec!["--instances", &instances, "--rate", &rate, "--seconds", &seconds];
        let witnesses = self.witnesses()?;
        all.extend(witnesses.iter().map(String::as_str));
        self.load("soak", &all)
    }
    /// What a soak looks at beside the API: the memory of our processes, a webhook if one can be posted to.
    fn witnesses(&self) -> Result<Vec<String>>;
    /// How long one commit alone takes, milliseconds: the median.
    fn raw_commit_ms(&self) -> Result<f64>;
    /// What its ledger has on disk.
    fn disk_bytes(&self) -> Result<f64>;
}
