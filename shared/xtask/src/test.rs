//! `cargo xtask test`: what CI runs, and what a newcomer runs first.

use crate::ledger::Shared;
use crate::shell::Program;
use crate::{arrows, features, openapi, system};
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::time::Instant;
use warren_testkit::BACKEND;

/// The tests need fault points; the product must build without them.
const FAULTS: &[&str] = &["--features", "warren/fault-injection"];

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the checks that need no running: format, lints, arrows, features, document.
    #[arg(long)]
    checks_only: bool,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Not the faults of whole clusters, which take a quarter of an hour in their short forms.
    #[arg(long)]
    without_faults: bool,
}

/// Runs everything; ends at the first step that fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    system::prepare()?;
    step("format", || Program::cargo(&["fmt", "--all", "--check"]).run())?;
    step("arrows", arrows::run)?;
    step("features", features::run)?;
    step("lints", lints)?;
    step("document", openapi::check)?;
    if !options.checks_only {
        // The user of Postgres goes through it to its own folder.
        let passable = std::fs::Permissions::from_mode(0o711);
        let scratch = tempfile::Builder::new().prefix("warren-tests-").permissions(passable).tempdir();
        let scratch = scratch.context("a folder for the tests")?;
        let scratch_path = scratch.path().as_os_str().to_owned();
        step("documentation tests", || doc_tests(&scratch_path))?;
        let postgres = Shared::start()?;
        step("tests", || tests(options, &scratch_path, &postgres))?;
        if options.filter.is_none() {
            step("tests on a cluster", || cluster_tests(&scratch_path, &postgres))?;
        }
        if options.filter.is_none() && !options.without_faults {
            step("faults of whole clusters", || faults(&scratch_path, &postgres))?;
        }
        drop(postgres);
        scratch.close().context("removing what the tests left")?;
    }
    println!("\nEverything passed in {} s.", started.elapsed().as_secs());
    Ok(())
}

fn step(name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    println!("\n== {name}");
    work().with_context(|| format!("the step `{name}` failed"))?;
    println!("== {name}: done in {} s", started.elapsed().as_secs());
    Ok(())
}

/// Once as the tests are built, and once as the product is.
fn lints() -> Result<()> {
    let strict = ["--", "-D", "warnings"];
    Program::cargo(&[&["clippy", "--workspace", "--all-targets"], FAULTS, &strict].concat()).run()?;
    Program::cargo(&[&["clippy", "--workspace"], &strict[..]].concat()).run()
}

/// With cargo-nextest if it is installed, else with cargo alone. Everything that a test leaves lies in `scratch`; one Postgres
/// serves them all, and ends with this process however it ends.
fn tests(options: &Options, scratch: &OsStr, postgres: &Shared) -> Result<()> {
    let filter = options.filter.as_deref();
    if has_nextest() {
        let all_but_faults = ["nextest", "run", "--workspace", "-E", "not (package(warren) & binary(cluster))"];
        let arguments: Vec<_> = all_but_faults.iter().chain(FAULTS).copied().chain(filter).collect();
        return postgres.told(Program::cargo(&arguments).env("TMPDIR", scratch)).run();
    }
    println!("cargo-nextest is not installed; `cargo test` does the same, slower.");
    // What the feature of `warren` comes down to.
    let features = "warren-runtime/fault-injection,warren-postgres/fault-injection";
    let others = ["test", "--workspace", "--exclude", "warren", "--features", features];
    let ours = [&["test", "--package", "warren"], FAULTS].concat();
    for (chosen, targets) in [(&others[..], &["--lib", "--bins", "--tests"][..]), (&ours, &["--bins", "--test", "e2e"])] {
        let arguments: Vec<_> = chosen.iter().chain(targets).copied().chain(filter).collect();
        postgres.told(Program::cargo(&arguments).env("TMPDIR", scratch)).run()?;
    }
    Ok(())
}

/// What of the end-to-end tests is about standalone alone, by the beginning of its name: its settings, its store locked by another
/// process, the way from it into a cluster; and schemathesis, which is a command of its own.
const OF_STANDALONE: &[&str] = &["refusals::", "store::", "mutations::store_errors_at_once", "moving::", "fuzz::"];

/// The same end-to-end tests once more, over a cluster.
fn cluster_tests(scratch: &OsStr, postgres: &Shared) -> Result<()> {
    let program = if has_nextest() {
        let chosen = format!("package(warren) & binary(e2e) & not test(/^({})/)", OF_STANDALONE.join("|"));
        Program::cargo(&[&["nextest", "run", "--workspace"], FAULTS, &["-E", &chosen]].concat())
    } else {
        let skipped: Vec<_> = OF_STANDALONE.iter().flat_map(|name| ["--skip", name]).collect();
        Program::cargo(&[&["test", "--package", "warren", "--test", "e2e"], FAULTS, &["--"], &skipped[..]].concat())
    };
    postgres.told(program.env("TMPDIR", scratch).env(BACKEND, "cluster")).run()
}

/// The faults of whole clusters in their short forms, one after the other: each is a dozen processes that judge each other by
/// time.
fn faults(scratch: &OsStr, postgres: &Shared) -> Result<()> {
    let program = if has_nextest() {
        let chosen = "package(warren) & binary(cluster)";
        let runner = ["nextest", "run", "--workspace", "--test-threads", "1"];
        Program::cargo(&[&runner, FAULTS, &["-E", chosen]].concat())
    } else {
        Program::cargo(
            &[&["test", "--package", "warren", "--test", "cluster"], FAULTS, &["--", "--test-threads", "1"]].concat(),
        )
    };
    postgres.told(program.env("TMPDIR", scratch)).run()
}

fn has_nextest() -> bool {
    Program::cargo(&["nextest", "--version"]).works()
}

fn doc_tests(scratch: &OsStr) -> Result<()> {
    Program::cargo(&[&["test", "--doc", "--workspace"], FAULTS].concat()).env("TMPDIR", scratch).run()
}
