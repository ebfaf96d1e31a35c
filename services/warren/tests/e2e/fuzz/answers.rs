//! What was answered, by operation: whether the requests came as far as they should.

use serde_json::Value;
use std::{collections::BTreeMap, fmt, path::Path};

/// How often an operation was answered with a status.
pub(super) struct Answers(BTreeMap<String, BTreeMap<u16, usize>>);

impl Answers {
    /// Reads the notes of the hooks.
    pub(super) fn read(file: &Path) -> Self {
        let mut answers = BTreeMap::<String, BTreeMap<u16, usize>>::new();
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let (operation, status) = line.split_once('\t').unwrap();
            *answers.entry(operation.to_owned()).or_default().entry(status.parse().unwrap()).or_default() += 1;
        }
        Self(answers)
    }

    /// Every operation was done at least once, and most of its requests were not turned away before it saw them. Streams are left
    /// out, and the document itself, which is where schemathesis begins.
    pub(super) fn reached_everything(&self, document: &Value) {
        let mut missed = Vec::new();
        let paths = document["paths"].as_object().unwrap();
        for (path, item) in paths.iter().filter(|(path, _)| *path != "/openapi.json") {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{} {path}", method.to_uppercase());
                let none = BTreeMap::new();
                let answers = self.0.get(&name).unwrap_or(&none);
                let of = |wanted: &dyn Fn(u16) -> bool| -> usize {
                    answers.iter().filter(|(status, _)| wanted(**status)).map(|(_, count)| count).sum()
                };
                let turned_away = of(&|status| [401, 429].contains(&status));
                let is_stream = operation["responses"].get("101").is_some();
                let is_reached = of(&|status| (200..300).contains(&status)) > 0 && turned_away * 2 <= of(&|_| true);
                if !is_stream && !is_reached {
                    missed.push(format!("{name}: {answers:?}"));
                }
            }
        }
        assert!(missed.is_empty(), "these were hardly reached: {missed:#?}");
    }
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (operation, answers) in &self.0 {
            write!(f, "{operation}:")?;
            for (status, count) in answers {
                write!(f, " {status} x{count}")?;
            }
            writeln!(f)?;
        }
        let all: usize = self.0.values().flat_map(BTreeMap::values).sum();
        writeln!(f, "{all} answers of {} operations", self.0.len())
    }
}
