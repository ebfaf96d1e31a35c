//! Rows 8, 6 and 4: how many texts, how late at 70 % of that, for how much CPU, and what the API adds at half of it.

use super::{Kind, bare, cpu};
use crate::bench::{
    Options,
    report::{Report, Row, Spread, number},
    stage::{Load, Warren},
};
use anyhow::Result;
use serde_json::{Value, json};
use std::path::Path;

/// All of it, for either kind of Warren.
pub(in crate::bench) fn sending(
    options: &Options,
    kind: Kind,
    bin: &Path,
    warren: &dyn Warren,
    report: &mut Report,
) -> Result<()> {
    let seconds = options.seconds.to_string();
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        let bare = bare(bin, options.senders(kind), &["--seconds", &seconds, "--send"])?;
        rounds.push((warren.send(Load::closed_loop(options.seconds))?, bare));
    }
    let rate = sustained(kind, &rounds, report);
    let part = warren.send(Load::paced(options.seconds, (rate * 0.7) as u64))?;
    let (p50, p99) = (number(&part, "/p50_ms"), number(&part, "/p99_ms"));
    report.add(Row {
        name: format!("8 {}, accept to server's ack at 70 %", kind.name),
        ours: format!("p99 {p99:.1} ms"),
        against: format!("p50 {p50:.1} ms"),
        target: "p99 <= 100 ms",
        met: p99 <= 100.0,
    });
    if let Some((full, bare)) = rounds.last() {
        cpu(report, format!("6 {}, CPU of a sent text", kind.name), full, number(bare, "/send/cpu_us_per_text"));
    }
    let rounds: Vec<_> = rounds.into_iter().map(|(ours, bare)| json!({"ours": ours, "bare": bare})).collect();
    report.note(&format!("{}_send", kind.name), json!({"closed_loop": rounds, "at_70_percent": part}));
    hops(options, kind, bin, warren, rate / 2.0, report)
}

/// The rates of both sides, round by round; the median of ours.
fn sustained(kind: Kind, rounds: &[(Value, Value)], report: &mut Report) -> f64 {
    let bare_rate = |bare: &Value| number(bare, "/send/sent_per_s");
    let ours = Spread::of_rates(rounds.iter().map(|(ours, _)| number(ours, "/sent_per_s")));
    let bare = Spread::of_rates(rounds.iter().map(|(_, bare)| bare_rate(bare)));
    let ratio = Spread::of_rates(rounds.iter().map(|(ours, bare)| number(ours, "/sent_per_s") / bare_rate(bare)));
    report.add(Row {
        name: format!("8 {}, durable texts, sustained", kind.name),
        ours: format!("{:.0}/s, worst {:.0}/s", ours.median, ours.worst),
        against: format!("{:.0}/s bare ({:.2}x, worst {:.2}x)", bare.median, ratio.median, ratio.worst),
        target: kind.rate_target,
        met: ours.median >= kind.per_s || ratio.median >= kind.share,
    });
    ours.median
}

/// Row 4: what the API and the commits add to a text, at half of the rate found.
///
/// The direct client is the bare one at the same rate; a text through the API waits besides for two commits, of its
/// acceptance and of its claim, each as long as a commit took in this run.
fn hops(options: &Options, kind: Kind, bin: &Path, warren: &dyn Warren, rate: f64, report: &mut Report) -> Result<()> {
    let (rate, name) = (rate as u64, kind.name);
    let (seconds, pace) = (options.seconds.to_string(), rate.to_string());
    let direct = bare(bin, options.senders(kind), &["--seconds", &seconds, "--rate", &pace])?;
    let raw = warren.raw_commit_ms()?;
    let whole = warren.send(Load::paced(options.seconds, rate))?;
    let hop = |name: &str| number(&whole, &format!("/hops/{name}_ms"));
    let commit = hop("commit");
    let accept = warren.send(Load { accept: true, ..Load::paced(options.seconds, rate) })?;
    for (quantile, target, most) in [("p50", "<= +0.3 ms", 0.3), ("p99", "<= +2 ms", 2.0)] {
        let pointer = format!("/{quantile}_ms");
        let (ours, theirs) = (number(&whole, &pointer), number(&direct, &format!("/paced{pointer}")));
        let added = ours - theirs - 2.0 * commit;
        report.add(Row {
            name: format!("4 {name}, API send at half load, {quantile}"),
            ours: format!("{ours:.1} ms"),
            against: format!("{theirs:.1} direct + 2 x {commit:.1} commit ({added:+.1})"),
            target,
            met: added <= most,
        });
    }
    let (p50, p99) = (number(&accept, "/p50_ms"), number(&accept, "/p99_ms"));
    report.add(Row {
        name: format!("4 {name}, the 202 at half load"),
        ours: format!("p50 {p50:.1}, p99 {p99:.1} ms"),
        against: format!("{raw:.2} ms a raw commit ({:.1}x)", p99 / raw),
        target: "p99 <= 5x",
        met: p99 <= 5.0 * raw,
    });
    println!(
        "{name}, hops at half load, mean: accept {p50:.1} ms, commit {commit:.1} ms, accept to wire {:.1} ms, wire to ack {:.1} ms",
        hop("hand"),
        hop("ack")
    );
    let figures = json!({"direct": direct, "whole": whole, "accept": accept, "raw_commit_ms": raw});
    report.note(&format!("{name}_half_load"), figures);
    Ok(())
}
