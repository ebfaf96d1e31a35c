//! The file that runs are written to: extended by every run, so that a series that was ended goes on where it was.

use super::outcome::{Outcome, Summary};
use super::scale::Scale;
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The runs so far.
#[derive(Debug)]
pub struct Runs {
    file: Option<PathBuf>,
    outcomes: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Stored {
    #[serde(default)]
    runs: Vec<Outcome>,
}

impl Runs {
    /// Reads a file if it is there; without one, runs are kept in memory only.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn open(file: Option<PathBuf>) -> Result<Self> {
        let outcomes = match &file {
            Some(path) if path.exists() => {
                let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                // As an object: a list would pass for one whose members are all left out.
                let stored = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)
                    .and_then(|object| serde_json::from_value::<Stored>(object.into()));
                stored.with_context(|| format!("{} is no file of runs", path.display()))?.runs
            }
            _ => Vec::new(),
        };
        Ok(Self { file, outcomes })
    }

    /// Whether a run is there already, of this size and under this load.
    #[must_use]
    pub fn has(&self, fault: u8, case: &str, seed: u64, scale: &Scale) -> bool {
        let wanted = (fault, case, seed, scale.instances as u64, scale.rate);
        self.outcomes.iter().any(|run| (run.fault, run.case.as_str(), run.seed, run.instances, run.texts_per_s) == wanted)
    }

    /// Adds a run, and writes the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, outcome: Outcome) -> Result<()> {
        self.outcomes.push(outcome);
        let Some(path) = &self.file else { return Ok(()) };
        let text = json!({"faults": self.summaries(), "runs": self.outcomes});
        let partial = path.with_extension("partial");
        std::fs::write(&partial, serde_json::to_vec_pretty(&text)?).context("writing the runs")?;
        std::fs::rename(&partial, path).context("replacing the file of runs")
    }

    /// Every run.
    #[must_use]
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// Fault by fault.
    #[must_use]
    pub fn summaries(&self) -> Vec<Summary> {
        let faults: BTreeSet<_> = self.outcomes.iter().map(|run| run.fault).collect();
        faults.into_iter().map(|fault| Summary::of(fault, &self.outcomes)).collect()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_series_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.json");
        let mut runs = Runs::open(Some(path.clone())).unwrap();
        let scale = Scale::SHORT;
        let outcome = Outcome {
            fault: 1,
            case: "killed".into(),
            seed: 5,
            instances: scale.instances as u64,
            texts_per_s: scale.rate,
            ..Outcome::default()
        };
        runs.add(outcome).unwrap();
        let runs = Runs::open(Some(path.clone())).unwrap();
        assert!(runs.has(1, "killed", 5, &scale));
        assert!(!runs.has(1, "killed", 6, &scale) && !runs.has(2, "killed", 5, &scale));
        assert!(!runs.has(1, "killed", 5, &Scale { instances: 3_000, ..scale }));
        assert!(!runs.has(1, "killed", 5, &Scale { rate: 40.0, ..scale }));
        let text: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(text["faults"][0]["seeds"][0], 5);
    }

    #[test]
    fn what_is_no_file_of_runs_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[]").unwrap();
        assert!(Runs::open(Some(file.path().to_owned())).is_err());
    }
}
