//! The proxy does to connections what it is told, and nothing else.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use warren_testkit::{Chaos, Counts, Direction, PATIENCE, eventually};

/// Long enough for what passes to have passed.
const SHORT: Duration = Duration::from_millis(200);

/// A server that says back what it hears.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    address
}

async fn connected(chaos: &Chaos) -> TcpStream {
    timeout(PATIENCE, TcpStream::connect(chaos.address())).await.unwrap().unwrap()
}

/// Says something and hears it.
async fn says(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    hears(stream, text).await;
}

async fn hears(stream: &mut TcpStream, text: &str) {
    let mut heard = vec![0; text.len()];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard, text.as_bytes());
}

async fn hears_nothing(stream: &mut TcpStream) {
    assert!(timeout(SHORT, stream.read_u8()).await.is_err(), "it heard something, or its end");
}

async fn is_reset(stream: &mut TcpStream) {
    let ended = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn what_passes_passes_whole_and_is_counted() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut from, mut to) = connected(&chaos).await.into_split();
    let mut heard = Vec::new();
    let (written, read) = tokio::join!(
        async {
            to.write_all(&sent).await?;
            to.shutdown().await
        },
        from.read_to_end(&mut heard),
    );
    written.unwrap();
    read.unwrap();
    assert!(heard == sent);
    drop((from, to));
    let all = sent.len() as u64;
    let expected = Counts { accepted: 1, open: 0, cut: 0, to_target: all, from_target: all };
    eventually("the connection to end", PATIENCE, async || Ok((chaos.counts() == expected).then_some(()))).await.unwrap();
}

#[tokio::test]
async fn a_cut_resets_and_refuses_until_it_passes_again() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    let mut stream = connected(&chaos).await;
    says(&mut stream, "before").await;
    chaos.cut().await.unwrap();
    is_reset(&mut stream).await;
    let refused = TcpStream::connect(chaos.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!((chaos.counts().open, chaos.counts().cut), (0, 1));
    chaos.pass().await.unwrap();
    says(&mut connected(&chaos).await, "after").await;
}

#[tokio::test]
async fn a_stall_takes_everything_and_passes_nothing_until_it_passes_again() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    let mut old = connected(&chaos).await;
    says(&mut old, "before").await;
    chaos.stall();
    let mut new = connected(&chaos).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"held back").await.unwrap();
        hears_nothing(stream).await;
    }
    old.shutdown().await.unwrap();
    hears_nothing(&mut old).await;
    chaos.pass().await.unwrap();
    for stream in [&mut old, &mut new] {
        hears(stream, "held back").await;
    }
    assert_eq!(timeout(PATIENCE, old.read(&mut [0])).await.unwrap().unwrap(), 0, "the end came after what was said");
}

#[tokio::test]
async fn a_stall_hides_the_end_of_the_other_side() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chaos = Chaos::before(listener.local_addr().unwrap()).await.unwrap();
    let mut stream = connected(&chaos).await;
    let (target, _) = listener.accept().await.unwrap();
    chaos.stall();
    target.set_zero_linger().unwrap();
    drop(target);
    hears_nothing(&mut stream).await;
    chaos.pass().await.unwrap();
    is_reset(&mut stream).await;
}

#[tokio::test]
async fn one_way_stalls_leave_the_other_way_open() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chaos = Chaos::before(listener.local_addr().unwrap()).await.unwrap();
    let mut client = connected(&chaos).await;
    let (mut target, _) = listener.accept().await.unwrap();
    for direction in [Direction::ToTarget, Direction::FromTarget] {
        chaos.stall_one_way(direction);
        let (held, open) = match direction {
            Direction::ToTarget => (&mut client, &mut target),
            Direction::FromTarget => (&mut target, &mut client),
        };
        held.write_all(b"held").await.unwrap();
        open.write_all(b"open").await.unwrap();
        hears(held, "open").await;
        hears_nothing(open).await;
        chaos.pass().await.unwrap();
        hears(open, "held").await;
    }
}

#[tokio::test]
async fn a_delay_delays_each_way_and_keeps_the_rate() {
    const DELAY: Duration = Duration::from_millis(150);
    let chaos = Chaos::before(echo().await).await.unwrap();
    let mut stream = connected(&chaos).await;
    says(&mut stream, "before").await;
    chaos.delay(Direction::ToTarget, DELAY);
    chaos.delay(Direction::FromTarget, DELAY);
    let started = Instant::now();
    says(&mut stream, "delayed").await;
    assert!(started.elapsed() >= DELAY * 2, "{:?}", started.elapsed());
    // What follows each other is under way together: 20 in one delay each way, not in 20.
    for _ in 0..20 {
        stream.write_all(b"x").await.unwrap();
        tokio::task::yield_now().await;
    }
    let started = Instant::now();
    hears(&mut stream, &"x".repeat(20)).await;
    assert!(started.elapsed() < DELAY * 20);
    // A switch counts for what is under way as well.
    chaos.delay(Direction::ToTarget, PATIENCE * 10);
    stream.write_all(b"late").await.unwrap();
    hears_nothing(&mut stream).await;
    chaos.pass().await.unwrap();
    hears(&mut stream, "late").await;
}

#[tokio::test]
async fn a_limit_bounds_the_rate() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    let mut stream = connected(&chaos).await;
    chaos.limit(Direction::FromTarget, NonZeroU32::new(10_000));
    let started = Instant::now();
    says(&mut stream, &"x".repeat(5_000)).await;
    let took = started.elapsed();
    // The last step is not waited for.
    assert!(took >= Duration::from_millis(450), "{took:?}");
    chaos.limit(Direction::FromTarget, NonZeroU32::new(1));
    stream.write_all(b"slow enough to be waited for").await.unwrap();
    hears_nothing_more_than(&mut stream, 2).await;
    chaos.limit(Direction::FromTarget, None);
    let mut rest = [0; 8];
    timeout(PATIENCE, stream.read_exact(&mut rest)).await.unwrap().unwrap();
}

async fn hears_nothing_more_than(stream: &mut TcpStream, most: usize) {
    let mut heard = 0;
    while timeout(SHORT, stream.read_u8()).await.is_ok() {
        heard += 1;
    }
    assert!(heard <= most, "{heard} bytes");
}

#[tokio::test]
async fn the_oldest_connection_is_cut_alone() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    assert!(!chaos.cut_one());
    let mut old = connected(&chaos).await;
    says(&mut old, "old").await;
    let mut new = connected(&chaos).await;
    says(&mut new, "new").await;
    assert!(chaos.cut_one());
    is_reset(&mut old).await;
    says(&mut new, "new").await;
    eventually("the cut to be counted", PATIENCE, async || Ok((chaos.counts().cut == 1).then_some(()))).await.unwrap();
    assert_eq!((chaos.counts().accepted, chaos.counts().open), (2, 1));
}

#[tokio::test]
async fn what_it_holds_back_is_bounded() {
    let chaos = Chaos::before(echo().await).await.unwrap();
    let mut stream = connected(&chaos).await;
    chaos.stall();
    let flood = vec![0; 64 * 1024];
    let mut taken = 0;
    while let Ok(written) = timeout(SHORT, stream.write(&flood)).await {
        taken += written.unwrap();
        // The system's own buffers hold some megabytes as well.
        assert!(taken < 64 * 1024 * 1024, "it takes everything");
    }
    chaos.cut().await.unwrap();
    assert!(timeout(PATIENCE, stream.write_all(&flood)).await.unwrap().is_err());
}

#[tokio::test]
async fn a_target_that_is_away_ends_the_connection_alone() {
    let chaos = Chaos::before("127.0.0.1:1".parse().unwrap()).await.unwrap();
    let mut stream = connected(&chaos).await;
    is_reset(&mut stream).await;
    drop(connected(&chaos).await);
}
