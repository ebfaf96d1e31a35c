//! Row 5: the hop over the bus.

use crate::bench::{
    Options,
    report::{Report, Row, Spread, number},
    stage::swarm,
};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;

/// Against a bare request and answer of the same bytes, round by round.
pub(in crate::bench) fn bus(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let figures = swarm(bin, &["bus", "--rounds", &options.rounds.max(1).to_string()])?;
    let empty = Vec::new();
    let rounds = figures.get("rounds").and_then(Value::as_array).unwrap_or(&empty);
    let each = |pointer: &'static str| rounds.iter().map(move |round| number(round, pointer));
    let over = |ours, bare| each(ours).zip(each(bare)).map(|(ours, bare)| ours / bare).collect::<Vec<_>>();
    let p50 = Spread::of(over("/bus/alone/p50_ms", "/raw/alone/p50_ms"));
    let rate = Spread::of_rates(over("/bus/per_s", "/raw/per_s"));
    let (ours, bare) = (Spread::of(each("/bus/alone/p50_ms")), Spread::of(each("/raw/alone/p50_ms")));
    report.add(Row {
        name: "5 bus, one request after the other".to_owned(),
        ours: format!("p50 {:.0} us, worst {:.0} us", ours.median * 1e3, ours.worst * 1e3),
        against: format!("{:.0} us bare ({:.2}x, worst {:.2}x)", bare.median * 1e3, p50.median, p50.worst),
        target: "p50 <= 1.3x",
        met: p50.median <= 1.3,
    });
    let (ours, bare) = (Spread::of_rates(each("/bus/per_s")), Spread::of_rates(each("/raw/per_s")));
    report.add(Row {
        name: "5 bus, 64 requests at once".to_owned(),
        ours: format!("{:.0}/s, worst {:.0}/s", ours.median, ours.worst),
        against: format!("{:.0}/s bare ({:.2}x, worst {:.2}x)", bare.median, rate.median, rate.worst),
        target: ">= 0.7x",
        met: rate.median >= 0.7,
    });
    report.note("bus", figures);
    Ok(())
}
