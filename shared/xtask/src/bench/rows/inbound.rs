//! Rows 10 and 15: from a person's text to the caller, and what a stream that is cut off misses.

use super::bare;
use crate::bench::{
    Options,
    report::{Report, Row, number},
    stage::{Clustered, Warren as _},
};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// Texts of each instance in the log that is posted to a webhook.
const BACKLOG: u64 = 20;

/// Row 10. Of both sides the time counts from before the simulator is asked to let a text be written; the bare side ends when
/// its client has it.
pub(in crate::bench) fn inbound(options: &Options, bin: &Path, warren: &Clustered, report: &mut Report) -> Result<()> {
    let bare = bare(bin, 1, &["--one-by-one", "500"])?;
    let raw = warren.raw_commit_ms()?;
    let figures = warren.inbound(BACKLOG)?;
    let direct = number(&bare, "/one_by_one/p50_ms");
    for (what, pointer) in [("WebSocket frame", "/frame"), ("webhook request", "/webhook")] {
        let (p50, p99) = (number(&figures, &format!("{pointer}/p50_ms")), number(&figures, &format!("{pointer}/p99_ms")));
        let added = p50 - direct;
        report.add(Row {
            name: format!("10 a person's text to {what}"),
            ours: format!("p50 {p50:.1}, p99 {p99:.1} ms"),
            against: format!("{direct:.1} bare + {:.1} commits of {raw:.2} ms ({added:+.1})", added / raw),
            target: "p50 <= 2 commits + 1 ms",
            met: added <= 2.0 * raw + 1.0,
        });
    }
    let rate = number(&figures, "/drained/per_s");
    report.add(Row {
        name: "10 webhooks from a full log".to_owned(),
        ours: format!("{rate:.0}/s"),
        against: format!("{:.0} events, {} instances", number(&figures, "/drained/events"), options.cluster_instances),
        target: ">= 3000/s",
        met: rate >= 3_000.0,
    });
    report.note("inbound", json!({"bare": bare, "warren": figures, "raw_commit_ms": raw}));
    Ok(())
}

/// Row 15: events lost over resumes.
pub(in crate::bench) fn resumes(options: &Options, warren: &Clustered, report: &mut Report) -> Result<()> {
    let figures = warren.resumes(options.resumes)?;
    let lost = number(&figures, "/lost");
    let (logged, again) = (number(&figures, "/logged"), number(&figures, "/heard_again"));
    report.add(Row {
        name: format!("15 lost over {} resumes", options.resumes),
        ours: format!("{lost:.0} events"),
        against: format!("{logged:.0} in the log, {again:.0} heard again"),
        target: "0",
        met: lost < 0.5 && logged > 0.5,
    });
    report.note("resumes", figures);
    Ok(())
}
