//! `cargo xtask arrows`: a crate knows only the crates that it may know.
//!
//! `warren -> services -> ports -> domain`; technology crates -> ports; services never name a technology crate nor each
//! other; the one arrow to `loadtest` is `warren -> simulator`.

use anyhow::{Context, Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// What a crate may know.
struct Rule {
    name: &'static str,
    /// In what it is built of.
    may: &'static [&'static str],
    /// In its tests, besides.
    tests_may: &'static [&'static str],
}

/// Dependencies and nothing else: whoever builds with it knows nothing more of us.
const UNIFY: &str = "warren-unify";

const TECHNOLOGIES: &[&str] = &["warren-sqlite", "warren-memory", "warren-objects"];

/// Adapters of servers: their tests start those.
const SERVED: &[&str] = &["warren-ports", "warren-testkit"];

const RULES: &[Rule] = &[
    Rule { name: UNIFY, may: &[], tests_may: &[] },
    Rule { name: "warren-domain", may: &[], tests_may: &[] },
    Rule { name: "warren-ports", may: &["warren-domain"], tests_may: &[] },
    Rule { name: "warren-runtime", may: &["warren-domain"], tests_may: &[] },
    Rule { name: "warren-egress", may: &[], tests_may: &[] },
    Rule { name: "warren-sqlite", may: &["warren-domain", "warren-ports"], tests_may: &["warren-ports"] },
    Rule { name: "warren-memory", may: &["warren-domain", "warren-ports"], tests_may: &["warren-ports"] },
    Rule { name: "warren-objects", may: &["warren-domain", "warren-ports"], tests_may: &["warren-ports"] },
    Rule { name: "warren-postgres", may: &["warren-domain", "warren-ports"], tests_may: SERVED },
    Rule { name: "warren-nats", may: &["warren-domain", "warren-ports"], tests_may: SERVED },
    Rule { name: "warren-redis", may: &["warren-domain", "warren-ports"], tests_may: SERVED },
    Rule { name: "warren-raft", may: &["warren-domain", "warren-ports"], tests_may: SERVED },
    Rule { name: "warren-gateway", may: SERVICE, tests_may: TECHNOLOGIES },
    Rule {
        name: "warren-dispatcher",
        may: SERVICE,
        tests_may: &["warren-sqlite", "warren-memory", "warren-objects", "warren-testkit"],
    },
    Rule {
        name: "warren-coordinator",
        may: &["warren-domain", "warren-egress", "warren-ports", "warren-raft", "warren-runtime"],
        tests_may: &["warren-memory", "warren-testkit"],
    },
    Rule {
        name: "warren-worker",
        may: SERVICE,
        tests_may: &["warren-sqlite", "warren-memory", "warren-objects", "warren-simulator"],
    },
    Rule { name: "warren-simulator", may: &[], tests_may: &[] },
    Rule {
        name: "warren-swarm",
        // It measures the bus beside a bare NATS.
        may: &["warren-domain", "warren-nats", "warren-ports", "warren-testkit"],
        tests_may: &[],
    },
    Rule { name: "warren-testkit", may: &[], tests_may: &[] },
    Rule { name: "xtask", may: &["warren-testkit"], tests_may: &[] },
    Rule { name: "warren", may: BINARY, tests_may: &["warren-swarm", "warren-testkit"] },
];

const SERVICE: &[&str] = &["warren-domain", "warren-egress", "warren-ports", "warren-runtime"];

const BINARY: &[&str] = &[
    "warren-coordinator",
    "warren-dispatcher",
    "warren-domain",
    "warren-egress",
    "warren-gateway",
    "warren-memory",
    "warren-nats",
    "warren-objects",
    "warren-ports",
    "warren-postgres",
    "warren-raft",
    "warren-redis",
    "warren-runtime",
    "warren-simulator",
    "warren-sqlite",
    "warren-worker",
];

/// The crates that each crate names: in its build, and in its tests.
type Graph = BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>;

/// Checks the workspace.
pub(crate) fn run() -> Result<()> {
    let graph = graph()?;
    let wrong = violations(&graph);
    if !wrong.is_empty() {
        bail!("arrows that are not allowed:\n  {}", wrong.join("\n  "));
    }
    println!("The arrows between {} crates are as they may be.", graph.len());
    Ok(())
}

fn graph() -> Result<Graph> {
    let manifest = crate::shell::root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().context("reading the workspace")?;
    let names: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut graph = Graph::new();
    for package in &metadata.packages {
        let (built, tested) = graph.entry(package.name.to_string()).or_default();
        for dependency in package.dependencies.iter().filter(|dependency| names.contains(&dependency.name)) {
            let set = if dependency.kind == DependencyKind::Development { &mut *tested } else { &mut *built };
            set.insert(dependency.name.clone());
        }
    }
    Ok(graph)
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, (built, tested)) in graph {
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            wrong.push(format!("{name} has no rule: say in xtask's arrows.rs what it may know"));
            continue;
        };
        let may = |other: &str| other == UNIFY || rule.may.contains(&other);
        let tests_may = |other: &str| may(other) || rule.tests_may.contains(&other);
        wrong.extend(built.iter().filter(|other| !may(other)).map(|other| format!("{name} -> {other}")));
        wrong.extend(tested.iter().filter(|other| !tests_may(other)).map(|other| format!("{name} -> {other} (in tests)")));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &str, built: &[&str], tested: &[&str]) -> Vec<String> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        violations(&Graph::from([(name.to_owned(), (set(built), set(tested)))]))
    }

    #[test]
    fn a_service_knows_ports_and_no_technology_and_no_other_service() {
        assert!(with("warren-gateway", &["warren-ports", "warren-domain"], &["warren-sqlite"]).is_empty());
        assert_eq!(with("warren-gateway", &["warren-sqlite"], &[]), ["warren-gateway -> warren-sqlite"]);
        assert_eq!(with("warren-worker", &["warren-gateway"], &[]), ["warren-worker -> warren-gateway"]);
    }

    #[test]
    fn nothing_but_the_binary_points_at_load_tests() {
        assert!(with("warren", &["warren-simulator"], &["warren-swarm"]).is_empty());
        assert_eq!(with("warren", &["warren-swarm"], &[]), ["warren -> warren-swarm"]);
        assert_eq!(with("warren-sqlite", &[], &["warren-simulator"]), ["warren-sqlite -> warren-simulator (in tests)"]);
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert_eq!(with("warren-new", &[], &[]).len(), 1);
    }

    #[test]
    fn rules_do_not_make_circles() {
        // Each rule names only crates whose own rules come before it or name nothing of it.
        for rule in RULES {
            for other in rule.may {
                let back = RULES.iter().find(|candidate| candidate.name == *other);
                assert!(back.is_some_and(|back| !back.may.contains(&rule.name)), "{} <-> {other}", rule.name);
            }
        }
    }
}
