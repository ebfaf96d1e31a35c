//! One connection through the proxy.

use super::{Conduct, Direction, Shared};
use std::convert::Infallible;
use std::io;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// What is read at once, bytes.
const PIECE: usize = 16 * 1024;
/// Pieces of one direction that are under way.
const PIECES: usize = 64;
/// How often a second a limited direction passes something.
const STEPS: u32 = 50;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried {
    /// Both sides said all they had to say, or one of them went away.
    Ended,
    /// By the proxy.
    Cut,
}

/// Carries a connection to its end.
pub(super) async fn carry(mut client: TcpStream, shared: &Shared, cut: oneshot::Receiver<()>) -> Carried {
    let mut cut = cut;
    let mut conduct = shared.conduct.subscribe();
    let connected = async {
        // A target behind a black hole is not reached either, nor is its refusal heard.
        passing(&mut conduct, Direction::ToTarget).await;
        let connected = TcpStream::connect(shared.target).await;
        if connected.is_err() {
            passing(&mut conduct, Direction::FromTarget).await;
        }
        connected
    };
    let target = tokio::select! {
        biased;
        _ = &mut cut => None,
        connected = connected => Some(connected),
    };
    let mut target = match target {
        Some(Ok(target)) => target,
        Some(Err(_)) => {
            let _ = client.set_zero_linger();
            return Carried::Ended;
        }
        None => {
            let _ = client.set_zero_linger();
            return Carried::Cut;
        }
    };
    let _ = (client.set_nodelay(true), target.set_nodelay(true));
    let how = {
        let (from_client, to_client) = client.split();
        let (from_target, to_target) = target.split();
        tokio::select! {
            biased;
            _ = &mut cut => Some(Carried::Cut),
            passed = async {
                tokio::try_join!(
                    pass(from_client, to_target, shared, Direction::ToTarget),
                    pass(from_target, to_client, shared, Direction::FromTarget),
                )
            } => passed.is_err().then_some(Carried::Ended),
        }
    };
    if let Some(how) = how {
        let _ = (client.set_zero_linger(), target.set_zero_linger());
        return how;
    }
    Carried::Ended
}

/// Passes one direction until its end. An error of one side ends the connection, when its turn has come.
async fn pass(from: ReadHalf<'_>, to: WriteHalf<'_>, shared: &Shared, direction: Direction) -> io::Result<()> {
    let (pieces, taken) = mpsc::channel(PIECES);
    let read = async {
        read(from, pieces).await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        written = write(to, taken, shared, direction) => written,
        never = read => match never {},
    }
}

type Piece = (Instant, io::Result<Vec<u8>>);

async fn read(mut from: ReadHalf<'_>, pieces: mpsc::Sender<Piece>) {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = from.read(&mut buffer).await;
        let last = !matches!(read, Ok(bytes) if bytes > 0);
        let piece = read.map(|bytes| buffer.get(..bytes).unwrap_or_default().to_vec());
        if pieces.send((Instant::now(), piece)).await.is_err() || last {
            return;
        }
    }
}

async fn write(
    mut to: WriteHalf<'_>,
    mut pieces: mpsc::Receiver<Piece>,
    shared: &Shared,
    direction: Direction,
) -> io::Result<()> {
    let mut conduct = shared.conduct.subscribe();
    while let Some((read_at, piece)) = pieces.recv().await {
        due(read_at, &mut conduct, direction).await;
        let piece = piece?;
        if piece.is_empty() {
            break;
        }
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            passing(&mut conduct, direction).await;
            let limit = conduct.borrow_and_update().flow(direction).bytes_per_second;
            let (now, later) = rest.split_at(rest.len().min(step(limit)));
            to.write_all(now).await?;
            shared.passed(direction, now.len());
            rest = later;
            if let Some(limit) = limit {
                let pause = Duration::from_secs_f64(now.len() as f64 / f64::from(limit.get()));
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = conduct.wait_for(|conduct| conduct.flow(direction).bytes_per_second != Some(limit)) => {}
                }
            }
        }
    }
    passing(&mut conduct, direction).await;
    to.shutdown().await
}

/// How many bytes go at once.
fn step(limit: Option<NonZeroU32>) -> usize {
    limit.map_or(usize::MAX, |limit| usize::try_from(limit.get() / STEPS).unwrap_or(usize::MAX).max(1))
}

/// Waits until what was read at `read_at` may go on, by the delay as it is by then.
async fn due(read_at: Instant, conduct: &mut watch::Receiver<Conduct>, direction: Direction) {
    loop {
        let delay = conduct.borrow_and_update().flow(direction).delay;
        tokio::select! {
            () = sleep_until(read_at + delay) => return passing(conduct, direction).await,
            changed = conduct.changed() => if changed.is_err() { return },
        }
    }
}

/// Waits while the direction is stalled.
async fn passing(conduct: &mut watch::Receiver<Conduct>, direction: Direction) {
    let _ = conduct.wait_for(|conduct| !conduct.flow(direction).stalled).await;
}
