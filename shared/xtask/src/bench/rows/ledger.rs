//! Rows 7 and 15: what a text costs Postgres, and what a ledger has on disk.

use super::Kind;
use crate::bench::{
    Options,
    report::{Report, Row, number},
    stage::{Clustered, Load, Warren},
};
use anyhow::Result;
use serde_json::json;

/// Texts a second.
const RATE: u64 = 1_000;

/// Row 7, at a thousand texts a second: without receipts, and with both.
pub(in crate::bench) fn postgres(options: &Options, warren: &Clustered, report: &mut Report) -> Result<()> {
    for (receipts, what, most, target) in
        [("none", "without receipts", 4_000.0, "WAL <= 4 kB"), ("read", "with delivered and read", 7_000.0, "WAL <= 7 kB")]
    {
        let sent = warren.send(Load { receipts, ..Load::paced(options.seconds, RATE) })?;
        let commits = number(&sent, "/hops/commits") / number(&sent, "/sent");
        let figure = |name: &str| number(&sent, &format!("/cost/ledger/{name}"));
        let (wal, rate) = (figure("wal_bytes"), number(&sent, "/sent_per_s"));
        report.add(Row {
            name: format!("7 log of a text {what}"),
            ours: format!("{:.1} kB at {rate:.0}/s", wal / 1_000.0),
            against: format!("{:.2} whole pages in it", figure("whole_pages")),
            target,
            met: wal <= most,
        });
        report.add(Row {
            name: format!("7 commits of a text {what}"),
            ours: format!("{commits:.2} group commits"),
            against: format!("{:.2} syncs, {:.2} transactions of any kind", figure("syncs"), figure("transactions")),
            target: "<= 0.2",
            met: commits <= 0.2,
        });
        report.note(&format!("postgres_{receipts}"), json!({"sent": sent, "commits_each": commits}));
    }
    Ok(())
}

/// Row 15: what an instance and a text take on disk. Nothing has been deleted by its age yet.
pub(in crate::bench) fn disk(
    options: &Options,
    kind: Kind,
    warren: &dyn Warren,
    sizes: (f64, f64),
    report: &mut Report,
) -> Result<()> {
    let (empty, paired) = sizes;
    let before = warren.disk_bytes()?;
    let sent = warren.send(Load::closed_loop(options.seconds))?;
    let after = warren.disk_bytes()?;
    let instances = options.senders(kind) as f64;
    let each = (paired - empty) / instances;
    let texts = number(&sent, "/sent") + instances;
    let message = (after - before) / texts;
    report.add(Row {
        name: format!("15 {}, on disk", kind.name),
        ours: format!("{:.1} kB an instance", each / 1_000.0),
        against: format!("{:.2} kB a text and its events ({texts:.0})", message / 1_000.0),
        target: "printed",
        met: each.is_finite() && message.is_finite(),
    });
    report.note(
        &format!("{}_disk", kind.name),
        json!({"empty": empty, "paired": paired, "before": before, "after": after, "instances": instances, "texts": texts}),
    );
    Ok(())
}
