//! `cargo xtask faults`: the fault matrix over whole clusters of the release build, with the load generator's `faults`.

use crate::shell::Program;
use crate::{bench, system};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these faults of the matrix.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    fault: Vec<u8>,
    /// Only forms of a fault whose name contains this.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// How often each form is run, instead of as often as it should be.
    #[arg(long, value_name = "R")]
    repetitions: Option<u32>,
    /// Decides everything that is random; it is printed.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Where runs are written. A series that was ended goes on: what is in the file is not run again.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// With 60 instances, as in `cargo xtask test`, instead of 3,000.
    #[arg(long)]
    short: bool,
    /// Only show which faults there are, and their forms.
    #[arg(long)]
    list: bool,
}

/// The fault whose binary has fault points.
const POINTS: u8 = 2;

impl Options {
    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--seed".to_owned(), self.seed.to_string()];
        let mut add = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                arguments.extend([name.to_owned(), value]);
            }
        };
        let faults: Vec<_> = self.fault.iter().map(u8::to_string).collect();
        add("--fault", (!faults.is_empty()).then(|| faults.join(",")));
        add("--case", self.case.clone());
        add("--repetitions", self.repetitions.map(|count| count.to_string()));
        add("--json", self.json.as_ref().map(|file| file.display().to_string()));
        arguments.extend(self.short.then(|| "--short".to_owned()));
        arguments.extend(self.list.then(|| "--list".to_owned()));
        arguments
    }
}

/// Builds what is needed and runs it.
pub(crate) fn run(options: &Options) -> Result<()> {
    system::prepare()?;
    let bin = bench::target().join("release");
    let mut arguments = options.arguments();
    if !options.list && (options.fault.is_empty() || options.fault.contains(&POINTS)) {
        // First, so that the plain one is what stays.
        Program::cargo(&["build", "--release", "-p", "warren", "--features", "warren/fault-injection"]).run()?;
        let faulty = bin.join("warren-with-fault-points");
        std::fs::copy(bin.join("warren"), &faulty).context("keeping the binary with fault points")?;
        arguments.extend(["--faulty-binary".to_owned(), faulty.display().to_string()]);
    }
    Program::cargo(&["build", "--release", "-p", "warren", "-p", "warren-swarm"]).run()?;
    let binary = bin.join("warren").display().to_string();
    let all = ["faults".to_owned(), "--binary".to_owned(), binary].into_iter().chain(arguments);
    let all: Vec<_> = all.collect();
    Program::new(bin.join("swarm"), &all.iter().map(String::as_str).collect::<Vec<_>>()).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_on_what_was_asked_for() {
        let options = Options {
            fault: vec![1, 5],
            case: None,
            repetitions: Some(20),
            seed: 7,
            json: Some("faults.json".into()),
            short: true,
            list: false,
        };
        let expected = ["--seed", "7", "--fault", "1,5", "--repetitions", "20", "--json", "faults.json", "--short"];
        assert_eq!(options.arguments(), expected);
    }
}
