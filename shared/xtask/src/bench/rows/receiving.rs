//! Row 6: what a received text costs.

use super::{Kind, bare, cpu};
use crate::bench::{
    Options,
    report::{Report, number},
    stage::Warren,
};
use anyhow::Result;
use serde_json::json;
use std::path::Path;

/// Texts that each instance gets.
const TEXTS: u64 = 20;

/// For either kind of Warren.
pub(in crate::bench) fn receiving(
    options: &Options,
    kind: Kind,
    bin: &Path,
    warren: &dyn Warren,
    report: &mut Report,
) -> Result<()> {
    let bare = bare(bin, options.senders(kind), &["--receive", &TEXTS.to_string()])?;
    let ours = warren.receive(TEXTS)?;
    let name = format!("6 {}, CPU of a received text", kind.name);
    cpu(report, name, &ours, number(&bare, "/receive/cpu_us_per_text"));
    report.note(&format!("{}_receive", kind.name), json!({"bare": bare, "warren": ours}));
    Ok(())
}
