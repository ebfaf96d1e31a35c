//! `cargo xtask bench`: the scorecard's rows, against the bare client library in the same run.
//!
//! Machines are noisy: what counts is the ratio of two sides measured by turns on the same simulator binary.

mod machine;
mod options;
mod report;
mod rows;
mod stage;

pub(crate) use options::Options;

use crate::shell::{Program, root};
use crate::system;
use anyhow::{Context, Result};
use options::Part;
use report::Report;
use rows::Kind;
use serde_json::json;
use stage::{Clustered, Line, Simulator, Standalone, Warren};
use std::path::{Path, PathBuf};

/// Measures and prints; a missed target is printed as plainly as one that was met, and is no error.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.wants_any(Part::NEED_SERVERS) {
        system::prepare()?;
    }
    let bin = match &options.binaries {
        Some(folder) => std::path::absolute(folder).context("where the binaries are")?,
        None => {
            Program::cargo(&["build", "--release", "-p", "warren", "-p", "warren-swarm"]).run()?;
            target().join("release")
        }
    };
    let mut report = Report::default();
    report.note("machine", json!(machine::describe()));
    report.note("admission", json!("connects_per_second = 2000, connects_at_once = 64, no jitter"));
    println!("\n{}\nadmission for benchmarks: 2,000 connects a second, 64 at once, no jitter", machine::describe());
    // What was measured until something failed is worth telling.
    let measured = measure(options, &bin, &mut report);
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report.figures())?).context("writing the figures")?;
    }
    measured
}

fn measure(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    if options.wants(Part::Simulator) {
        rows::simulator(options, bin, report)?;
    }
    if options.wants(Part::Idle) {
        rows::idle(options, bin, report)?;
    }
    if options.wants(Part::Sockets) {
        rows::sockets(options, bin, report)?;
    }
    if options.wants_any(Part::STANDALONE) {
        standalone(options, bin, report)?;
    }
    if options.wants(Part::Soak) {
        let simulator = Simulator::start(bin)?;
        rows::soak(options, Kind::STANDALONE, &Standalone::start(bin, &simulator, Line::Plain)?, report)?;
    }
    if options.wants(Part::Bus) {
        rows::bus(options, bin, report)?;
    }
    if options.wants_any(Part::CLUSTER) {
        cluster(options, bin, report)?;
    }
    if options.wants(Part::ClusterSoak) {
        rows::soak(options, Kind::CLUSTER, &Clustered::start(bin, options.cluster_workers)?, report)?;
    }
    if options.wants(Part::Coldstart) {
        rows::coldstart(options, bin, report)?;
    }
    if options.wants(Part::Failover) {
        rows::failover(options, bin, report)?;
    }
    if options.wants(Part::Coordinator) {
        rows::coordinator(options, bin, report)?;
    }
    if options.wants(Part::Handover) {
        rows::handover(options, bin, report)?;
    }
    Ok(())
}

/// The parts that share one standalone Warren.
fn standalone(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let simulator = Simulator::start(bin)?;
    let mut warren = Standalone::start(bin, &simulator, Line::Plain)?;
    let empty = warren.disk_bytes()?;
    report.note("pairing", warren.fleet(options.instances)?);
    let paired = warren.disk_bytes()?;
    if options.wants(Part::Send) {
        rows::sending(options, Kind::STANDALONE, bin, &warren, report)?;
    }
    if options.wants(Part::Receive) {
        rows::receiving(options, Kind::STANDALONE, bin, &warren, report)?;
    }
    if options.wants(Part::Disk) {
        rows::disk(options, Kind::STANDALONE, &warren, (empty, paired), report)?;
    }
    if options.wants(Part::Restart) {
        rows::restart(options, bin, &simulator, &mut warren, report)?;
    }
    Ok(())
}

/// The parts that share one cluster.
fn cluster(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let warren = Clustered::start(bin, options.cluster_workers)?;
    let empty = warren.disk_bytes()?;
    report.note("cluster_pairing", warren.fleet(options.cluster_instances)?);
    let paired = warren.disk_bytes()?;
    if options.wants(Part::ClusterSend) {
        rows::sending(options, Kind::CLUSTER, bin, &warren, report)?;
    }
    if options.wants(Part::Postgres) {
        rows::postgres(options, &warren, report)?;
    }
    if options.wants(Part::ClusterReceive) {
        rows::receiving(options, Kind::CLUSTER, bin, &warren, report)?;
    }
    if options.wants(Part::Inbound) {
        rows::inbound(options, bin, &warren, report)?;
    }
    if options.wants(Part::Resumes) {
        rows::resumes(options, &warren, report)?;
    }
    if options.wants(Part::ClusterDisk) {
        rows::disk(options, Kind::CLUSTER, &warren, (empty, paired), report)?;
    }
    Ok(())
}

/// Where builds are.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
