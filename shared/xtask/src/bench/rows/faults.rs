//! Rows 11, 12 and 13: what breaks, as the fault catalogue of the load generator runs it, every invariant checked.

use super::bare;
use crate::bench::{
    Options,
    report::{Report, Row, Spread, number},
    stage::swarm_within,
};
use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// For a cluster with all its instances to be made ready.
const PREPARE: Duration = Duration::from_secs(900);
/// For one run on it.
const RUN: Duration = Duration::from_secs(600);

/// Row 11: a worker is killed, with a third of the instances on it.
pub(in crate::bench) fn failover(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let hit = (options.failover_instances / 3).max(1);
    let mut bare_s = Vec::new();
    for _ in 0..options.rounds.max(1) {
        bare_s.push(number(&bare(bin, hit, &["--reconnect"])?, "/reconnected_s"));
    }
    let bare = Spread::of(bare_s.iter().copied());
    let runs = runs(options, bin, 1, "killed", options.failover_repetitions)?;
    let detected = Spread::of(each(&runs, "/detected_s"));
    let reassigned = Spread::of(each(&runs, "/reassigned_s"));
    let connected = Spread::of(each(&runs, "/last_connected_s"));
    let ratio =
        Spread::of(runs.iter().map(|run| number(run, "/last_connected_s") / (number(run, "/detected_s") + bare.median)));
    let stages = format!("detected {:.2} s, reassigned {:.2} s", detected.median, reassigned.median);
    report.add(Row {
        name: format!("11 worker killed, {hit} connected elsewhere"),
        ours: format!("{:.2} s, worst {:.2} s", connected.median, connected.worst),
        against: stages,
        target: "2.5 s, worst 5 s",
        met: connected.median <= 2.5 && connected.worst <= 5.0,
    });
    report.add(Row {
        name: "11 the same, relative".to_owned(),
        ours: format!("{:.2}x, worst {:.2}x", ratio.median, ratio.worst),
        against: format!("{:.2} s detection + {:.2} s bare reconnects", detected.median, bare.median),
        target: "<= 2.5x",
        met: ratio.median <= 2.5,
    });
    let slow = self::runs(options, bin, 1, "killed, default admission", 1)?;
    let connected = Spread::of(each(&slow, "/last_connected_s"));
    report.add(Row {
        name: "11 the same at the default admission".to_owned(),
        ours: format!("{:.1} s", connected.median),
        against: format!("{hit} instances at 20 a second of each worker left"),
        target: "printed",
        met: connected.median.is_finite(),
    });
    invariants("11 worker killed", &[runs.as_slice(), slow.as_slice()].concat(), report);
    report.note("failover", json!({"bare_reconnects_s": bare_s, "runs": runs, "default_admission": slow}));
    Ok(())
}

/// Row 12: the coordinator that leads is killed.
pub(in crate::bench) fn coordinator(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    /// Before a worker whose stream ended with the old leader is taken for dead by the new one.
    const TTL: f64 = 3.0;
    let runs = runs(options, bin, 4, "leader killed", options.failover_repetitions)?;
    let leads = Spread::of(each(&runs, "/measured/new_leader_s"));
    report.add(Row {
        name: "12 leader killed, next one decides".to_owned(),
        ours: format!("{:.2} s, worst {:.2} s", leads.median, leads.worst),
        against: String::new(),
        target: "<= 1 s",
        met: leads.worst <= 1.0,
    });
    let failed: f64 = each(&runs, "/failed_calls").sum();
    let p99 = |when: &str| Spread::of(each(&runs, &format!("/latency/accepted_{when}/p99_ms")));
    let ratio = Spread::of(
        runs.iter()
            .map(|run| number(run, "/latency/accepted_during/p99_ms") / number(run, "/latency/accepted_before/p99_ms")),
    );
    report.add(Row {
        name: "12 sends meanwhile".to_owned(),
        ours: format!("{failed:.0} failed, p99 {:.1} ms", p99("during").median),
        against: format!("{:.1} ms before ({:.2}x, worst {:.2}x)", p99("before").median, ratio.median, ratio.worst),
        target: "0 failed, p99 <= 1.2x",
        met: failed < 0.5 && ratio.median <= 1.2,
    });
    let both = self::runs(options, bin, 4, "leader killed, then a worker", options.failover_repetitions)?;
    let detected = Spread::of(each(&both, "/detected_s"));
    report.add(Row {
        name: "12 a worker dies in between, detected".to_owned(),
        ours: format!("{:.2} s, worst {:.2} s", detected.median, detected.worst),
        against: format!("1 s + a lease of {TTL:.0} s"),
        target: "<= 4 s",
        met: detected.worst <= 1.0 + TTL,
    });
    invariants("12 leader killed", &[runs.as_slice(), both.as_slice()].concat(), report);
    report.note("coordinator", json!({"leader": runs, "leader_and_worker": both}));
    Ok(())
}

/// Row 13: everything is restarted, one process after the other.
pub(in crate::bench) fn handover(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let runs = runs(options, bin, 18, "everything", options.failover_repetitions)?;
    let p99 = Spread::of(each(&runs, "/gap_p99_ms"));
    let longest = Spread::of(each(&runs, "/gap_worst_ms"));
    let replaced: f64 = each(&runs, "/replaced").sum();
    let failed: f64 = each(&runs, "/failed_calls").sum();
    report.add(Row {
        name: "13 gap in a rolling restart".to_owned(),
        ours: format!("p99 {:.0} ms, worst {:.0} ms", p99.median, p99.worst),
        against: format!("longest {:.0} ms, {replaced:.0} replaced, {failed:.0} failed", longest.worst),
        target: "p99 <= 300 ms, 0 replaced",
        met: p99.worst <= 300.0 && replaced < 0.5,
    });
    invariants("13 rolling restart", &runs, report);
    report.note("handover", json!(runs));
    Ok(())
}

/// Runs one form of a fault; each run's outcome.
fn runs(options: &Options, bin: &Path, fault: u8, case: &str, repetitions: u32) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let (file, binary) = (folder.path().join("runs.json").display().to_string(), bin.join("warren").display().to_string());
    let (fault, repetitions) = (fault.to_string(), repetitions.max(1));
    let count = repetitions.to_string();
    let mut arguments = vec!["faults", "--binary", &binary, "--json", &file, "--fault", &fault, "--case", case];
    let instances = options.failover_instances.to_string();
    arguments.extend(["--repetitions", &count, "--instances", &instances]);
    // It fails if anything is violated or missed, which is a row here, and no reason to end.
    let ended = swarm_within(bin, &arguments, &[], PREPARE + RUN * repetitions);
    let Ok(text) = std::fs::read_to_string(&file) else {
        return ended.and_then(|_| bail!("the runs of a fault were not written"));
    };
    let outcomes = serde_json::from_str::<Value>(&text)?.get("runs").and_then(Value::as_array).cloned();
    let outcomes = outcomes.unwrap_or_default();
    ensure!(outcomes.len() == repetitions as usize, "{} of {repetitions} runs were written", outcomes.len());
    Ok(outcomes)
}

fn each<'a>(runs: &'a [Value], pointer: &str) -> impl Iterator<Item = f64> + use<'a> {
    let pointer = pointer.to_owned();
    runs.iter().map(move |run| number(run, &pointer))
}

/// What was violated, of invariants and of the fault's own bounds.
fn invariants(name: &str, runs: &[Value], report: &mut Report) {
    let violated: Vec<_> = runs.iter().filter_map(|run| run.get("violations").and_then(Value::as_array)).flatten().collect();
    for violation in &violated {
        println!("{name}: {violation}");
    }
    let acked: f64 = each(runs, "/acked").sum();
    report.add(Row {
        name: format!("{name}: invariants"),
        ours: format!("{} violated", violated.len()),
        against: format!("{} runs, {acked:.0} texts acknowledged", runs.len()),
        target: "0",
        met: violated.is_empty() && !runs.is_empty(),
    });
}
