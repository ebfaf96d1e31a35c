//! Row 8, for long: texts both ways, and then every invariant that shows from outside.

use super::Kind;
use crate::bench::{
    Options,
    report::{Report, Row, number},
    stage::Warren,
};
use anyhow::Result;
use serde_json::Value;

/// The rate counts as kept from this part of it on.
const KEPT: f64 = 0.99;

/// On a Warren that holds nothing yet.
pub(in crate::bench) fn soak(options: &Options, kind: Kind, warren: &dyn Warren, report: &mut Report) -> Result<()> {
    let asked = options.soak_rate as f64;
    let told = warren.soak(options.senders(kind), options.soak_rate, options.soak_seconds)?;
    let rate = number(&told, "/sent_per_s");
    let violations = told.get("violations").and_then(Value::as_array).map(Vec::len);
    let has_settled = told.get("settled").and_then(Value::as_bool) == Some(true);
    let (accepted, sent) = (number(&told, "/accepted/p99_ms"), number(&told, "/sent/p99_ms"));
    report.add(Row {
        name: format!("8 {}, {} s, every invariant that shows from outside", kind.name, options.soak_seconds),
        ours: match violations {
            Some(violations) => format!("{rate:.0}/s, {violations} violations"),
            None => format!("{rate:.0}/s, violations unknown"),
        },
        against: format!("{asked:.0}/s asked; p99 {accepted:.1} ms accepted, {sent:.1} ms sent"),
        target: "the rate, 0 violations",
        met: violations == Some(0) && has_settled && rate >= KEPT * asked,
    });
    report.note(&format!("{}_soak", kind.name), told);
    Ok(())
}
