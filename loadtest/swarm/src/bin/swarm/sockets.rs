//! Open WebSockets: what an idle one holds, what an event costs that goes to all of them; beside it, a raw `write` of the
//! same bytes to as many sockets.

use crate::{
    process,
    stream::{self, Socket},
    target::{Members, Target},
};
use anyhow::{Context, Result, ensure};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use std::{
    io::Write as _,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio_tungstenite::tungstenite::Message;
use warren_swarm::Simulator;

/// Until opening them left nothing to do.
const SETTLE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    members: Members,
    /// How many sockets are measured; for a while as many again are open.
    #[arg(long, default_value_t = 1_000)]
    sockets: usize,
    /// How many texts come in, one after the other.
    #[arg(long, default_value_t = 300)]
    texts: u64,
    /// Warren's process.
    #[arg(long)]
    pid: u32,
}

/// What all sockets heard.
#[derive(Default)]
struct Heard {
    events: AtomicU64,
    bytes: AtomicU64,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let simulator = arguments.target.simulator()?;
    let instance = arguments.members.ids()?.into_iter().next().context("no instance")?;
    let phone = arguments.target.phone(&mut arguments.target.connect().await?, &instance).await?;
    let person = simulator.phones(1).await?.pop().context("nobody")?;
    let pair = vec![(person, phone)];
    let pid = arguments.pid;

    // What the texts themselves cost, with a single listener to wait for them.
    let alone = listen(&arguments, 1).await?;
    rounds(&simulator, &pair, &alone.heard, 1, 20).await?;
    let cpu = process::cpu_seconds(pid)?;
    rounds(&simulator, &pair, &alone.heard, 1, arguments.texts).await?;
    let texts_cpu = process::cpu_seconds(pid)? - cpu;
    drop(alone);

    // As many before them take what the process had freed and kept, which would be taken for nothing.
    let first = listen(&arguments, arguments.sockets).await?;
    tokio::time::sleep(SETTLE).await;
    let before = process::private_kib(pid)?;
    let all = listen(&arguments, arguments.sockets).await?;
    tokio::time::sleep(SETTLE).await;
    let idle = (process::private_kib(pid)? as f64 - before as f64) / arguments.sockets as f64;
    drop(first);
    let cpu = process::cpu_seconds(pid)?;
    rounds(&simulator, &pair, &all.heard, arguments.sockets as u64, arguments.texts).await?;
    let cpu = process::cpu_seconds(pid)? - cpu - texts_cpu;

    let events = all.heard.events.load(Ordering::Relaxed);
    let frame = all.heard.bytes.load(Ordering::Relaxed) / events.max(1);
    let (sockets, texts) = (arguments.sockets, arguments.texts);
    let raw = tokio::task::spawn_blocking(move || raw(sockets, texts, frame)).await??;
    Ok(json!({
        "sockets": arguments.sockets,
        "private_kib_each": idle,
        "frame_bytes": frame,
        "cpu_us_per_event": cpu / events as f64 * 1e6,
        "raw_write_us": raw,
    }))
}

/// Sockets that read what they are sent, until dropped.
struct Listeners {
    heard: Arc<Heard>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen(arguments: &Arguments, count: usize) -> Result<Listeners> {
    let heard = Arc::new(Heard::default());
    let mut tasks = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = stream::open(&arguments.target, "type=message.received").await?;
        tasks.push(tokio::spawn(read(socket, heard.clone())));
    }
    Ok(Listeners { heard, tasks })
}

async fn read(mut socket: Socket, heard: Arc<Heard>) {
    while let Some(Ok(frame)) = socket.next().await {
        match frame {
            Message::Text(text) if text.contains("message.received") => {
                heard.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
                heard.events.fetch_add(1, Ordering::Relaxed);
            }
            Message::Ping(_) if socket.flush().await.is_err() => return,
            _ => {}
        }
    }
}

/// One text after the other, each heard by all before the next.
async fn rounds(simulator: &Simulator, pair: &[(String, String)], heard: &Heard, sockets: u64, texts: u64) -> Result<()> {
    for _ in 0..texts {
        let wanted = heard.events.load(Ordering::Relaxed) + sockets;
        simulator.write_all(pair, 1).await?;
        let started = Instant::now();
        while heard.events.load(Ordering::Relaxed) < wanted {
            ensure!(started.elapsed() < DEADLINE, "a text was not heard by every socket");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

/// CPU of one `write` of `bytes`, microseconds: to as many sockets as often as the events went out.
fn raw(sockets: usize, times: u64, bytes: u64) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut readers, mut writers) = (Vec::with_capacity(sockets), Vec::with_capacity(sockets));
    for _ in 0..sockets {
        readers.push(std::net::TcpStream::connect(address)?);
        writers.push(listener.accept()?.0);
    }
    let frame = vec![b'x'; usize::try_from(bytes)?];
    let mut spent = 0.0;
    for _ in 0..times {
        let before = process::thread_cpu_seconds()?;
        for writer in &mut writers {
            writer.write_all(&frame)?;
        }
        spent += process::thread_cpu_seconds()? - before;
        for reader in &mut readers {
            std::io::Read::read_exact(reader, &mut vec![0; frame.len()])?;
        }
    }
    Ok(spent / (times * sockets as u64) as f64 * 1e6)
}
