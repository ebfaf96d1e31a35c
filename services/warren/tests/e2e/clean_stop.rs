//! SIGTERM with messages on their way.

use crate::traffic::Traffic;
use crate::{history, stage};
use serde_json::json;
use warren_swarm::Report;
use warren_testkit::{PATIENCE, eventually};

/// The server took them and did not say so: they are open when the process ends, in an orderly way, and none is lost or seen
/// twice after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn open_sends_outlive_a_clean_stop() {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin_unconfirmed(&stage, 4).await;
    let phone = traffic.instance.phone.clone();
    stage.simulator.happen(&phone, "trouble", json!({"withhold_acks": true})).await.unwrap();
    traffic.plan_all(8);
    assert!(traffic.send(&stage).await, "they are accepted");
    let stranger = traffic.people[3].phone.clone();
    eventually("one is on the wire", PATIENCE, async || {
        Ok((!stage.simulator.inbox(&stranger, &phone).await?.messages.is_empty()).then_some(()))
    })
    .await
    .unwrap();
    let ended = stage.warren.stop().await.unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    stage.simulator.happen(&phone, "trouble", json!({"withhold_acks": false})).await.unwrap();
    stage.restart().await.unwrap();
    assert!(traffic.settle(&stage).await, "not everything settled");
    traffic.probe(&stage).await;
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    assert!(report.violations.is_empty(), "{report}");
}
