//! Hearing the end of messages, of 1,500 a second, each waited for by one of the gateways: with a subscription for each message,
//! or with one for all and a look at a map. What is shown is the processor time that it takes besides sending them.

use crate::processor::{server_of, time_of};
use crate::raw;
use anyhow::{Context, Result};
use futures::StreamExt as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use warren_testkit::services::Nats;

const RATE: u64 = 1_500;
const SECONDS: u64 = 5;
/// From the wish to the end.
const WAIT: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(5);
const GATEWAYS: [usize; 3] = [1, 4, 10];

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>;

#[derive(Clone)]
enum Gateway {
    /// Nobody waits: what sending alone costs.
    None,
    Each(async_nats::Client),
    All(Waiting),
}

/// Processor time, in parts of one processor.
struct Cost {
    clients: f64,
    server: f64,
}

pub(crate) async fn run(nats: &Nats) -> Result<()> {
    let worker = raw(nats).await?;
    let server = server_of(nats)?;
    let base = measure(&worker, &[Gateway::None], server).await?;
    println!("\nthe end of {RATE} messages a second, percent of a processor besides sending");
    println!("  gateways   one for each: clients, server   one for all: clients, server");
    for count in GATEWAYS {
        let (mut each, mut all) = (Vec::new(), Vec::new());
        for _ in 0..count {
            each.push(Gateway::Each(raw(nats).await?));
        }
        let apart = measure(&worker, &each, server).await?;
        drop(each);
        for _ in 0..count {
            all.push(listening(raw(nats).await?).await?);
        }
        let together = measure(&worker, &all, server).await?;
        let shown = |cost: &Cost| {
            format!("{:6.1} {:6.1}", (cost.clients - base.clients) * 100.0, (cost.server - base.server) * 100.0)
        };
        println!("  {count:>8}   {:>30}   {:>28}", shown(&apart), shown(&together));
    }
    Ok(())
}

async fn listening(client: async_nats::Client) -> Result<Gateway> {
    let waiting = Waiting::default();
    let mut ends = client.subscribe("bench.set.*").await?;
    let heard = Arc::clone(&waiting);
    tokio::spawn(async move {
        while let Some(message) = ends.next().await {
            let id = message.subject.rsplit('.').next().unwrap_or_default();
            if let Some(waits) = heard.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
                let _ = waits.send(());
            }
        }
    });
    Ok(Gateway::All(waiting))
}

async fn measure(worker: &async_nats::Client, gateways: &[Gateway], server: u32) -> Result<Cost> {
    let before = (time_of("self")?, time_of(&server.to_string())?);
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(RATE)?);
    let started = Instant::now();
    let mut messages = JoinSet::new();
    for gateway in gateways.iter().cycle().take(usize::try_from(RATE * SECONDS)?) {
        tick.tick().await;
        messages.spawn(message(worker.clone(), gateway.clone()));
        while let Some(done) = messages.try_join_next() {
            done??;
        }
    }
    while let Some(done) = messages.join_next().await {
        done??;
    }
    let took = started.elapsed().as_secs_f64();
    let after = (time_of("self")?, time_of(&server.to_string())?);
    Ok(Cost { clients: (after.0 - before.0) / took, server: (after.1 - before.1) / took })
}

/// One message: somebody waits for its end, and hears it.
async fn message(worker: async_nats::Client, gateway: Gateway) -> Result<()> {
    let id = format!("{:032x}", rand::random::<u128>());
    let subject = format!("bench.set.{id}");
    let end = async {
        sleep(WAIT).await;
        worker.publish(subject.clone(), vec![0; 120].into()).await
    };
    match gateway {
        Gateway::None => end.await?,
        Gateway::Each(client) => {
            let mut ends = client.subscribe(subject.clone()).await?;
            end.await?;
            timeout(LIMIT, ends.next()).await?.context("an end")?;
        }
        Gateway::All(waiting) => {
            let (waits, heard) = oneshot::channel();
            waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, waits);
            end.await?;
            timeout(LIMIT, heard).await??;
        }
    }
    Ok(())
}
