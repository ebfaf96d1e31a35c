//! What was lost on this side, the account's own phone still has.

use crate::faults::restart_faulty;
use crate::traffic::Traffic;
use crate::{history, stage};
use serde_json::json;
use std::time::Duration;
use warren_swarm::{Invariant, Report};
use warren_testkit::{Draft, Event, PATIENCE, Stage, eventually};

/// How long until the phone has answered.
const TOLD: Duration = Duration::from_secs(30);

/// Dies with an inbound message whose key is used up and whose text was not buffered; starts again.
async fn lose_one(stage: &mut Stage, traffic: &Traffic) {
    let dying = |options: warren_testkit::Options| options.mutation("inbound_not_buffered").fault("inbound.before_commit");
    restart_faulty(stage, traffic, dying).await;
    let known = &traffic.people[0].phone;
    stage.simulator.write(known, &traffic.instance.phone, "only once", 1).await.unwrap();
    // Sends store what ratchets moved, the one of the message that is not committed yet among them.
    let (api, to) = (stage.api.clone(), known.clone());
    let instance = traffic.instance.id.clone();
    let sending = tokio::spawn(async move {
        let mut texts = (0..).map(|number| Draft::text(&to, &format!("meanwhile {number}")));
        while let Some(draft) = texts.next()
            && api.try_send(&instance, &draft).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    stage.warren.died(PATIENCE).await.unwrap();
    // Where others take sends meanwhile, it would never end.
    sending.abort();
    stage.restart().await.unwrap();
}

async fn of_kind(stage: &Stage, traffic: &Traffic, kind: &str) -> Vec<Event> {
    let log = stage.api.events(&traffic.instance.id).await.unwrap();
    log.into_iter().filter(|event| event.kind == kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_a_crash_lost_is_told_by_the_own_phone() {
    let mut stage = stage().await;
    let traffic = Traffic::begin(&stage, 2).await;
    lose_one(&mut stage, &traffic).await;
    let received = eventually("the phone told it", TOLD, async || {
        let received = of_kind(&stage, &traffic, "message.received").await;
        Ok(received.into_iter().find(|event| event.text("/text/body") == "only once"))
    });
    let received = received.await.unwrap();
    assert_eq!(received.data["recovered"], true);
    let lost = of_kind(&stage, &traffic, "message.undecryptable").await;
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0].text("/reason"), "lost_in_crash");
    assert_eq!(lost[0].text("/whatsapp_id"), received.text("/whatsapp_id"));
    assert_eq!(lost[0].text("/chat"), received.text("/chat"), "it is in the same chat");
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    assert!(report.violations.is_empty(), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_message_is_reported_at_once_and_told_when_the_phone_is_back() {
    let mut stage = stage().await;
    let traffic = Traffic::begin(&stage, 2).await;
    stage.simulator.change_habits(&traffic.instance.phone, json!({"online": false})).await.unwrap();
    lose_one(&mut stage, &traffic).await;
    let lost =
        eventually("it is reported", TOLD, async || Ok(of_kind(&stage, &traffic, "message.undecryptable").await.pop()));
    assert_eq!(lost.await.unwrap().text("/reason"), "lost_in_crash");
    // The ratchet was stored before the event, and nobody can tell the text yet: that is what I4 is about.
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    assert!(report.violations.iter().any(|violation| violation.invariant == Invariant::I4), "{report}");
    // The question waits for the phone like every message.
    stage.simulator.change_habits(&traffic.instance.phone, json!({"online": true})).await.unwrap();
    let told = eventually("the phone told it late", TOLD, async || {
        let received = of_kind(&stage, &traffic, "message.received").await;
        Ok(received.into_iter().find(|event| event.text("/text/body") == "only once"))
    });
    told.await.unwrap();
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    assert!(report.violations.is_empty(), "{report}");
}
