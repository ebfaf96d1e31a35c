//! The store refuses to read sessions while texts are decrypted. To the library that is the end of a text: it tells the server
//! that it cannot be read, and the server forgets it.

use super::{LOST, reported};
use crate::faults::restart_faulty;
use crate::store::database;
use crate::traffic::Traffic;
use warren_swarm::Invariant;
use warren_testkit::{PATIENCE, Stage, eventually};

/// How often it is tried to have a read refused, and not a write before it.
const TRIES: usize = 5;

/// Runs one statement in the store.
async fn run(stage: &Stage, statement: &str) {
    match stage.warren.cluster() {
        Some(cluster) => drop(cluster.servers.ledger.execute(&[statement]).await.unwrap()),
        None => database(stage.warren.folder()).execute_batch(statement).unwrap(),
    }
}

/// From now on the store has no sessions.
async fn hide(stage: &Stage) {
    run(stage, "ALTER TABLE session_records RENAME TO hidden_records").await;
}

/// It has them again.
async fn show(stage: &Stage) {
    run(stage, "ALTER TABLE hidden_records RENAME TO session_records").await;
}

/// How often a client was given up.
async fn given_up(stage: &Stage) -> anyhow::Result<f64> {
    let metrics = stage.warren.metrics().await?;
    let counts = metrics.lines().filter(|line| line.starts_with("warren_sessions_given_up_total"));
    Ok(counts.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}

/// Everybody writes a text while the store has no sessions: until that has given the client up, or the server has forgotten all
/// that it had for it.
async fn texts_refused(stage: &Stage, traffic: &Traffic) {
    let before = given_up(stage).await.unwrap();
    hide(stage).await;
    traffic.write_all(stage, 1).await;
    eventually("the refusal has a consequence", PATIENCE, async || {
        let truth = stage.simulator.ground_truth(&traffic.instance.phone).await?;
        let is_forgotten = truth.emitted.iter().all(|emitted| emitted.acked);
        Ok((is_forgotten || given_up(stage).await? > before).then_some(()))
    })
    .await
    .unwrap();
    show(stage).await;
}

/// The client is given up before it hears of the refusal; the next one has every text, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_refused_during_decrypt_loses_nothing() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 4).await;
    // No session is in memory.
    restart_faulty(&mut stage, &traffic, |options| options).await;
    let was_refused = |stage: &Stage| stage.warren.log().iter().any(|line| line.contains("session state cannot be read"));
    for _ in 0..TRIES {
        texts_refused(&stage, &traffic).await;
        assert!(traffic.settle(&stage).await, "not every text arrived");
        // It may have been a write of somebody new that was refused first.
        if was_refused(&stage) {
            break;
        }
    }
    assert!(was_refused(&stage), "no read was refused");
    traffic.probe(&stage).await;
    assert_eq!(reported(&stage, &traffic).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn read_errors_at_once_is_caught() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 2).await;
    restart_faulty(&mut stage, &traffic, |options| options.mutation("read_errors_at_once")).await;
    // Somebody known: nothing has to be written before his text is decrypted.
    traffic.people.truncate(1);
    traffic.patience = LOST;
    for _ in 0..TRIES {
        texts_refused(&stage, &traffic).await;
        if !traffic.settle(&stage).await {
            break;
        }
    }
    assert!(reported(&stage, &traffic).await.contains(&Invariant::I4));
}
