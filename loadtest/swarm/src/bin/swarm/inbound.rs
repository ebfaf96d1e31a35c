//! From a person's text to the caller: how long until a WebSocket's frame and until a webhook's request, one text after the
//! other; and how many webhooks a second, from a log that is full.

use crate::{
    log,
    quantiles::Quantiles,
    stream::{self, Frame, Socket},
    target::{Members, Target},
};
use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt as _;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use warren_swarm::Simulator;
use warren_swarm::witness::Receiver;
use warren_testkit::Api;
use warren_testkit::services::Port;

/// What the webhook is told of.
const RECEIVED: &[&str] = &["message.received"];
/// For one text.
const LIMIT: Duration = Duration::from_secs(30);
/// For all of a full log.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// Texts before the measurement: the first of a pair costs a key exchange, and connections are opened.
const WARM: u64 = 20;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    members: Members,
    /// How many texts, one after the other, to the first instance.
    #[arg(long, default_value_t = 500)]
    texts: u64,
    /// How many texts each instance then has in the log before a webhook is made that gets them all; 0 makes none.
    #[arg(long, default_value_t = 20)]
    backlog: u64,
    /// The port of the webhooks' receiver, which Warren must be allowed to post to: `egress` in its settings.
    #[arg(long)]
    port: u16,
}

pub(crate) async fn run(arguments: Arguments) -> Result<Value> {
    let (target, simulator) = (&arguments.target, arguments.target.simulator()?);
    let ids = arguments.members.ids()?;
    let mut pairs = Vec::with_capacity(ids.len());
    let mut connection = target.connect().await?;
    for (id, person) in ids.iter().zip(simulator.phones(ids.len()).await?) {
        pairs.push((person, target.phone(&mut connection, id).await?));
    }
    let api = Api::new(&target.api, &target.key)?;
    let receiver = Receiver::at(Port::claim(arguments.port)?);
    let webhook = receiver.subscribe(&api, "now", Some(RECEIVED)).await?;
    let mut socket = stream::open(target, "type=message.received").await?;
    let pair = pairs.first().context("no instance")?;
    let mut report = one_by_one(&simulator, pair, &mut socket, &receiver, arguments.texts).await?;
    ensure!(api.delete(&format!("/v1/webhooks/{webhook}")).await?.status.is_success(), "the webhook was not deleted");
    if let (Some(report), true) = (report.as_object_mut(), arguments.backlog > 0) {
        simulator.write_all(&pairs, arguments.backlog).await?;
        for _ in 0..arguments.backlog * pairs.len() as u64 {
            received(&mut socket).await?;
        }
        let logged = log::received(target, "begin").await?.ids.len() as u64;
        report.insert("drained".into(), drained(&api, &receiver, logged).await?);
    }
    Ok(report)
}

/// From before the simulator is asked to let the text be written; how long that asking takes is told beside.
async fn one_by_one(
    simulator: &Simulator,
    (person, phone): &(String, String),
    socket: &mut Socket,
    receiver: &Receiver,
    texts: u64,
) -> Result<Value> {
    let (mut asked, mut frames, mut posts) = (Quantiles::new()?, Quantiles::new()?, Quantiles::new()?);
    for number in 0..WARM + texts {
        let (before, began) = (receiver.counts().0, Instant::now());
        let writing = async {
            simulator.write(person, phone, "The quick brown fox, once more.").await?;
            anyhow::Ok(began.elapsed())
        };
        let heard = async {
            received(socket).await?;
            anyhow::Ok(began.elapsed())
        };
        let (written, heard) = tokio::try_join!(writing, heard)?;
        let posted = posted(receiver, before + 1).await?.saturating_duration_since(began);
        if number >= WARM {
            asked.note(written);
            frames.note(heard);
            posts.note(posted);
        }
    }
    Ok(json!({"asked": asked.show(), "frame": frames.show(), "webhook": posts.show()}))
}

/// Waits for the next event.
async fn received(socket: &mut Socket) -> Result<()> {
    loop {
        let frame = timeout(LIMIT, socket.next()).await.context("a text was not heard")?;
        let Message::Text(text) = frame.context("the stream ended")?? else { continue };
        if serde_json::from_str::<Frame>(&text)?.id.is_some() {
            return Ok(());
        }
    }
}

/// Waits for so many requests in all; when the last one was taken.
async fn posted(receiver: &Receiver, count: u64) -> Result<Instant> {
    let until = Instant::now() + LIMIT;
    loop {
        let (requests, repeats, wrong) = receiver.counts();
        ensure!(repeats == 0 && wrong == 0, "{repeats} events came again, {wrong} requests were no signed event");
        // A request is counted when it comes, and taken when its signature was checked.
        if let Some(last) = receiver.last().filter(|_| requests >= count && receiver.taken() >= count) {
            return Ok(last);
        }
        ensure!(Instant::now() < until, "a text was not posted");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

/// A webhook from the beginning of the log, until it has all.
async fn drained(api: &Api, receiver: &Receiver, total: u64) -> Result<Value> {
    let (before, made) = (receiver.taken(), Instant::now());
    receiver.subscribe(api, "begin", Some(RECEIVED)).await?;
    let mut first = None;
    while receiver.taken() < before + total {
        let taken = receiver.taken() - before;
        if first.is_none() && taken > 0 {
            first = Some((Instant::now(), taken));
        }
        if made.elapsed() > PATIENCE {
            bail!("{taken} of {total} events were posted in {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    // What was taken before the first look is in neither.
    let (first, taken) = first.context("there was nothing to post, or it took no time")?;
    let took = receiver.last().unwrap_or(first).saturating_duration_since(first).as_secs_f64();
    let per_s = (total - taken) as f64 / took.max(0.001);
    Ok(json!({"events": total, "first_after_s": (first - made).as_secs_f64(), "per_s": per_s}))
}
