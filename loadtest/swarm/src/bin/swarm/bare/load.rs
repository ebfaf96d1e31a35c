//! What bare clients do while they are measured.

use super::{Arguments, Bare};
use crate::{process, quantiles::Quantiles};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    str::FromStr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use waproto::whatsapp as wa;
use warren_swarm::Simulator;
use whatsapp_rust::{Client, Jid};

/// Between the last pairing and being idle: the client library saves its device after half a minute, and what pairing left
/// to do is not part of being idle.
const SETTLE: Duration = Duration::from_secs(45);
const DEADLINE: Duration = Duration::from_secs(300);

pub(super) async fn idle(own: u32, base: u64, arguments: &Arguments) -> Result<Value> {
    tokio::time::sleep(SETTLE).await;
    let (cpu, since) = (process::cpu_seconds(own)?, Instant::now());
    tokio::time::sleep(Duration::from_secs(arguments.idle)).await;
    let used = process::cpu_seconds(own)? - cpu;
    let count = arguments.clients as f64;
    Ok(json!({
        "private_kib_each": (process::private_kib(own)?.saturating_sub(base)) as f64 / count,
        "cpu_us_each_s": used / since.elapsed().as_secs_f64() / count * 1e6,
    }))
}

/// Every client writes to its own person, the next text when the server acknowledged the last.
pub(super) async fn send(simulator: &Simulator, clients: &[Bare], own: u32, base: u64, seconds: u64) -> Result<Value> {
    let people = acquainted(simulator, clients).await?;
    let (cpu, since) = (process::cpu_seconds(own)?, Instant::now());
    let deadline = since + Duration::from_secs(seconds);
    let before: u64 = clients.iter().map(|bare| bare.ears.acks.load(Ordering::Relaxed)).sum();
    let loops = clients.iter().zip(&people).map(|(bare, person)| async move {
        while Instant::now() < deadline {
            send_one(bare, person).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(loops).await?;
    let after: u64 = clients.iter().map(|bare| bare.ears.acks.load(Ordering::Relaxed)).sum();
    let (sent, took) = ((after - before) as f64, since.elapsed().as_secs_f64());
    Ok(json!({
        "sent_per_s": sent / took,
        "cpu_us_per_text": (process::cpu_seconds(own)? - cpu) / sent * 1e6,
        "private_kib_each_after": (process::private_kib(own)?.saturating_sub(base)) as f64 / clients.len() as f64,
    }))
}

/// Texts at a rate: how long each took from when it was due to the server's acknowledgement.
pub(super) async fn paced(simulator: &Simulator, clients: &[Bare], rate: u64, seconds: u64) -> Result<Value> {
    let people = acquainted(simulator, clients).await?;
    let spacing = Duration::from_secs_f64(clients.len() as f64 / rate as f64);
    let (started, count) = (Instant::now(), clients.len());
    let deadline = started + Duration::from_secs(seconds);
    let loops = clients.iter().zip(&people).enumerate().map(|(at, (bare, person))| async move {
        let mut due = started + spacing.mul_f64(at as f64 / count as f64);
        let mut took = Vec::new();
        while due < deadline {
            tokio::time::sleep_until(due.into()).await;
            send_one(bare, person).await?;
            took.push(due.elapsed());
            due += spacing;
        }
        anyhow::Ok(took)
    });
    let mut latency = Quantiles::new()?;
    for took in futures::future::try_join_all(loops).await?.into_iter().flatten() {
        latency.note(took);
    }
    Ok(latency.show())
}

/// People write to the clients.
pub(super) async fn receive(simulator: &Simulator, clients: &[Bare], own: u32, texts: u64) -> Result<Value> {
    let people = simulator.phones(clients.len()).await?;
    let mut pairs = Vec::with_capacity(clients.len());
    for (bare, person) in clients.iter().zip(people) {
        pairs.push((person, phone(bare)?));
    }
    // The first text of a pair costs a key exchange; it is not part of the figure.
    simulator.write_all(&pairs, 1).await?;
    arrived(clients, pairs.len() as u64).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (cpu, total) = (process::cpu_seconds(own)?, texts * pairs.len() as u64);
    let before = received(clients);
    simulator.write_all(&pairs, texts).await?;
    arrived(clients, before + total).await?;
    Ok(json!({"received": total, "cpu_us_per_text": (process::cpu_seconds(own)? - cpu) / total as f64 * 1e6}))
}

/// One text after the other to one client: how long from before it was written until the client has it.
pub(super) async fn one_by_one(simulator: &Simulator, clients: &[Bare], texts: u64) -> Result<Value> {
    /// The first of a pair costs a key exchange.
    const WARM: u64 = 20;
    let bare = clients.first().context("no client")?;
    let (person, phone) = (simulator.phones(1).await?.pop().context("nobody")?, phone(bare)?);
    let mut took = Quantiles::new()?;
    for number in 0..WARM + texts {
        let (had, began) = (bare.ears.texts.load(Ordering::Relaxed), Instant::now());
        let heard = async {
            while bare.ears.texts.load(Ordering::Relaxed) == had {
                bare.ears.arrived.notified().await;
            }
            began.elapsed()
        };
        let heard = async { tokio::time::timeout(DEADLINE, heard).await.context("a text did not arrive") };
        let (_, heard) = tokio::try_join!(simulator.write(&person, &phone, "The quick brown fox, once more."), heard)?;
        if number >= WARM {
            took.note(heard);
        }
    }
    Ok(took.show())
}

fn phone(bare: &Bare) -> Result<String> {
    let device = bare.handle.client().persistence_manager().get_device_snapshot();
    Ok(device.pn.as_ref().context("a client is not paired")?.user.to_string())
}

async fn arrived(clients: &[Bare], total: u64) -> Result<()> {
    let started = Instant::now();
    while received(clients) < total {
        ensure!(started.elapsed() < DEADLINE, "not every text arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn received(clients: &[Bare]) -> u64 {
    clients.iter().map(|bare| bare.ears.texts.load(Ordering::Relaxed)).sum()
}

/// A person for every client, who has had a text already: the first one of a pair costs a key exchange.
async fn acquainted(simulator: &Simulator, clients: &[Bare]) -> Result<Vec<String>> {
    let people = simulator.phones(clients.len()).await?;
    futures::future::try_join_all(clients.iter().zip(&people).map(|(bare, person)| send_one(bare, person))).await?;
    Ok(people)
}

async fn send_one(bare: &Bare, person: &str) -> Result<()> {
    const ACK: Duration = Duration::from_secs(30);
    let client: Arc<Client> = bare.handle.client();
    let to = Jid::from_str(&format!("{person}@s.whatsapp.net"))?;
    let acks = bare.ears.acks.load(Ordering::Relaxed);
    let text = wa::Message { conversation: Some("The quick brown fox, once more.".into()), ..Default::default() };
    client.send_message(to, text).await?;
    tokio::time::timeout(ACK, async {
        while bare.ears.acks.load(Ordering::Relaxed) == acks {
            bare.ears.acked.notified().await;
        }
    })
    .await
    .context("a text was not acknowledged")
}
