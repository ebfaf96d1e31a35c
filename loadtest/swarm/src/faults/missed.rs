//! The promised figures, held against full runs.

use super::outcome::{Outcome, Spread};
use super::{Bounds, Case};

/// Which of the promised figures of these forms their runs miss, one line each: fault, form and figure. A figure that a run should
/// have measured and did not is missed, too.
#[must_use]
pub fn missed(cases: &[Case], outcomes: &[Outcome]) -> Vec<String> {
    let mut faults: Vec<_> = cases.iter().map(|case| case.fault).collect();
    faults.dedup();
    let connected = faults.into_iter().filter_map(|fault| last_connected(fault, cases, outcomes));
    let others = cases.iter().flat_map(|case| {
        let (fault, name) = (case.fault, case.name);
        of_a_form(case, outcomes).into_iter().map(move |missed| format!("fault {fault} `{name}`: {missed}"))
    });
    connected.chain(others).collect()
}

fn runs<'a>(case: &Case, outcomes: &'a [Outcome]) -> Vec<&'a Outcome> {
    outcomes.iter().filter(|run| run.fault == case.fault && run.case == case.name).collect()
}

/// The middle and the worst are promised of all runs of a fault together, whatever their form.
fn last_connected(fault: u8, cases: &[Case], outcomes: &[Outcome]) -> Option<String> {
    let bounded: Vec<_> =
        cases.iter().filter(|case| case.fault == fault && case.bounds.last_connected_s.is_some()).collect();
    let (median, worst) = bounded.first()?.bounds.last_connected_s?;
    let runs: Vec<_> = bounded.iter().flat_map(|case| runs(case, outcomes)).collect();
    let measured: Vec<_> = runs.iter().filter_map(|run| run.last_connected_s).collect();
    let unmeasured = runs.len() - measured.len();
    if unmeasured > 0 {
        return Some(format!("fault {fault}: {unmeasured} of {} runs do not know when the last was connected", runs.len()));
    }
    let seen = Spread::of(measured)?;
    let is_missed = seen.median > median || seen.worst > worst;
    is_missed.then(|| {
        format!("fault {fault}: last connected {:.2} s, worst {:.2} s, of {median} s and {worst} s", seen.median, seen.worst)
    })
}

fn of_a_form(case: &Case, outcomes: &[Outcome]) -> Vec<String> {
    let Bounds { detected_s, gap_p99_ms, gap_worst_ms, .. } = case.bounds;
    let runs = runs(case, outcomes);
    let seconds = |milliseconds: u64| milliseconds as f64 / 1_000.0;
    // Nobody was away if there is no gap.
    let longest = |gap: fn(&Outcome) -> Option<u64>| runs.iter().filter_map(|run| gap(run)).max().map(seconds);
    let detected = runs.iter().map(|run| run.detected_s.unwrap_or(f64::INFINITY)).reduce(f64::max);
    let figures = [
        ("detected after", detected_s, detected),
        ("99 of 100 instances were away for", gap_p99_ms.map(seconds), longest(|run| run.gap_p99_ms)),
        ("an instance was away for", gap_worst_ms.map(seconds), longest(|run| run.gap_worst_ms)),
    ];
    let told = figures.into_iter().filter_map(|(what, most, seen)| {
        let (most, seen) = most.zip(seen)?;
        (seen > most).then(|| format!("{what} {seen:.2} s at worst, of {most} s"))
    });
    told.collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::faults::{case, catalogue};

    fn run(fault: u8, form: &str, last_connected_s: Option<f64>) -> Outcome {
        Outcome { fault, case: form.into(), last_connected_s, ..Outcome::default() }
    }

    #[test]
    fn the_forms_of_a_fault_are_judged_together() {
        let (killed, again) = ("killed", "killed again within 15 s of its start");
        let missed = |runs: &[Outcome]| missed(&catalogue(), runs);
        let slow = [run(1, killed, Some(2.0)), run(1, killed, Some(2.1)), run(1, again, Some(4.9))];
        assert_eq!(missed(&slow), Vec::<String>::new());
        assert!(missed(&slow[2..]).first().unwrap().contains("4.90 s"), "the middle of one is itself");
        let slower = [slow.to_vec(), vec![run(1, again, Some(5.1))]].concat();
        assert!(missed(&slower).first().unwrap().contains("worst 5.10 s"));
        let default = [slow.to_vec(), vec![run(1, "killed, default admission", Some(30.0))]].concat();
        assert_eq!(missed(&default), Vec::<String>::new(), "at the default admission nothing is promised");
    }

    #[test]
    fn what_was_not_measured_is_missed() {
        let missed = |runs: &[Outcome]| missed(&catalogue(), runs);
        assert!(missed(&[run(1, "killed", None)]).first().unwrap().contains("do not know"));
        let form = "leader killed, then a worker";
        assert!(case(4, form).unwrap().bounds.detected_s.is_some());
        assert!(missed(&[run(4, form, None)]).first().unwrap().contains("detected after inf s"));
        assert_eq!(missed(&[Outcome { detected_s: Some(3.9), ..run(4, form, None) }]), Vec::<String>::new());
    }

    #[test]
    fn gaps_are_judged_by_form() {
        let gap = |gap_p99_ms| Outcome { gap_p99_ms, ..run(18, "everything", None) };
        assert_eq!(missed(&catalogue(), &[gap(Some(300)), gap(None)]), Vec::<String>::new());
        let found = missed(&catalogue(), &[gap(Some(299)), gap(Some(301))]);
        assert!(found.first().unwrap().starts_with("fault 18 `everything`: 99 of 100"), "{found:?}");
    }
}
