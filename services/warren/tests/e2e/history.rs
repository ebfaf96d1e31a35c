//! Gathers the three witnesses of a run: the API's answers, the simulator's ledger, the event log.

use crate::traffic::Traffic;
use warren_swarm::history::{Emitted, End, Entry, History, Logged, Received, Send, Sessions, Taken};
use warren_testkit::{Event, Stage};

/// What has happened so far.
pub(crate) async fn of(stage: &Stage, traffic: &Traffic) -> anyhow::Result<History> {
    let instance = &traffic.instance;
    let truth = stage.simulator.ground_truth(&instance.phone).await?;
    anyhow::ensure!(truth.forgotten == 0, "the simulator has forgotten part of the truth");
    let mut history = History { sends: sends(stage, traffic).await?, ..History::default() };
    let mut undecryptable = 0;
    let mut retries = truth.retry_receipts_sent + truth.retry_receipts_received;
    for person in &traffic.people {
        let inbox = stage.simulator.inbox(&person.phone, &instance.phone).await?;
        undecryptable += inbox.undecryptable;
        retries += inbox.retries_sent;
        history.received.extend(inbox.messages.into_iter().map(|message| Received {
            recipient: person.phone.clone(),
            instance: instance.id.clone(),
            whatsapp_id: message.id,
            payload: message.text.unwrap_or_default(),
            surfaced: message.surfaced,
        }));
    }
    let is_a_persons = |from: &str| {
        let user = |address: &str| address.split(['@', ':', '.']).next().unwrap_or_default().to_owned();
        traffic.people.iter().any(|person| [&person.phone, &person.lid].iter().any(|known| user(known) == user(from)))
    };
    history.emitted = truth
        .emitted
        .into_iter()
        .filter(|emitted| is_a_persons(&emitted.from))
        .map(|emitted| Emitted {
            instance: instance.id.clone(),
            author: emitted.from,
            whatsapp_id: emitted.id,
            acked: emitted.acked,
        })
        .collect();
    history.taken = truth
        .accepted
        .into_iter()
        .map(|taken| Taken { whatsapp_id: taken.id, copies: taken.copies, distinct_stanzas: taken.distinct_stanzas })
        .collect();
    let events = stage.api.events(&instance.id).await?;
    for event in events.iter().filter(|event| event.kind == "message.undecryptable") {
        println!("undecryptable: {} ({})", event.text("/whatsapp_id"), event.text("/reason"));
    }
    let entry =
        |event: &Event| Entry { instance: instance.id.clone(), seq: event.seq.unwrap_or_default(), id: event.id.clone() };
    history.log = events.iter().map(entry).collect();
    history.logged = events
        .iter()
        .filter(|event| event.kind == "message.received")
        .map(|event| Logged {
            instance: instance.id.clone(),
            whatsapp_id: event.text("/whatsapp_id").to_owned(),
            recovered: event.data.get("recovered").is_some_and(|is| is == true),
        })
        .collect();
    // What the own phone told after all is no harm done: the log has it.
    let unread = events.iter().filter(|event| {
        let id = event.text("/whatsapp_id");
        event.kind == "message.undecryptable" && history.logged.iter().all(|logged| logged.whatsapp_id != id)
    });
    let undecryptable_inbound = unread.count() as u64;
    history.sessions = Sessions {
        retry_receipts: retries,
        undecryptable_outbound: undecryptable,
        undecryptable_inbound,
        probes: traffic.probes.clone(),
    };
    Ok(history)
}

async fn sends(stage: &Stage, traffic: &Traffic) -> anyhow::Result<Vec<Send>> {
    let mut sends = Vec::new();
    for send in &traffic.sends {
        let Some(accepted) = &send.accepted else { continue };
        let now = stage.api.message(&accepted.id).await?;
        let end = match now.status.as_str() {
            "queued" | "handed" => End::Open,
            "failed" => End::Failed,
            _ => End::Sent,
        };
        sends.push(Send {
            whatsapp_id: accepted.whatsapp_id.clone(),
            instance: traffic.instance.id.clone(),
            recipient: send.to.clone(),
            payload: send.text.clone(),
            at_most_once: send.at_most_once,
            end,
        });
    }
    Ok(sends)
}
