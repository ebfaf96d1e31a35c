//! A WebSocket that is cut off again and again while people write, and goes on each time where it was: is anything lost?

use crate::{
    log,
    stream::{self, Frame, Socket},
    target::{Members, Target},
};
use anyhow::{Context, Result};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use warren_swarm::Simulator;

/// For one frame, and for the last event after the last text.
const LIMIT: Duration = Duration::from_secs(30);
/// Between the texts of all people.
const PACE: Duration = Duration::from_millis(4);
/// Events that are heard before the stream is cut: a few, another number each time.
const MOST: u64 = 7;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    members: Members,
    /// How often it is cut, while people write to the first hundred instances.
    #[arg(long, default_value_t = 1_000)]
    resumes: u64,
}

/// What was heard over all connections.
#[derive(Default)]
struct Heard {
    ids: HashSet<String>,
    cursor: String,
    again: u64,
}

impl Heard {
    /// Reads until so many more events came.
    async fn read(&mut self, socket: &mut Socket, events: u64) -> Result<()> {
        let mut left = events;
        while left > 0 {
            let frame = timeout(LIMIT, socket.next()).await.context("the stream is silent")?;
            let Message::Text(text) = frame.context("the stream ended")?? else { continue };
            let Frame { id, cursor } = serde_json::from_str(&text)?;
            self.cursor = cursor.unwrap_or_else(|| std::mem::take(&mut self.cursor));
            if let Some(id) = id {
                self.again += u64::from(!self.ids.insert(id));
                left -= 1;
            }
        }
        Ok(())
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    const WRITTEN_TO: usize = 100;
    let (target, simulator) = (&arguments.target, arguments.target.simulator()?);
    let ids: Vec<_> = arguments.members.ids()?.into_iter().take(WRITTEN_TO).collect();
    let mut connection = target.connect().await?;
    let mut pairs = Vec::with_capacity(ids.len());
    for (id, person) in ids.iter().zip(simulator.phones(ids.len()).await?) {
        pairs.push((person, target.phone(&mut connection, id).await?));
    }
    let began = Instant::now();
    let start = log::received(target, "now").await?.cursor;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writing = tokio::spawn(write(simulator, pairs, stopped));
    let mut heard = Heard { cursor: start.clone(), ..Heard::default() };
    for number in 0..arguments.resumes {
        let mut socket = stream::open(target, &query(&heard.cursor)).await?;
        // Dropped, and not closed: as a connection that breaks.
        heard.read(&mut socket, 1 + number % MOST).await?;
    }
    stop.send_replace(true);
    let written = writing.await??;
    let mut socket = stream::open(target, &query(&heard.cursor)).await?;
    let until = Instant::now() + LIMIT;
    while (heard.ids.len() as u64) < written && Instant::now() < until {
        if heard.read(&mut socket, 1).await.is_err() {
            break;
        }
    }
    let logged = log::received(target, &start).await?.ids;
    let lost = logged.iter().filter(|id| !heard.ids.contains(*id)).count();
    Ok(json!({
        "resumes": arguments.resumes,
        "written": written,
        "logged": logged.len(),
        "heard": heard.ids.len(),
        "lost": lost,
        "heard_again": heard.again,
        "took_s": began.elapsed().as_secs_f64(),
    }))
}

fn query(after: &str) -> String {
    format!("type=message.received&after={after}")
}

/// One text after the other, by turns to all, until it is told to stop; how many.
async fn write(
    simulator: Simulator,
    pairs: Vec<(String, String)>,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Result<u64> {
    let mut written = 0;
    for (person, phone) in pairs.iter().cycle() {
        if *stopped.borrow() {
            break;
        }
        simulator.write(person, phone, "The quick brown fox, once more.").await?;
        written += 1;
        tokio::time::sleep(PACE).await;
    }
    Ok(written)
}
