//! A checker that cannot fail is worth nothing: with one protection switched off, the scenario that needs it must be
//! reported as a violation.

mod refused_reads;

use crate::faults::{load, restart_faulty};
use crate::store::{database, messages_while_locked};
use crate::traffic::Traffic;
use crate::{binary, history};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;
use warren_swarm::{Invariant, Report};
use warren_testkit::{Draft, PATIENCE, Stage, eventually};

/// What is lost does not come, however long it is waited for.
const LOST: Duration = Duration::from_secs(20);

async fn mutated(name: &str) -> Stage {
    Stage::start_with(binary(), |options| options.mutation(name)).await.unwrap()
}

async fn reported(stage: &Stage, traffic: &Traffic) -> Vec<Invariant> {
    let report = Report::of(&history::of(stage, traffic).await.unwrap());
    println!("{report}");
    report.violations.iter().map(|violation| violation.invariant).collect()
}

/// A store that answers an error for a passing condition loses what arrives meanwhile: it is not acknowledged, the ratchet
/// moves on, and when the server sends it again it is taken for a repeated one.
#[tokio::test(flavor = "multi_thread")]
async fn store_errors_at_once_is_caught() {
    let stage = mutated("store_errors_at_once").await;
    let mut traffic = Traffic::begin(&stage, 4).await;
    traffic.patience = LOST;
    // Else the own phone would tell what was lost.
    stage.simulator.change_habits(&traffic.instance.phone, json!({"online": false})).await.unwrap();
    messages_while_locked(&stage, &traffic).await;
    traffic.write_all(&stage, 1).await;
    stage.simulator.happen(&traffic.instance.phone, "drop", json!({})).await.unwrap();
    traffic.probe(&stage).await;
    let violated = reported(&stage, &traffic).await;
    assert!(violated.contains(&Invariant::I4) || violated.contains(&Invariant::I6), "{violated:?}");
}

/// Acknowledged, then dead before the commit.
#[tokio::test(flavor = "multi_thread")]
async fn ack_before_commit_is_caught() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 4).await;
    let dying = |options: warren_testkit::Options| options.mutation("ack_before_commit").fault("inbound.before_commit");
    restart_faulty(&mut stage, &traffic, dying).await;
    load(&mut stage, &mut traffic).await;
    stage.warren.died(PATIENCE).await.unwrap();
    stage.restart().await.unwrap();
    traffic.send(&stage).await;
    traffic.patience = LOST;
    traffic.settle(&stage).await;
    assert!(reported(&stage, &traffic).await.contains(&Invariant::I4));
}

/// The server took it, the row does not know, and the re-send is encrypted afresh.
#[tokio::test(flavor = "multi_thread")]
async fn re_encrypt_on_resend_is_caught() {
    let mut stage = crate::stage().await;
    let mut traffic = Traffic::begin_unconfirmed(&stage, 4).await;
    restart_faulty(&mut stage, &traffic, |options| options.fault("outbound.acked:4")).await;
    load(&mut stage, &mut traffic).await;
    stage.warren.died(PATIENCE).await.unwrap();
    let mutate = |mut options: warren_testkit::Options| {
        options.environment.retain(|(name, _)| name != "WARREN_FAULT_POINT");
        options.mutation("re_encrypt_on_resend")
    };
    stage.restart_with(mutate).await.unwrap();
    traffic.send(&stage).await;
    traffic.settle(&stage).await;
    assert!(reported(&stage, &traffic).await.contains(&Invariant::I2b));
}

/// One key, many messages.
#[tokio::test(flavor = "multi_thread")]
async fn idempotency_off_is_caught() {
    let stage = mutated("idempotency_off").await;
    let traffic = Traffic::begin(&stage, 2).await;
    let draft = Draft::text(&traffic.people[0].phone, "only once").key("the-one-key");
    let answers = join_all((0..20).map(|_| stage.api.send(&traffic.instance.id, &draft))).await;
    for answer in answers {
        stage.status(&answer.unwrap().id, "delivered").await.unwrap();
    }
    assert!(reported(&stage, &traffic).await.contains(&Invariant::I2a));
}

/// Raises every epoch in the store, as a newer owner would.
async fn raise_epochs(stage: &Stage, by: i64) {
    let raise = format!("UPDATE shard_owners SET epoch = epoch + {by}");
    match stage.warren.cluster() {
        Some(cluster) => drop(cluster.servers.ledger.execute(&[&raise]).await.unwrap()),
        None => assert!(database(stage.warren.folder()).execute(&raise, []).unwrap() > 0),
    }
}

/// Waits until the worker knows that its shards are somebody else's.
async fn loss_is_noticed(stage: &Stage) {
    eventually("the loss is noticed", Duration::from_secs(60), async || {
        let metrics = stage.warren.metrics().await?;
        let lost = metrics.lines().find_map(|line| line.strip_prefix("warren_ownership_lost_total ")?.parse::<f64>().ok());
        Ok(lost.filter(|lost| *lost > 0.0))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_shards_sends_nothing() {
    let stage = crate::stage().await;
    // They have talked: below a reserved counter, the library asks nobody before it sends.
    let traffic = Traffic::begin(&stage, 4).await;
    let before = stage.simulator.ground_truth(&traffic.instance.phone).await.unwrap().accepted.len();
    raise_epochs(&stage, 1000).await;
    for person in &traffic.people {
        let draft = Draft::text(&person.phone, "stale");
        assert_eq!(stage.api.send(&traffic.instance.id, &draft).await.unwrap().status, "queued");
    }
    loss_is_noticed(&stage).await;
    // It lets go of the account.
    eventually("the account is let go", Duration::from_secs(60), async || {
        Ok((!stage.simulator.is_connected(&traffic.instance.phone).await?).then_some(()))
    })
    .await
    .unwrap();
    let after = stage.simulator.ground_truth(&traffic.instance.phone).await.unwrap().accepted.len();
    assert_eq!(after, before);
}

/// A worker loses its shards and has a text to send, which must not be sent twice; it gets the shards back under a new epoch,
/// and sends what is queued. What is reported of it.
async fn a_text_for_a_stale_owner(mutation: Option<&str>) -> Vec<Invariant> {
    let stage = match mutation {
        Some(mutation) => mutated(mutation).await,
        None => crate::stage().await,
    };
    // Half of them have talked with it, and nobody's receipts betray the new epoch before the text does.
    let mut traffic = Traffic::begin_unconfirmed(&stage, 6).await;
    // By one: who is given the next epoch has the shards again.
    raise_epochs(&stage, 1).await;
    traffic.plan_all(1);
    let planned = traffic.sends.last().unwrap();
    assert!(planned.at_most_once && planned.to == traffic.people[0].phone, "it can be sent twice, or to a stranger");
    assert!(traffic.send(&stage).await);
    loss_is_noticed(&stage).await;
    assert!(traffic.settle(&stage).await);
    reported(&stage, &traffic).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stale_owner_did_not_send_is_sent_once() {
    assert_eq!(a_text_for_a_stale_owner(None).await, []);
}

/// The stale owner's stanza is on the wire and in no row, so that the next owner encrypts the text once more.
#[tokio::test(flavor = "multi_thread")]
async fn send_gate_off_is_caught() {
    assert!(a_text_for_a_stale_owner(Some("send_gate_off")).await.contains(&Invariant::I2b));
}

/// The same scenarios without a mutation are sound: it is the mutation that is caught.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_mutation_nothing_is_reported() {
    let stage = crate::stage().await;
    let mut traffic = Traffic::begin(&stage, 2).await;
    let draft = Draft::text(&traffic.people[0].phone, "only once").key("the-one-key");
    let answers = join_all((0..20).map(|_| stage.api.send(&traffic.instance.id, &draft))).await;
    for answer in answers {
        stage.status(&answer.unwrap().id, "delivered").await.unwrap();
    }
    traffic.probe(&stage).await;
    assert_eq!(reported(&stage, &traffic).await, []);
}
