//! The scorecard's rows: each runs both sides, and adds its lines to the report.

mod bus;
mod coldstart;
mod faults;
mod inbound;
mod ledger;
mod receiving;
mod sending;
mod simulator;
mod soak;
mod standalone;

pub(super) use bus::bus;
pub(super) use coldstart::coldstart;
pub(super) use faults::{coordinator, failover, handover};
pub(super) use inbound::{inbound, resumes};
pub(super) use ledger::{disk, postgres};
pub(super) use receiving::receiving;
pub(super) use sending::sending;
pub(super) use simulator::simulator;
pub(super) use soak::soak;
pub(super) use standalone::{idle, restart, sockets};

use super::{
    report::{Report, Row, number},
    stage::{Beside, Simulator, swarm},
};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Which kind of Warren rows are about, and what is expected of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Texts a second.
    per_s: f64,
    /// Or this part of what bare clients send.
    share: f64,
    rate_target: &'static str,
}

impl Kind {
    pub(super) const STANDALONE: Self =
        Self { name: "standalone", per_s: 3_000.0, share: 1.0 / 3.0, rate_target: ">= 3000/s or >= 0.33x" };
    pub(super) const CLUSTER: Self =
        Self { name: "cluster", per_s: 1_500.0, share: 1.0 / 5.0, rate_target: ">= 1500/s or >= 0.2x" };

    pub(super) fn is_cluster(self) -> bool {
        self.name == Self::CLUSTER.name
    }
}

/// Runs bare clients against a simulator of their own.
fn bare(bin: &Path, clients: usize, more: &[&str]) -> Result<Value> {
    let simulator = Simulator::start(bin)?;
    let clients = clients.to_string();
    let target = ["bare", "--simulator", simulator.url(), "--clients", &clients];
    Beside::of(simulator.pid(), || swarm(bin, &[&target[..], more].concat()))
}

/// Row 6: the CPU of our processes; that of the others is printed beside.
fn cpu(report: &mut Report, name: String, ours: &Value, bare: f64) {
    const OURS: [&str; 5] = ["warren", "coordinator", "worker", "gateway", "dispatcher"];
    let costs = ours.pointer("/cost/cpu_us").and_then(Value::as_object).into_iter().flatten();
    let (ours, beside): (Vec<_>, Vec<_>) = costs.partition(|(name, _)| OURS.contains(&name.as_str()));
    let show = |costs: &[(&String, &Value)]| {
        let shown = costs.iter().map(|(name, cost)| format!("{name} {:.0} us", cost.as_f64().unwrap_or(f64::NAN)));
        shown.collect::<Vec<_>>().join(", ")
    };
    println!("{name}: {}; beside {}", show(&ours), show(&beside));
    // Without a figure it is not met.
    let cpu = if ours.is_empty() { f64::NAN } else { ours.iter().map(|(_, cost)| number(cost, "")).sum() };
    report.add(Row {
        name,
        ours: format!("{cpu:.0} us"),
        against: format!("{bare:.0} us bare ({:.2}x)", cpu / bare),
        target: "<= 4x",
        met: cpu <= 4.0 * bare,
    });
}
