//! Requests made up from `/openapi.json` by schemathesis, well-formed and not, against the running binary: no answer is a
//! server error, and each is one that the document names. Takes minutes; `cargo xtask fuzz-api` installs what it needs and
//! runs it.

use crate::stage;
use serde_json::json;
use std::{path::Path, process::Stdio};
use tokio::process::Command;
use warren_testkit::{Draft, PATIENCE, Stage, eventually};

/// The same requests every time.
const SEED: &str = "20260101";
/// Seconds for what tenants may ask, and for what the operator may. Building and pairing come on top.
const TENANT_SECONDS: &str = "420";
const OPERATOR_SECONDS: &str = "60";

/// Every request is one of its own: a key that was used for another body would only ever be refused for that. What came of
/// it is noted, a line each.
const HOOKS: &str = r#"
import itertools, re, schemathesis

numbers = itertools.count()
answers = open("answers.tsv", "a", buffering=1)

@schemathesis.hook
def before_call(context, case, kwargs):
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and re.fullmatch("[!-~]{1,200}", key):
        case.headers["Idempotency-Key"] = f"{key}-{next(numbers)}"

@schemathesis.hook
def after_call(context, case, response):
    try:
        code = response.json()["code"]
    except Exception:
        code = ""
    answers.write(f"{case.operation.label}\t{response.status_code}\t{code}\n")
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and needs schemathesis: cargo xtask fuzz-api"]
async fn schemathesis_finds_nothing() {
    let program = std::env::var_os("WARREN_SCHEMATHESIS");
    let program = program.unwrap_or_else(|| panic!("WARREN_SCHEMATHESIS is the path of schemathesis"));
    let stage = stage().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&stage).await;

    std::fs::write(folder.path().join("hooks.py"), HOOKS).unwrap();
    let of_operator = r#"["tenants", "keys"]"#;
    let tenant = folder.path().join("tenant.toml");
    let others = format!("{settings}\n[[operations]]\ninclude-tag = {of_operator}\nenabled = false\n");
    std::fs::write(&tenant, others.replace("KEY", stage.api.key())).unwrap();
    let run = |file: &Path, seconds: &str| {
        let mut command = Command::new(&program);
        command.arg("--config-file").arg(file).arg("run").arg(format!("{}/openapi.json", stage.api.base()));
        command.args(["--seed", SEED, "--max-time", seconds, "--workers", "2", "--continue-on-failure", "--checks", "all"]);
        // Wrong keys are 429 after a few, which `ignored_auth` takes for accepted ones. That every operation is 401 without a
        // key is tested with the examples. A send may be waited for.
        command.args(["--exclude-checks", "ignored_auth", "--max-response-time", "35"]);
        command.current_dir(folder.path()).stdin(Stdio::null());
        command
    };
    let as_tenant = run(&tenant, TENANT_SECONDS).status().await.unwrap();
    std::fs::copy(folder.path().join("answers.tsv"), "/work/notes/answers-tenant.tsv").unwrap();

    let operator = folder.path().join("operator.toml");
    let others = format!("{settings}\n[[operations]]\nexclude-tag = {of_operator}\nenabled = false\n");
    std::fs::write(&operator, others.replace("KEY", stage.warren.admin().unwrap().key())).unwrap();
    let as_operator = run(&operator, OPERATOR_SECONDS).status().await.unwrap();
    std::fs::copy(folder.path().join("answers.tsv"), "/work/notes/answers-all.tsv").unwrap();
    assert!(as_tenant.success() && as_operator.success(), "see what it found above");

    // It did not go unnoticed by the process either.
    let broken: Vec<_> = stage.warren.log().into_iter().filter(|line| line.contains("\"ERROR\"")).collect();
    assert!(broken.is_empty(), "{broken:#?}");
    stage.state(&online(&stage).await, "online").await.unwrap();
}

async fn online(stage: &Stage) -> String {
    let paired = stage.api.get("/v1/instances?name=fuzzed").await.unwrap();
    paired.body["data"][0]["id"].as_str().unwrap().to_owned()
}

/// What schemathesis cannot know: ids that exist, what is left out and why.
async fn settings(stage: &Stage) -> String {
    let instance = stage.pair("fuzzed").await.unwrap();
    let new = stage.api.create_instance("new").await.unwrap().id;
    let person = stage.simulator.person(json!({})).await.unwrap().phone;
    let sent = stage.api.send(&instance.id, &Draft::text(&person, "hello").wait()).await.unwrap().id;
    stage.simulator.write(&person, &instance.phone, "hello", 1).await.unwrap();
    let received = eventually("a received message", PATIENCE, async || {
        let path = format!("/v1/instances/{}/messages?direction=inbound", instance.id);
        Ok(stage.api.get(&path).await?.body["data"][0]["id"].as_str().map(str::to_owned))
    })
    .await
    .unwrap();
    let admin = stage.warren.admin().unwrap();
    let tenant =
        admin.post("/v1/tenants", &json!({"name": "fuzzed"})).await.unwrap().body["id"].as_str().unwrap().to_owned();
    let group = json!({"subject": "fuzzed", "participants": [person]});
    let group = stage.api.post(&format!("/v1/instances/{}/groups", instance.id), &group).await.unwrap().body;
    let group = group["id"].as_str().unwrap();
    let file = b"--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nfuzzed\r\n--edge--\r\n"
        .to_vec();
    let media = stage.api.post_raw("/v1/media", "multipart/form-data; boundary=edge", file).await.unwrap().body;
    let media = media["id"].as_str().unwrap();
    format!(
        r#"
request-timeout = 65
hooks = "hooks.py"
suppress-health-check = ["all"]

[auth.openapi.bearer]
bearer = "KEY"

[generation]
# A path ends at a NUL for the client that sends it.
allow-x00 = false

[checks.positive_data_acceptance]
# Besides the usual ones: 422 for what a schema cannot say (a number's country code, an emoji, an answer to a message that is
# not there), 410 for an old cursor, 429 for limits, 408 never.
expected-statuses = ["2xx", "401", "403", "404", "409", "410", "422", "426", "429"]

[parameters]
"path.instance" = "{instance}"
"path.message" = "{sent}"
"path.phone" = "{phone}"
"path.chat" = "{person}"
"path.contact" = "{person}"
"path.group" = "{group}"
"path.media" = "{media}"
"path.tenant" = "{tenant}"

[[operations]]
include-operation-id = "markRead"
parameters = {{ "path.message" = "{received}" }}

# The connection is needed by the others: these are asked of an instance that has none.
[[operations]]
include-operation-id = [
    "connectInstance", "disconnectInstance", "restartInstance", "logoutInstance",
    "startPairing", "readPairing", "cancelPairing", "pairingQrPng", "pairingQrSvg",
]
parameters = {{ "path.instance" = "{new}" }}

# A message that was taken back is still there, and says so.
[[operations]]
include-path-regex = "^/v1/messages/"
checks = {{ use_after_free = {{ enabled = false }} }}

# What is deleted is gone for the others: asked of what does not exist.
[[operations]]
include-operation-id = ["deleteInstance", "deleteTenant", "deleteMedia", "leaveGroup"]
parameters = {{ "path.instance" = "0192f0c1a2b37d4e8f90a1b2c3d4e52b", "path.tenant" = "0192f0c1a2b37d4e8f90a1b2c3d4e51a", "path.media" = "0192f0c1a2b37d4e8f90a1b2c3d4e54d" }}

# A stream has no end: its handshake and its refusals have tests of their own.
[[operations]]
include-operation-id = "streamEvents"
enabled = false
"#,
        instance = instance.id,
        phone = instance.phone,
    )
}
