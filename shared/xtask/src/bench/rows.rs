//! The scorecard's rows: each runs both sides, and adds its lines to the report.

use super::{
    Options, machine,
    report::{Report, Row, number},
    stage::{Line, Simulator, Standalone, swarm},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

/// Runs bare clients against a simulator of their own.
fn bare(bin: &Path, clients: usize, more: &[&str]) -> Result<Value> {
    let simulator = Simulator::start(bin)?;
    let clients = clients.to_string();
    swarm(bin, &[&["bare", "--simulator", simulator.url(), "--clients", &clients], more].concat())
}

/// Rows 1 and 3: memory and CPU of idle instances, over TLS on both sides.
pub(super) fn idle(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let (count, idle) = (options.idle_instances as f64, options.idle.to_string());
    let bare = bare(bin, options.idle_instances, &["--pre-keys", "50", "--idle", &idle, "--tls"])?;
    let simulator = Simulator::start(bin)?;
    let warren = Standalone::start(bin, &simulator, Line::Tls)?;
    let base = machine::private_kib(warren.pid())?;
    warren.fleet(bin, options.idle_instances)?;
    // What pairing left to do is not part of being idle; the client library saves its device after half a minute.
    std::thread::sleep(Duration::from_secs(45));
    let cpu = machine::cpu_seconds(warren.pid())?;
    std::thread::sleep(Duration::from_secs(options.idle));
    let cpu = (machine::cpu_seconds(warren.pid())? - cpu) / options.idle as f64 / count * 1e6;
    let memory = machine::private_kib(warren.pid())?.saturating_sub(base) as f64 / count;
    let bare_memory = number(&bare, "/idle/private_kib_each");
    let bare_cpu = number(&bare, "/idle/cpu_us_each_s");
    report.note("idle", json!({"bare": bare, "warren": {"private_kib_each": memory, "cpu_us_each_s": cpu}}));
    report.add(Row {
        name: "1 private memory of an idle instance",
        ours: format!("{memory:.0} KiB"),
        against: format!("{bare_memory:.0} KiB bare ({:.2}x)", memory / bare_memory),
        target: "<= 1.3x and <= 190 KiB",
        met: memory <= 1.3 * bare_memory && memory <= 190.0,
    });
    report.add(Row {
        name: "3 CPU of an idle instance",
        ours: format!("{cpu:.1} us/s"),
        against: format!("{bare_cpu:.1} us/s bare ({:.2}x)", cpu / bare_cpu),
        target: "<= 1.5x",
        met: cpu <= 1.5 * bare_cpu,
    });
    Ok(())
}

/// Rows 8 and 6: how many texts, how late at 70 % of that, and for how much CPU; row 4 at half of it.
pub(super) fn sending(options: &Options, bin: &Path, warren: &Standalone, report: &mut Report) -> Result<()> {
    let seconds = options.seconds.to_string();
    let bare_full = bare(bin, options.instances, &["--seconds", &seconds, "--send"])?;
    let full = warren.send(bin, options.seconds, 0, false)?;
    let rate = number(&full, "/sent_per_s");
    let part = warren.send(bin, options.seconds, (rate * 0.7) as u64, false)?;
    let bare_rate = number(&bare_full, "/send/sent_per_s");
    let (p50, p99) = (number(&part, "/p50_ms"), number(&part, "/p99_ms"));
    report.add(Row {
        name: "8 durable texts, sustained",
        ours: format!("{rate:.0}/s"),
        against: format!("{bare_rate:.0}/s bare ({:.2}x)", rate / bare_rate),
        target: ">= 3000/s or >= 0.33x",
        met: rate >= 3_000.0 || rate >= bare_rate / 3.0,
    });
    report.add(Row {
        name: "8 accept to server's ack at 70 %",
        ours: format!("p99 {p99:.1} ms"),
        against: format!("p50 {p50:.1} ms"),
        target: "p99 <= 100 ms",
        met: p99 <= 100.0,
    });
    report.add(cpu_row("6 CPU of a sent text", &full, number(&bare_full, "/send/cpu_us_per_text")));
    report.note("send", json!({"bare": bare_full, "closed_loop": full, "at_70_percent": part}));
    hops(options, bin, warren, rate / 2.0, report)
}

/// Row 4: what the API and the commits add to a text, at half of the rate found.
///
/// The direct client is the bare one at the same rate; a text through the API waits besides for two commits, of its
/// acceptance and of its claim, each as long as a commit took in this run.
fn hops(options: &Options, bin: &Path, warren: &Standalone, rate: f64, report: &mut Report) -> Result<()> {
    let (rate, seconds) = (rate as u64, options.seconds);
    let direct = bare(bin, options.instances, &["--seconds", &seconds.to_string(), "--rate", &rate.to_string()])?;
    let raw = machine::commit_ms()?;
    let before = warren.hops()?;
    let whole = warren.send(bin, seconds, rate, false)?;
    let hops = warren.hops()?.since(&before);
    let accept = warren.send(bin, seconds, rate, true)?;
    for (name, quantile, target, most) in [
        ("4 API send at half load, p50", "p50_ms", "<= +0.3 ms", 0.3),
        ("4 API send at half load, p99", "p99_ms", "<= +2 ms", 2.0),
    ] {
        let (ours, theirs) = (number(&whole, &format!("/{quantile}")), number(&direct, &format!("/paced/{quantile}")));
        let added = ours - theirs - 2.0 * hops.commit_ms;
        report.add(Row {
            name,
            ours: format!("{ours:.1} ms"),
            against: format!("{theirs:.1} direct + 2 x {:.1} commit ({added:+.1})", hops.commit_ms),
            target,
            met: added <= most,
        });
    }
    let accept_p99 = number(&accept, "/p99_ms");
    report.add(Row {
        name: "4 the 202 at half load",
        ours: format!("p99 {accept_p99:.1} ms"),
        against: format!("{raw:.2} ms a raw commit ({:.1}x)", accept_p99 / raw),
        target: "p99 <= 5x",
        met: accept_p99 <= 5.0 * raw,
    });
    println!(
        "hops at half load, mean: accept {:.1} ms, commit {:.1} ms, accept to wire {:.1} ms, wire to ack {:.1} ms",
        number(&accept, "/p50_ms"),
        hops.commit_ms,
        hops.hand_ms,
        hops.ack_ms
    );
    let hops = json!({"commit_ms": hops.commit_ms, "hand_ms": hops.hand_ms, "ack_ms": hops.ack_ms});
    let figures = json!({"direct": direct, "whole": whole, "accept": accept, "hops": hops, "raw_commit_ms": raw});
    report.note("half_load", figures);
    Ok(())
}

/// Row 6: what a received text costs.
pub(super) fn receiving(options: &Options, bin: &Path, warren: &Standalone, report: &mut Report) -> Result<()> {
    let bare = bare(bin, options.instances, &["--receive", "20"])?;
    let ours = warren.receive(bin, 20)?;
    report.add(cpu_row("6 CPU of a received text", &ours, number(&bare, "/receive/cpu_us_per_text")));
    report.note("receive", json!({"bare": bare, "warren": ours}));
    Ok(())
}

fn cpu_row(name: &'static str, ours: &Value, bare: f64) -> Row {
    let cpu = number(ours, "/cpu_us_per_text");
    Row {
        name,
        ours: format!("{cpu:.0} us"),
        against: format!("{bare:.0} us bare ({:.2}x)", cpu / bare),
        target: "<= 4x",
        met: cpu <= 4.0 * bare,
    }
}

/// Row 9: an open WebSocket, and an event through many.
pub(super) fn sockets(options: &Options, bin: &Path, warren: &Standalone, report: &mut Report) -> Result<()> {
    let figures = warren.sockets(bin, options.sockets)?;
    let memory = number(&figures, "/private_kib_each");
    let (event, raw) = (number(&figures, "/cpu_us_per_event"), number(&figures, "/raw_write_us"));
    report.add(Row {
        name: "9 private memory of an idle WebSocket",
        ours: format!("{memory:.1} KiB"),
        against: String::new(),
        target: "<= 8 KiB",
        met: memory <= 8.0,
    });
    report.add(Row {
        name: "9 CPU of an event to a WebSocket",
        ours: format!("{event:.1} us"),
        against: format!("{raw:.1} us a raw write ({:.2}x)", event / raw),
        target: "<= 2x",
        met: event <= 2.0 * raw,
    });
    report.note("sockets", figures);
    Ok(())
}

/// The start with an empty store, and with a store full of instances.
pub(super) fn restart(
    options: &Options,
    bin: &Path,
    simulator: &Simulator,
    warren: &mut Standalone,
    report: &mut Report,
) -> Result<()> {
    let first_start = Standalone::first_answer(bin, simulator)?;
    let (answered, online) = warren.restart(options.instances)?;
    report.note("restart", json!({"empty_store_answers_s": first_start, "answers_s": answered, "all_online_s": online}));
    report.add(Row {
        name: "start to first answer, empty store",
        ours: format!("{first_start:.2} s"),
        against: String::new(),
        target: "< 1 s",
        met: first_start < 1.0,
    });
    report.add(Row {
        name: "kill -9 and start: all online",
        ours: format!("{online:.1} s for {}", options.instances),
        against: format!("first answer after {answered:.2} s"),
        target: "<= 10 s for 1,000",
        met: online <= 10.0,
    });
    Ok(())
}
