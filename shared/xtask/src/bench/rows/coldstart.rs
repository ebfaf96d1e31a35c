//! Row 13: a cluster whose every process of ours starts at once.

use super::bare;
use crate::bench::{
    Options,
    report::{Report, Row, number},
    stage::Clustered,
};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// From the start of the processes to all instances online, against bare clients that connect again.
pub(in crate::bench) fn coldstart(options: &Options, bin: &Path, report: &mut Report) -> Result<()> {
    let count = options.cold_instances;
    let bare = bare(bin, count, &["--reconnect"])?;
    let mut cluster = Clustered::start(bin, options.cluster_workers)?;
    let paired = cluster.fleet(count)?;
    let (owned, online) = cluster.cold_start(count)?;
    let (rate, reconnected) = (count as f64 / online, number(&bare, "/reconnected_s"));
    report.add(Row {
        name: format!("13 cold start of {count} instances"),
        ours: format!("{rate:.0}/s, {online:.1} s"),
        against: format!(
            "{reconnected:.1} s bare reconnects ({:.1}x); shards owned after {owned:.1} s",
            online / reconnected
        ),
        target: ">= 500/s",
        met: rate >= 500.0,
    });
    report.note("coldstart", json!({"bare": bare, "paired": paired, "owned_s": owned, "online_s": online}));
    Ok(())
}
