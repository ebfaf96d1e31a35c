//! The document for users: its commands work as they stand there, and it has one for every request.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::sync::Arc;

use crate::support::{Phoneless, paired, seeded, simulator};
use tokio::process::Command;
use warren_simulator::{Options, Simulator};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::wacore::types::events::Event;

const DOCUMENT: &str = include_str!("../../../../docs/sandbox.md");
const ROUTES: &str = include_str!("../../src/admin/mod.rs");
/// A status that is an error ends the script.
const CURL: &str = r#"curl() { command curl --fail --show-error --max-time 60 "$@" || { echo "failed: $*" >&2; exit 1; }; }
"#;
/// What a client shows a code for, in the document.
const TYPED: &str = "6281100000003";

/// The commands, one a line.
fn commands() -> Vec<&'static str> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in DOCUMENT.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            commands.push(line);
        }
    }
    commands
}

/// `POST /admin/people/*/send` for a command with curl.
fn request(command: &str) -> Option<String> {
    let (_, after) = command.split_once("$S/")?;
    let path: String = after.chars().take_while(|c| !matches!(c, ' ' | '"' | '?' | ')')).collect();
    let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('$') { "*" } else { part }).collect();
    let posts = command.contains(" -d '") || command.contains(" --data-raw ") || command.contains(" -X POST ");
    let method = ["PATCH", "DELETE"].into_iter().find(|method| command.contains(&format!(" -X {method} ")));
    let method = method.unwrap_or(if posts { "POST" } else { "GET" });
    Some(format!("{method} /{}", path.join("/")))
}

/// The same for everything that the table of contents of the admin API has.
fn routes() -> BTreeSet<String> {
    let mut routes = BTreeSet::new();
    for line in ROUTES.lines().filter_map(|line| line.trim().strip_prefix(".route(\"")) {
        let (path, handlers) = line.split_once('"').unwrap();
        let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "*" } else { part }).collect();
        for method in ["get", "post", "patch", "put", "delete"] {
            if handlers.contains(&format!("{method}(")) {
                routes.insert(format!("{} {}", method.to_uppercase(), path.join("/")));
            }
        }
    }
    routes
}

#[test]
fn has_an_example_of_every_request() {
    let shown: BTreeSet<String> = commands().into_iter().filter_map(request).collect();
    let routes = routes();
    assert!(routes.len() > 30, "{routes:?}");
    assert_eq!(routes.difference(&shown).collect::<Vec<_>>(), Vec::<&String>::new(), "not in docs/sandbox.md");
    assert_eq!(shown.difference(&routes).collect::<Vec<_>>(), Vec::<&String>::new(), "not in the admin API");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_commands_work() {
    let simulator = simulator(Options::default()).await;
    let scanned = client(&simulator).await;
    let code = client(&simulator).await;
    let qr = scanned
        .wait_for("QR code", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await;
    code.wait_for("QR code", |event| matches!(event, Event::PairingQrCode(_)).then_some(())).await;
    let options = PairCodeOptions { phone_number: TYPED.to_owned(), ..Default::default() };
    let typed = Arc::clone(&code.client).pair_with_code(options).await.unwrap();
    // Somebody has written to the person of the document before it looks into the inbox.
    let (writer, _) = paired(&simulator, "").await;
    let address = format!("http://{}", simulator.local_addr());

    let mut script = CURL.to_owned();
    for command in commands() {
        script.push_str(command);
        script.push('\n');
        if command.starts_with("P=") {
            // The client that the document does not know of waits for the number and writes.
            script.push_str("echo \"person $P\"; read -r _\n");
        }
    }
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &script]).env("S", &address).env("QR", &qr).env("CODE", &typed);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let said = converse(shell.spawn().unwrap(), &writer).await;
    assert!(said.contains("\"phone\":\"6281100000003\""), "the typed code linked a client: {said}");
    for client in [scanned, code, writer] {
        client.stop().await;
    }
    simulator.shutdown().await;
}

async fn client(simulator: &Simulator) -> Phoneless {
    Phoneless::start(simulator.local_addr(), seeded(simulator).await).await
}

/// Runs the commands to their end; writes to the person as soon as there is one.
async fn converse(mut shell: tokio::process::Child, writer: &Phoneless) -> String {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    let mut input = shell.stdin.take().unwrap();
    let mut lines = BufReader::new(shell.stdout.take().unwrap()).lines();
    let mut said = String::new();
    let talk = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, person)) = line.split_once("person ") {
                writer.send(&format!("{person}@s.whatsapp.net"), "halo").await;
                input.write_all(b"go on\n").await.unwrap();
            }
            said.push_str(&line);
            said.push('\n');
        }
    };
    let ended = tokio::time::timeout(crate::support::PATIENCE * 3, async {
        talk.await;
        shell.wait_with_output().await.unwrap()
    })
    .await
    .expect("the commands end");
    assert!(ended.status.success(), "{}\n{}", String::from_utf8_lossy(&ended.stderr), said);
    said
}
