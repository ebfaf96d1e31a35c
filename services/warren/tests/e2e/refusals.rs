//! What must not start: one line, and an exit code that a supervisor understands.

mod roles;

use crate::{binary, stage};
use warren_testkit::{Ended, Network, Options, Simulator, Warren};

/// Refused with this code and one line that holds these words.
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    // Beside the log, which is JSON.
    let lines: Vec<_> = ended.stderr.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "one line: {}", ended.stderr);
    for word in words {
        assert!(lines[0].contains(word), "`{word}` is not in: {}", lines[0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_the_same_folder() {
    let stage = stage().await;
    let ended = Warren::refused(&stage.warren.options().clone().folder(stage.warren.keep_folder().unwrap())).await.unwrap();
    assert_refused(&ended, 75, &["in use by another process"]);
    // The first one does not mind.
    stage.pair("a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulators_store_for_whatsapp() {
    let mut stage = stage().await;
    stage.pair("a").await.unwrap();
    stage.warren.stop().await.unwrap();
    let options = Options::new(binary(), Network::Whatsapp).folder(stage.warren.keep_folder().unwrap());
    assert_refused(&Warren::refused(&options).await.unwrap(), 78, &["simulator"]);
    stage.restart().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_whatsapp_for_a_simulator() {
    let mut warren = Warren::start(Options::new(binary(), Network::Whatsapp)).await.unwrap();
    warren.stop().await.unwrap();
    let simulator = Simulator::start(binary()).await.unwrap();
    let simulated = Network::Simulator(simulator.url().to_owned());
    let options = Options::new(binary(), simulated).folder(warren.keep_folder().unwrap());
    assert_refused(&Warren::refused(&options).await.unwrap(), 78, &["simulator"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_another_simulator() {
    let mut stage = stage().await;
    stage.warren.stop().await.unwrap();
    let other = Simulator::start(binary()).await.unwrap();
    let options =
        Options::new(binary(), Network::Simulator(other.url().to_owned())).folder(stage.warren.keep_folder().unwrap());
    assert_refused(&Warren::refused(&options).await.unwrap(), 78, &["simulator"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_sealing_key() {
    let mut stage = stage().await;
    stage.pair("a").await.unwrap();
    stage.warren.stop().await.unwrap();
    let key = "7".repeat(64);
    let options = stage.warren.options().clone().folder(stage.warren.keep_folder().unwrap()).env("WARREN_SEALING_KEY", &key);
    let ended = Warren::refused(&options).await.unwrap();
    assert_refused(&ended, 78, &["seal"]);
    assert!(!ended.stderr.contains(&key));
    stage.restart().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_sealing_key() {
    let mut stage = stage().await;
    stage.pair("a").await.unwrap();
    stage.warren.stop().await.unwrap();
    std::fs::remove_file(stage.warren.folder().join("data/sealing.key")).unwrap();
    let options = stage.warren.options().clone().folder(stage.warren.keep_folder().unwrap());
    assert_refused(&Warren::refused(&options).await.unwrap(), 78, &["seal"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weak_admin_key_and_an_open_address() {
    for (name, value, word) in [
        ("WARREN_ADMIN_KEY", "admin:admin", "WARREN_ADMIN_KEY"),
        ("WARREN_LISTEN", "0.0.0.0:0", "allow_plaintext"),
        ("WARREN_SERVER__LISTENN", "127.0.0.1:0", "listenn"),
    ] {
        let options = Options::new(binary(), Network::Whatsapp).env(name, value);
        let ended = Warren::refused(&options).await.unwrap();
        assert_refused(&ended, 78, &[word]);
        assert!(!ended.stderr.contains("admin:admin"));
    }
}
