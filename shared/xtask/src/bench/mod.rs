//! `cargo xtask bench`: the scorecard's rows, against the bare client library in the same run.
//!
//! Machines are noisy: what counts is the ratio of two sides measured one after the other on the same simulator binary.

mod machine;
mod stage;

use crate::shell::{Program, root};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use stage::{Line, Simulator, Standalone, swarm};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Idle instances in rows 1 and 3.
    #[arg(long, default_value_t = 5_000)]
    idle_instances: usize,
    /// Instances that send in row 8, and that are restarted.
    #[arg(long, default_value_t = 1_000)]
    instances: usize,
    /// How long each sending phase takes, seconds.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// How long to be idle, seconds; less than the clients' half-minute of keep-alives measures a part of it.
    #[arg(long, default_value_t = 40)]
    idle: u64,
    /// Only these parts: idle, send, restart.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the figures are written as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One line of the table.
struct Row {
    name: &'static str,
    ours: String,
    against: String,
    target: String,
    met: bool,
}

/// Measures and prints; a missed target is printed as plainly as one that was met, and is no error.
pub(crate) fn run(options: &Options) -> Result<()> {
    Program::cargo(&["build", "--release", "-p", "warren", "-p", "warren-swarm"]).run()?;
    let bin = target().join("release");
    let mut figures =
        json!({"machine": machine::describe(), "admission": "connects_per_second = 2000, connects_at_once = 64, no jitter"});
    println!("\n{}\nadmission for benchmarks: 2,000 connects a second, 64 at once, no jitter", machine::describe());
    let wants = |part: &str| options.only.is_empty() || options.only.iter().any(|only| only == part);
    let mut rows = Vec::new();
    if wants("idle") {
        rows.extend(idle(options, &bin, &mut figures)?);
    }
    if wants("send") || wants("restart") {
        rows.extend(busy(options, &bin, &mut figures, wants("send"), wants("restart"))?);
    }
    print(&rows);
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&figures)?).context("writing the figures")?;
    }
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Rows 1 and 3: memory and CPU of idle instances, over TLS on both sides.
fn idle(options: &Options, bin: &Path, figures: &mut Value) -> Result<Vec<Row>> {
    let count = options.idle_instances.to_string();
    let bare = {
        let simulator = Simulator::start(bin)?;
        let idle = options.idle.to_string();
        let arguments = ["bare", "--simulator", simulator.url(), "--clients", &count, "--pre-keys", "50", "--idle", &idle];
        swarm(bin, &[&arguments[..], &["--tls"]].concat())?
    };
    let simulator = Simulator::start(bin)?;
    let warren = Standalone::start(bin, &simulator, Line::Tls)?;
    let base = machine::private_kib(warren.pid())?;
    warren.fleet(bin, options.idle_instances)?;
    // What pairing left to do is not part of being idle; the client library saves its device after half a minute.
    std::thread::sleep(Duration::from_secs(45));
    let cpu = machine::cpu_seconds(warren.pid())?;
    std::thread::sleep(Duration::from_secs(options.idle));
    let cpu = (machine::cpu_seconds(warren.pid())? - cpu) / options.idle as f64 / options.idle_instances as f64 * 1e6;
    let memory = machine::private_kib(warren.pid())?.saturating_sub(base) as f64 / options.idle_instances as f64;
    let bare_memory = number(&bare, "/idle/private_kib_each");
    let bare_cpu = number(&bare, "/idle/cpu_us_each_s");
    note(figures, "idle", json!({"bare": bare, "warren": {"private_kib_each": memory, "cpu_us_each_s": cpu}}));
    Ok(vec![
        Row {
            name: "1 private memory of an idle instance",
            ours: format!("{memory:.0} KiB"),
            against: format!("{bare_memory:.0} KiB bare ({:.2}x)", memory / bare_memory),
            target: "<= 1.3x and <= 190 KiB".into(),
            met: memory <= 1.3 * bare_memory && memory <= 190.0,
        },
        Row {
            name: "3 CPU of an idle instance",
            ours: format!("{cpu:.1} us/s"),
            against: format!("{bare_cpu:.1} us/s bare ({:.2}x)", cpu / bare_cpu),
            target: "<= 1.5x".into(),
            met: cpu <= 1.5 * bare_cpu,
        },
    ])
}

/// Row 8, and the start of a store full of instances.
fn busy(options: &Options, bin: &Path, figures: &mut Value, send: bool, restart: bool) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let (count, seconds) = (options.instances.to_string(), options.seconds.to_string());
    let bare = if send {
        let simulator = Simulator::start(bin)?;
        let arguments = ["bare", "--simulator", simulator.url(), "--clients", &count, "--idle", "1", "--send", &seconds];
        Some(swarm(bin, &arguments)?)
    } else {
        None
    };
    let simulator = Simulator::start(bin)?;
    let mut warren = Standalone::start(bin, &simulator, Line::Plain)?;
    let paired = warren.fleet(bin, options.instances)?;
    note(figures, "pairing", paired);
    if let Some(bare) = bare {
        rows.extend(sending(options, bin, &warren, bare, figures)?);
    }
    if restart {
        let first_start = Standalone::first_answer(bin, &simulator)?;
        let (answered, online) = warren.restart(options.instances)?;
        note(
            figures,
            "restart",
            json!({"empty_store_answers_s": first_start, "answers_s": answered, "all_online_s": online}),
        );
        rows.push(Row {
            name: "start to first answer, empty store",
            ours: format!("{first_start:.2} s"),
            against: String::new(),
            target: "< 1 s".into(),
            met: first_start < 1.0,
        });
        rows.push(Row {
            name: "kill -9 and start: all online",
            ours: format!("{online:.1} s for {}", options.instances),
            against: format!("first answer after {answered:.2} s"),
            target: "<= 10 s for 1,000".into(),
            met: online <= 10.0,
        });
    }
    Ok(rows)
}

fn sending(options: &Options, bin: &Path, warren: &Standalone, bare: Value, figures: &mut Value) -> Result<Vec<Row>> {
    let full = warren.send(bin, options.seconds, 0)?;
    let rate = number(&full, "/sent_per_s");
    let part = warren.send(bin, options.seconds, (rate * 0.7) as u64)?;
    let bare_rate = number(&bare, "/send/sent_per_s");
    let (p50, p99) = (number(&part, "/p50_ms"), number(&part, "/p99_ms"));
    let cpu = number(&full, "/cpu_us_per_text");
    let bare_cpu = number(&bare, "/send/cpu_us_per_text");
    note(figures, "send", json!({"bare": bare, "closed_loop": full, "at_70_percent": part}));
    Ok(vec![
        Row {
            name: "8 durable texts, sustained",
            ours: format!("{rate:.0}/s"),
            against: format!("{bare_rate:.0}/s bare ({:.2}x)", rate / bare_rate),
            target: ">= 3000/s or >= 0.33x".into(),
            met: rate >= 3_000.0 || rate >= bare_rate / 3.0,
        },
        Row {
            name: "8 accept to server's ack at 70 %",
            ours: format!("p99 {p99:.1} ms"),
            against: format!("p50 {p50:.1} ms"),
            target: "p99 <= 100 ms".into(),
            met: p99 <= 100.0,
        },
        Row {
            name: "6 CPU of a sent text",
            ours: format!("{cpu:.0} us"),
            against: format!("{bare_cpu:.0} us bare ({:.2}x)", cpu / bare_cpu),
            target: "<= 4x".into(),
            met: cpu <= 4.0 * bare_cpu,
        },
    ])
}

fn note(figures: &mut Value, name: &str, value: Value) {
    if let Some(figures) = figures.as_object_mut() {
        figures.insert(name.to_owned(), value);
    }
}

fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

fn print(rows: &[Row]) {
    println!("\n{:<40} {:<18} {:<30} {:<24} ", "row", "warren", "against", "target");
    for row in rows {
        let verdict = if row.met { "met" } else { "MISSED" };
        println!("{:<40} {:<18} {:<30} {:<24} {verdict}", row.name, row.ours, row.against, row.target);
    }
}
