//! What is posted is verified by the libraries of Standard Webhooks, and what was changed is not.

use crate::receiver::{Post, Receiver, until};
use crate::world::{World, quick};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use warren_domain::Timestamp;
use warren_domain::time::Clock as _;
use warren_domain::webhook::{Secret, Secrets};
use warren_ports::ledger::Webhooks as _;

fn verify(secret: &Secret, post: &Post) -> Result<(), standardwebhooks::WebhookError> {
    standardwebhooks::Webhook::new(secret.reveal()).unwrap().verify(&post.body, &post.headers)
}

/// For a day both secrets verify, then the new one alone.
#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_live_while_one_is_replaced() {
    let (world, receiver) = (World::new(1).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    until("it arrived", async || receiver.count() == 1).await;
    let (old, new) = (webhook.secrets.current.clone(), Secret::generate());
    let last = || receiver.posts().pop().unwrap();
    verify(&old, &last()).unwrap();
    verify(&new, &last()).unwrap_err();
    let now = world.clock.now();
    let until_then = now.after(Duration::from_secs(30));
    world.store.rotate_secret(world.tenant, webhook.id, &new, until_then, now).await.unwrap().unwrap();
    let mut number = 1;
    until("both sign", async || {
        world.write_rounds(number, 1).await;
        number += 1;
        world.caught_up(webhook.id).await;
        last().header("webhook-signature").unwrap().split(' ').count() == 2
    })
    .await;
    verify(&old, &last()).unwrap();
    verify(&new, &last()).unwrap();
    world.clock.turn(Duration::from_secs(31));
    world.write_rounds(number, 1).await;
    world.caught_up(webhook.id).await;
    verify(&old, &last()).unwrap_err();
    verify(&new, &last()).unwrap();
    drop(dispatcher);
}

/// Row 64 with the library for Python, as its maintainers publish it: a changed byte, an old time and a swapped id are rejected.
#[tokio::test(flavor = "multi_thread")]
async fn row_64_the_python_library_verifies_and_rejects() {
    let library = installed();
    let (world, receiver) = (World::new(2).await, Receiver::start().await);
    let webhook = world.webhook(&receiver).await;
    let _dispatcher = world.dispatcher(quick(), &receiver);
    world.write_rounds(0, 1).await;
    world.caught_up(webhook.id).await;
    let posts = receiver.posts();
    let (post, other) = (&posts[0], &posts[1]);
    let secret = webhook.secrets.current.reveal();
    let headers = |id: &str, seconds: &str, signature: &str| json!({"webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": signature});
    let (id, seconds, signature) =
        (post.id(), post.header("webhook-timestamp").unwrap(), post.header("webhook-signature").unwrap());
    let body = std::str::from_utf8(&post.body).unwrap();
    let own = headers(id, seconds, signature);
    let changed = body.replacen("\"number\":0", "\"number\":1", 1);
    assert_ne!(changed, body);
    // Six minutes ago, rightly signed: somebody recorded it and sends it again.
    let then = Timestamp::from_millis((seconds.parse::<i64>().unwrap() - 360) * 1_000);
    let old = Secrets::new(webhook.secrets.current.clone()).signature(id, then, &post.body);
    let old_seconds = (then.as_millis() / 1_000).to_string();
    let cases = json!([
        {"name": "as it came", "secret": secret, "body": body, "headers": own, "accepted": true},
        {"name": "a changed byte", "secret": secret, "body": changed, "headers": own, "accepted": false},
        {"name": "an old time", "secret": secret, "body": body, "headers": headers(id, &old_seconds, &old), "accepted": false},
        {"name": "a changed time", "secret": secret, "body": body, "headers": headers(id, &old_seconds, signature), "accepted": false},
        {"name": "a swapped id", "secret": secret, "body": body, "headers": headers(other.id(), seconds, signature), "accepted": false},
        {"name": "another secret", "secret": Secret::generate().reveal(), "body": body, "headers": own, "accepted": false},
    ]);
    let answered = python(&library, &cases.to_string());
    assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
    assert_eq!(String::from_utf8_lossy(&answered.stdout).trim(), "6 cases are right");
}

const SCRIPT: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

cases = json.load(sys.stdin)
for case in cases:
    try:
        accepted = Webhook(case["secret"]).verify(case["body"], case["headers"]) == json.loads(case["body"])
    except WebhookVerificationError:
        accepted = False
    assert accepted == case["accepted"], case["name"]
print(len(cases), "cases are right")
"#;

fn python(library: &Path, input: &str) -> std::process::Output {
    let folder = tempfile::tempdir().unwrap();
    let cases = folder.path().join("cases.json");
    std::fs::write(&cases, input).unwrap();
    Command::new("python3")
        .args(["-c", SCRIPT])
        .env("PYTHONPATH", library)
        .stdin(std::fs::File::open(cases).unwrap())
        .output()
        .expect("python3 can be run")
}

/// Where the library is; installed from PyPI below `target` if it is not there.
fn installed() -> PathBuf {
    const LIBRARY: &str = "standardwebhooks==1.1.0";
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let root = Path::new(&here).ancestors().nth(2).unwrap();
    let folder = root.join("target/standardwebhooks");
    let marker = folder.join(LIBRARY);
    if marker.exists() {
        return folder.join("library");
    }
    println!("Installing {LIBRARY} from PyPI into {}", folder.display());
    let environment = folder.join("environment");
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().expect("the program can be run");
        assert!(
            output.status.success(),
            "python3 with its module venv (Debian's package python3-venv) and PyPI are needed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(Path::new("python3"), &["-m", "venv", environment.to_str().unwrap()]);
    let library = folder.join("library");
    let target = library.to_str().unwrap();
    run(&environment.join("bin/pip"), &["install", "--quiet", "--target", target, "--upgrade", LIBRARY]);
    std::fs::write(marker, "").unwrap();
    library
}
