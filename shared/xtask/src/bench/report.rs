//! The table, and the figures behind it.

use serde_json::{Map, Value};

/// One line of the table.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) ours: String,
    pub(super) against: String,
    pub(super) target: &'static str,
    pub(super) met: bool,
}

/// What was measured so far.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
    figures: Map<String, Value>,
}

impl Report {
    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Keeps what a run printed, under a name.
    pub(super) fn note(&mut self, name: &str, value: Value) {
        self.figures.insert(name.to_owned(), value);
    }

    pub(super) fn figures(self) -> Value {
        Value::Object(self.figures)
    }

    pub(super) fn print(&self) {
        println!("\n{:<42} {:<18} {:<34} {:<24} ", "row", "warren", "against", "target");
        for row in &self.rows {
            let verdict = if row.met { "met" } else { "MISSED" };
            println!("{:<42} {:<18} {:<34} {:<24} {verdict}", row.name, row.ours, row.against, row.target);
        }
    }
}

/// A figure of a report; not a number where there is none.
pub(super) fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
