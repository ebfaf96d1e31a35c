//! The table, and the figures behind it.

use serde_json::{Map, Value};

/// One line of the table.
pub(super) struct Row {
    pub(super) name: String,
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
        println!("\n{:<46} {:<30} {:<46} {:<26} ", "row", "warren", "against", "target");
        for row in &self.rows {
            let verdict = if row.met { "met" } else { "MISSED" };
            println!("{:<46} {:<30} {:<46} {:<26} {verdict}", row.name, row.ours, row.against, row.target);
        }
    }
}

/// A figure of a report; not a number where there is none.
pub(super) fn number(report: &Value, pointer: &str) -> f64 {
    report.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}

/// The middle and the worst of several rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) worst: f64,
}

impl Spread {
    /// Where less is better. Not a number without rounds, or with one that has no figure: then nothing is met.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let median = f64::midpoint(at(values.len().saturating_sub(1) / 2), at(values.len() / 2));
        let worst = values.last().copied().unwrap_or(f64::NAN);
        Self { median: if worst.is_nan() { f64::NAN } else { median }, worst }
    }

    /// Where more is better.
    pub(super) fn of_rates(values: impl IntoIterator<Item = f64>) -> Self {
        let Self { median, worst } = Self::of(values.into_iter().map(|value| -value));
        Self { median: -median, worst: -worst }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_worst() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, worst: 3.0 });
        assert_eq!(Spread::of_rates([3.0, 1.0, 2.0, 4.0]), Spread { median: 2.5, worst: 1.0 });
    }

    #[test]
    fn without_a_figure_nothing_is_met() {
        for spread in [Spread::of([]), Spread::of([1.0, f64::NAN]), Spread::of_rates([f64::NAN])] {
            assert!(spread.median.is_nan() && spread.worst.is_nan());
        }
    }
}
