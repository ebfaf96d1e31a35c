//! The fault matrix over whole clusters.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use warren_swarm::faults::{Case, Outcome, Runs, Scale, Scene, Summary, catalogue, missed, seed_of};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The `warren` binary, as it is delivered.
    #[arg(long)]
    binary: PathBuf,
    /// The same with fault points, for fault 2.
    #[arg(long)]
    faulty_binary: Option<PathBuf>,
    /// Only these faults.
    #[arg(long, value_delimiter = ',')]
    fault: Vec<u8>,
    /// Only forms whose name contains this; or only the form of this very name, if there is one.
    #[arg(long)]
    case: Option<String>,
    /// How often each form is run, instead of as often as it should be.
    #[arg(long)]
    repetitions: Option<u32>,
    /// Decides everything that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where runs are written; those that are there already are not run again.
    #[arg(long)]
    json: Option<PathBuf>,
    /// With 60 instances, as the tests do.
    #[arg(long)]
    short: bool,
    /// With so many instances.
    #[arg(long)]
    instances: Option<usize>,
    /// With so many texts a second out, instead of as many as fit the instances.
    #[arg(long)]
    rate: Option<f64>,
    /// Only show the forms.
    #[arg(long)]
    list: bool,
}

impl Arguments {
    fn scale(&self) -> Scale {
        let scale = if self.short { Scale::SHORT } else { Scale::FULL };
        let scale = self.instances.map_or(scale, |instances| scale.with_instances(instances));
        Scale { rate: self.rate.unwrap_or(scale.rate), ..scale }
    }

    fn wants(&self, case: &Case) -> bool {
        (self.fault.is_empty() || self.fault.contains(&case.fault))
            && self.case.as_ref().is_none_or(|part| case.name.contains(part.as_str()))
    }

    fn names(&self, case: &Case) -> bool {
        self.case.as_deref() == Some(case.name)
    }

    /// As a whole path: processes are started in folders of their own.
    fn binary(&self, case: &Case) -> Result<PathBuf> {
        let binary = if case.needs.fault_points {
            self.faulty_binary.as_ref().context("fault 2 needs a binary with fault points: --faulty-binary")?
        } else {
            &self.binary
        };
        binary.canonicalize().with_context(|| format!("looking for {}", binary.display()))
    }
}

/// Prints the summaries, and fails if anything is violated or a promised figure is missed.
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut cases: Vec<_> = catalogue().into_iter().filter(|case| arguments.wants(case)).collect();
    if cases.iter().any(|case| arguments.names(case)) {
        cases.retain(|case| arguments.names(case));
    }
    ensure!(!cases.is_empty(), "there is no such fault");
    if arguments.list {
        let list = cases.iter().map(|case| json!({"fault": case.fault, "case": case.name, "runs": case.repetitions}));
        println!("{}", Value::Array(list.collect()));
        return Ok(());
    }
    let mut runs = Runs::open(arguments.json.clone())?;
    eprintln!("seed {}", arguments.seed);
    for group in grouped(&cases) {
        Box::pin(share(&arguments, &group, &mut runs)).await?;
    }
    table(&runs);
    let (outcomes, scale) = (runs.outcomes(), arguments.scale());
    // Figures are promised of full runs.
    let missed = if scale == Scale::FULL { missed(&cases, outcomes) } else { Vec::new() };
    missed.iter().for_each(|missed| eprintln!("MISSED: {missed}"));
    let violated: usize = outcomes.iter().map(|run| run.violations.len()).sum();
    eprintln!("{violated} violations");
    println!("{}", json!({"faults": runs.summaries(), "missed": missed}));
    ensure!(violated == 0 && missed.is_empty(), "{violated} violations, and {} promised figures are missed", missed.len());
    Ok(())
}

/// The forms that can be run on one cluster, group by group: to make one ready takes longer than a run does.
fn grouped(cases: &[Case]) -> Vec<Vec<Case>> {
    let mut groups: Vec<Vec<Case>> = Vec::new();
    for case in cases {
        let suits = |group: &&mut Vec<Case>| group.iter().all(|other| other.shares_a_scene_with(case));
        match groups.iter_mut().find(suits) {
            Some(group) => group.push(*case),
            None => groups.push(vec![*case]),
        }
    }
    groups
}

/// All runs of these forms that are not there yet, on one cluster; on a fresh one after a run that could not be run to its end.
async fn share(arguments: &Arguments, cases: &[Case], runs: &mut Runs) -> Result<()> {
    let mut scene = None;
    for case in cases {
        Box::pin(series(arguments, case, runs, &mut scene)).await?;
    }
    Ok(())
}

async fn series(arguments: &Arguments, case: &Case, runs: &mut Runs, scene: &mut Option<Scene>) -> Result<()> {
    let scale = arguments.scale();
    for repetition in 0..arguments.repetitions.unwrap_or(case.repetitions) {
        let seed = seed_of(arguments.seed, case.fault, case.name, repetition);
        if runs.has(case.fault, case.name, seed, &scale) {
            continue;
        }
        let began = Instant::now();
        let mut stage = match scene.take() {
            Some(scene) => scene,
            None => Box::pin(Scene::prepare(&arguments.binary(case)?, &case.needs, scale, case.admission)).await?,
        };
        let prepared = began.elapsed().as_secs_f64();
        match Box::pin(case.run(&mut stage, seed)).await {
            Ok(outcome) => {
                show(&outcome, prepared, began.elapsed().as_secs_f64());
                runs.add(outcome)?;
                *scene = Some(stage);
            }
            Err(error) => {
                eprintln!("fault {} `{}`, seed {seed}: could not be run to its end: {error:#}", case.fault, case.name);
                runs.add(Outcome {
                    fault: case.fault,
                    case: case.name.to_owned(),
                    seed,
                    instances: scale.instances as u64,
                    texts_per_s: scale.rate,
                    violations: vec![format!("could not be run to its end: {error:#}")],
                    ..Outcome::default()
                })?;
            }
        }
    }
    Ok(())
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

fn show(outcome: &Outcome, prepared: f64, took: f64) {
    eprintln!(
        "fault {} `{}`, seed {}: {} acked, {} lost, {} duplicates, {} failed calls, detected {} s, reassigned {} s, connected {} s \
         ({:.0} s, {prepared:.0} of them to prepare; {} of the machine busy before)",
        outcome.fault,
        outcome.case,
        outcome.seed,
        outcome.acked,
        outcome.lost,
        outcome.visible_duplicates,
        outcome.failed_calls,
        figure(outcome.detected_s),
        figure(outcome.reassigned_s),
        figure(outcome.last_connected_s),
        took,
        figure(outcome.busy_before),
    );
    for violation in outcome.violations.iter().take(12) {
        eprintln!("  {violation}");
    }
    if outcome.violations.len() > 12 {
        eprintln!("  and {} more", outcome.violations.len() - 12);
    }
}

fn table(runs: &Runs) {
    let head = [
        "fault",
        "runs",
        "acked",
        "lost",
        "dupl.",
        "resent",
        "refused",
        "repl.",
        "undecr.",
        "failed",
        "detected",
        "reassigned",
        "connected",
    ];
    eprintln!();
    eprintln!("{}", head.map(|word| format!("{word:>11}")).concat());
    for summary in runs.summaries() {
        let Summary { fault, runs, acked, lost, .. } = summary;
        let spread = |spread: Option<warren_swarm::faults::Spread>| {
            spread.map_or_else(|| "-".to_owned(), |spread| format!("{:.2}/{:.2}", spread.median, spread.worst))
        };
        let counts = [
            u64::from(fault),
            runs,
            acked,
            lost,
            summary.visible_duplicates,
            summary.wire_resends,
            summary.stale_writes_refused,
            summary.replaced,
            summary.undecryptable,
            summary.failed_calls,
        ];
        let times = [summary.detected_s, summary.reassigned_s, summary.last_connected_s].map(spread);
        let counts = counts.map(|count| format!("{count:>11}")).concat();
        eprintln!("{counts}{}", times.map(|time| format!("{time:>11}")).concat());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_in_one_group_and_groups_share_nothing() {
        let groups = grouped(&catalogue());
        assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), catalogue().len());
        let firsts: Vec<_> = groups.iter().filter_map(|group| group.first()).collect();
        for (place, first) in firsts.iter().enumerate() {
            assert!(firsts.iter().skip(place + 1).all(|other| !other.shares_a_scene_with(first)));
        }
        assert!(groups.len() < catalogue().len() / 3, "{}", groups.len());
    }
}
