//! SIGKILL at each fault point of the send and receive path, under a small load; then the invariants by ground truth. The
//! people of the simulator do not drop repeated ids.

use crate::traffic::Traffic;
use crate::{history, stage};
use serde_json::json;
use std::time::Duration;
use warren_swarm::Report;
use warren_testkit::{Api, Options, Stage, eventually};

/// Texts in each direction.
const TEXTS: usize = 20;
const PEOPLE: usize = 4;
/// How long it may take until the point is reached.
const REACHED: Duration = Duration::from_secs(60);

/// Dies at the point under a load of live messages, starts again without it, settles, probes.
async fn survives(point: &str) {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, PEOPLE).await;
    restart_faulty(&mut stage, &traffic, |options| options.fault(point)).await;
    load(&mut stage, &mut traffic).await;
    sound_after(point, stage, traffic).await;
}

/// Dies at the point while it catches up what came in its absence.
async fn survives_catching_up(point: &str) {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, PEOPLE).await;
    // Nothing goes to the strangers before: what they write must need a one-time key.
    traffic.plan_all(TEXTS);
    stage.warren.kill().await.unwrap();
    traffic.write_all(&stage, u32::try_from(TEXTS / PEOPLE).unwrap()).await;
    stage.restart_with(|options| options.fault(point)).await.unwrap();
    sound_after(point, stage, traffic).await;
}

/// It has died at the point; starts it again and checks the invariants.
async fn sound_after(point: &str, mut stage: Stage, mut traffic: Traffic) {
    let ended = stage.warren.died(REACHED).await.unwrap_or_else(|error| panic!("{point} is not reached: {error:#}"));
    assert_eq!(ended.code, None, "it ended by itself and not by the fault: {}", ended.stderr);
    stage.restart().await.unwrap();
    assert!(traffic.send(&stage).await, "the rest was not accepted after the restart");
    assert!(traffic.settle(&stage).await, "not everything settled");
    traffic.probe(&stage).await;
    let report = Report::of(&history::of(&stage, &traffic).await.unwrap());
    println!("{point}: {report}");
    assert!(report.violations.is_empty(), "{point}: {report}");
}

/// Starts again with a fault or a mutation, and waits until it is online, so that the load is live traffic and no backlog; or
/// died, as some points are reached before.
pub(crate) async fn restart_faulty(stage: &mut Stage, traffic: &Traffic, change: impl FnOnce(Options) -> Options) {
    let id = &traffic.instance.id;
    let logins = logins(&stage.api, id).await.unwrap();
    stage.restart_with(change).await.unwrap();
    let (api, warren) = (stage.api.clone(), &mut stage.warren);
    eventually("it is online, or died", REACHED, async || {
        if !warren.is_running() {
            return Ok(Some(()));
        }
        Ok((self::logins(&api, id).await? > logins).then_some(()))
    })
    .await
    .unwrap();
}

/// How often it came online: the state alone may be from before the restart.
async fn logins(api: &Api, instance: &str) -> anyhow::Result<usize> {
    let log = api.events(instance).await?;
    Ok(log.iter().filter(|event| event.kind == "instance.state_changed" && event.text("/state") == "online").count())
}

/// Everybody writes, the instance writes to everybody: until all is accepted or the process is gone.
pub(crate) async fn load(stage: &mut Stage, traffic: &mut Traffic) {
    traffic.plan_all(TEXTS);
    let each = u32::try_from(TEXTS / traffic.people.len()).unwrap();
    traffic.write_all(stage, each).await;
    traffic.send(stage).await;
}

/// What an answer is encrypted with was made by the text that it answers: it does not leave before that is stored, however late
/// the library would have stored it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_can_be_followed_by_another() {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, 2).await;
    restart_faulty(&mut stage, &traffic, |options| options.mutation("ratchets_stored_late").fault("outbound.claimed:2"))
        .await;
    // The first send of a process stores everything.
    traffic.plan_all(1);
    traffic.send(&stage).await;
    traffic.settle(&stage).await;
    traffic.write_all(&stage, 1).await;
    let (api, id) = (&stage.api, &traffic.instance.id);
    let texts: Vec<_> = traffic.people.iter().map(|person| format!("in 1 from {}", person.phone)).collect();
    eventually("the texts to be there", REACHED, async || {
        let events = api.events(id).await?;
        Ok(texts.iter().all(|text| events.iter().any(|event| event.is_text(text))).then_some(()))
    })
    .await
    .unwrap();
    traffic.plan_all(1);
    traffic.send(&stage).await;
    sound_after("outbound.claimed:2", stage, traffic).await;
}

macro_rules! fault_points {
    ($($name:ident: $way:ident $point:literal,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                $way($point).await;
            }
        )*

        /// The points above, for the check that none is forgotten.
        const POINTS: &[&str] = &[$($point),*];
    };
}

fault_points! {
    killed_at_login_before: survives "login.before",
    killed_at_outbound_before_claim: survives "outbound.before_claim:4",
    killed_at_outbound_claimed: survives "outbound.claimed:4",
    killed_at_outbound_on_wire: survives "outbound.on_wire:4",
    killed_at_outbound_acked: survives "outbound.acked:4",
    killed_at_session_flushed: survives "session.flushed:6",
    killed_at_inbound_pending_stored: survives "inbound.pending_stored:2",
    killed_at_inbound_before_commit: survives "inbound.before_commit:2",
    killed_at_inbound_committed: survives "inbound.committed:2",
    killed_at_inbound_prekey_deleted: survives "inbound.prekey_deleted",
    killed_catching_up_at_pending_stored: survives_catching_up "inbound.pending_stored",
    killed_catching_up_at_before_commit: survives_catching_up "inbound.before_commit",
    killed_catching_up_at_committed: survives_catching_up "inbound.committed",
    killed_catching_up_at_prekey_deleted: survives_catching_up "inbound.prekey_deleted",
}

/// `outbound.reclaimed` is reached only by somebody who takes up what another one handed: the acks are withheld, the first
/// owner is killed with everything in doubt, and the second one dies taking it up.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_outbound_reclaimed() {
    let mut stage = stage().await;
    let mut traffic = Traffic::begin(&stage, PEOPLE).await;
    let phone = traffic.instance.phone.clone();
    stage.simulator.happen(&phone, "trouble", json!({"withhold_acks": true})).await.unwrap();
    load(&mut stage, &mut traffic).await;
    // Somebody who confirms nothing has it, so only the ack could settle it.
    let silent = traffic.people[1].phone.clone();
    eventually("it is on the wire", REACHED, async || {
        // The first one there is from before the trouble.
        Ok((stage.simulator.inbox(&silent, &phone).await?.messages.len() > 1).then_some(()))
    })
    .await
    .unwrap();
    stage.simulator.happen(&phone, "trouble", json!({"withhold_acks": false})).await.unwrap();
    stage.restart_with(|options| options.fault("outbound.reclaimed")).await.unwrap();
    sound_after("outbound.reclaimed", stage, traffic).await;
}

/// A point that somebody adds and nobody tests would be a fault that was never tried.
#[test]
fn every_fault_point_of_the_source_is_tested() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let services = std::path::Path::new(&here).parent().unwrap();
    let mut found = std::collections::BTreeSet::new();
    let mut folders = vec![services.join("worker/src"), services.join("gateway/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&entry).unwrap();
                let names = text.split("fault::point(\"").skip(1).filter_map(|rest| rest.split('"').next());
                found.extend(names.map(str::to_owned));
            }
        }
    }
    assert!(found.len() >= 10, "the source is not where it was: {found:?}");
    let elsewhere = ["outbound.reclaimed", "media.uploaded"];
    let tested = |name: &str| POINTS.iter().any(|point| point.split(':').next() == Some(name)) || elsewhere.contains(&name);
    let untested: Vec<_> = found.iter().filter(|name| !tested(name)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}
