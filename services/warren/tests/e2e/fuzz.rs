//! Requests made up from `/openapi.json` by schemathesis, well-formed and not, against the running binary: no answer is a
//! server error, and each is one that the document names. Takes minutes; `cargo xtask fuzz-api` installs what it needs and
//! runs it.

mod answers;
mod settings;

use crate::binary;
use answers::Answers;
use serde_json::Value;
use settings::Scene;
use std::{ffi::OsString, path::Path, process::Stdio, time::Instant};
use tokio::process::Command;
use warren_testkit::Stage;

/// The same requests every time.
const SEED: &str = "20260101";
/// Seconds for what tenants may ask, and for what the operator may. Building and pairing come on top.
const TENANT_SECONDS: &str = "420";
const OPERATOR_SECONDS: &str = "60";
/// Whose the other operations are not.
const OPERATORS: &str = r#"["tenants", "keys"]"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs schemathesis: cargo xtask fuzz-api"]
async fn schemathesis_finds_nothing() {
    let program = std::env::var_os("WARREN_SCHEMATHESIS");
    let program = program.unwrap_or_else(|| panic!("WARREN_SCHEMATHESIS is the path of schemathesis"));
    // A key that is refused as one too many says nothing of the operation; and a proxy may be on this machine.
    let stage = Stage::start_with(binary(), |options| {
        options.env("WARREN_GATEWAY__WRONG_KEYS_PER_MINUTE", "1000000").env("WARREN_EGRESS__NETWORKS", r#"["127.0.0.0/8"]"#)
    });
    let stage = stage.await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::set(&stage).await;
    std::fs::write(folder.path().join("hooks.py"), settings::HOOKS).unwrap();

    let run = Run { program, folder: folder.path(), base: stage.api.base(), scene: &scene };
    let begun = Instant::now();
    let as_tenant = run.run("tenant", &format!("include-tag = {OPERATORS}"), stage.api.key(), TENANT_SECONDS).await;
    let admin = stage.warren.admin().unwrap();
    let as_operator = run.run("operator", &format!("exclude-tag = {OPERATORS}"), admin.key(), OPERATOR_SECONDS).await;
    let answers = Answers::read(&folder.path().join(settings::ANSWERS));
    println!("{answers}in {} s, seed {SEED}", begun.elapsed().as_secs());
    assert!(as_tenant && as_operator, "see what it found above");

    let document: Value = stage.api.get("/openapi.json").await.unwrap().body;
    answers.reached_everything(&document);
    // It did not go unnoticed by the process either.
    let broken: Vec<_> = stage.warren.log().into_iter().filter(|line| line.contains("\"ERROR\"")).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    stage.state(&scene.instance, "online").await.unwrap();
}

/// What every run has.
struct Run<'a> {
    program: OsString,
    folder: &'a Path,
    base: &'a str,
    scene: &'a Scene,
}

impl Run<'_> {
    /// Runs it with a key for all operations but those; whether it found nothing.
    async fn run(&self, name: &str, others: &str, key: &str, seconds: &str) -> bool {
        let file = self.folder.join(format!("{name}.toml"));
        let others = format!("[[operations]]\n{others}\nenabled = false\n");
        std::fs::write(&file, format!("{}\n{others}", self.scene.settings(key))).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("--config-file").arg(&file).arg("run").arg(format!("{}/openapi.json", self.base));
        // One worker: two make other requests in another order each time, and Python 3.11 cannot parse code in both at once.
        command.args(["--seed", SEED, "--max-time", seconds, "--workers", "1", "--continue-on-failure"]);
        // A send may be waited for.
        command.args(["--max-response-time", "35"]);
        command.current_dir(self.folder).stdin(Stdio::null());
        command.status().await.unwrap().success()
    }
}
