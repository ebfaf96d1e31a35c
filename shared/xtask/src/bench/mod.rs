//! `cargo xtask bench`: the scorecard's rows, against the bare client library in the same run.
//!
//! Machines are noisy: what counts is the ratio of two sides measured one after the other on the same simulator binary.

mod machine;
mod report;
mod rows;
mod stage;

use crate::shell::{Program, root};
use anyhow::{Context, Result};
use report::Report;
use serde_json::json;
use stage::{Line, Simulator, Standalone};
use std::path::PathBuf;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Idle instances in rows 1 and 3.
    #[arg(long, default_value_t = 5_000)]
    idle_instances: usize,
    /// Instances that send, receive, and are restarted.
    #[arg(long, default_value_t = 1_000)]
    instances: usize,
    /// WebSockets in row 9.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// How long each sending phase takes, seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long to be idle, seconds; less than the clients' half-minute of keep-alives measures a part of it.
    #[arg(long, default_value_t = 40)]
    idle: u64,
    /// Only these parts: idle, send, receive, sockets, restart.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Options {
    fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// Measures and prints; a missed target is printed as plainly as one that was met, and is no error.
pub(crate) fn run(options: &Options) -> Result<()> {
    Program::cargo(&["build", "--release", "-p", "warren", "-p", "warren-swarm"]).run()?;
    let bin = target().join("release");
    let mut report = Report::default();
    report.note("machine", json!(machine::describe()));
    report.note("admission", json!("connects_per_second = 2000, connects_at_once = 64, no jitter"));
    println!("\n{}\nadmission for benchmarks: 2,000 connects a second, 64 at once, no jitter", machine::describe());
    if options.wants("idle") {
        rows::idle(options, &bin, &mut report)?;
    }
    if ["send", "receive", "sockets", "restart"].iter().any(|part| options.wants(part)) {
        let simulator = Simulator::start(&bin)?;
        let mut warren = Standalone::start(&bin, &simulator, Line::Plain)?;
        let paired = warren.fleet(&bin, options.instances)?;
        report.note("pairing", paired);
        if options.wants("send") {
            rows::sending(options, &bin, &warren, &mut report)?;
        }
        if options.wants("receive") {
            rows::receiving(options, &bin, &warren, &mut report)?;
        }
        if options.wants("sockets") {
            rows::sockets(options, &bin, &warren, &mut report)?;
        }
        if options.wants("restart") {
            rows::restart(options, &bin, &simulator, &mut warren, &mut report)?;
        }
    }
    report.print();
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report.figures())?).context("writing the figures")?;
    }
    Ok(())
}

/// Where builds are.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
