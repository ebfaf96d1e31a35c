//! One socket: frames to the client, and what keeps it open.
//!
//! The client is pinged every 5 minutes and has nothing to say but pongs; 15 minutes of silence end it. Between the log and the
//! socket is a buffer of 256 frames: while it is full nothing more is read from the log, and a client that takes nothing for
//! 10 seconds is closed.

use axum::extract::ws::{CloseFrame, Message};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// Frames that wait for the client.
const QUEUE: usize = 256;
/// How long the closing frame is waited for.
const GOODBYE: Duration = Duration::from_secs(2);

/// The times of a socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// How often it is pinged.
    ping: Duration,
    /// How long it may be silent.
    silence: Duration,
    /// How long one write may make no progress.
    write: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { ping: Duration::from_mins(5), silence: Duration::from_mins(15), write: Duration::from_secs(10) }
    }
}

/// Why a socket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed it, or is gone.
    Gone,
    /// The gateway stops.
    Stopping,
    /// The client does not take what it is sent.
    Slow,
    /// The client was silent for too long.
    Silent,
}

impl End {
    /// As a metric's label.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Stopping => "stopping",
            Self::Slow => "slow",
            Self::Silent => "silent",
        }
    }

    const fn code(self) -> u16 {
        match self {
            Self::Gone => 1000,
            Self::Stopping => 1001,
            Self::Slow | Self::Silent => 1008,
        }
    }
}

/// Serves a socket until it ends.
pub(super) async fn serve<S, E, T>(socket: S, mut events: T, stopping: CancellationToken, times: Times) -> End
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Unpin,
    T: Stream<Item = String> + Unpin,
{
    let (sink, mut frames) = socket.split();
    let (queue, queued) = mpsc::channel(QUEUE);
    let writing = write(sink, queued, times.write);
    tokio::pin!(writing);
    let mut ping = interval_at(Instant::now() + times.ping, times.ping);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let silence = sleep_until(Instant::now() + times.silence);
    tokio::pin!(silence);
    let end = loop {
        tokio::select! {
            written = &mut writing => return written.err().unwrap_or(End::Gone),
            () = stopping.cancelled() => break End::Stopping,
            () = &mut silence => break End::Silent,
            // A place is kept for a ping.
            Some(text) = events.next(), if queue.capacity() > 1 => {
                let _ = queue.try_send(Message::Text(text.into()));
            }
            _ = ping.tick() => {
                let _ = queue.try_send(Message::Ping(bytes::Bytes::new()));
            }
            frame = frames.next() => match frame {
                // Whatever it was: somebody is there.
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {
                    silence.as_mut().reset(Instant::now() + times.silence);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => break End::Gone,
            },
        }
    };
    drop(queue);
    let goodbye = async {
        // What waits is still written.
        if let Ok(mut sink) = writing.await {
            let frame = CloseFrame { code: end.code(), reason: end.reason().into() };
            if sink.send(Message::Close(Some(frame))).await.is_ok() {
                // Until the client has answered: closing earlier could lose the frame on its way.
                while let Some(Ok(_)) = frames.next().await {}
            }
        }
    };
    let _ = timeout(GOODBYE, goodbye).await;
    end
}

/// Writes what is queued until there is no more, and gives the socket back.
async fn write<S, E>(mut sink: S, mut queued: mpsc::Receiver<Message>, limit: Duration) -> Result<S, End>
where
    S: Sink<Message, Error = E> + Unpin,
{
    while let Some(message) = queued.recv().await {
        match timeout(limit, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(End::Gone),
            Err(_) => return Err(End::Slow),
        }
    }
    Ok(sink)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use futures::{
        channel::mpsc::{Receiver, SendError, Sender, channel},
        stream,
    };
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
    };

    /// A socket between two tasks: what it sends comes out at one end, what goes in at the other it hears.
    struct Pipe {
        out: Sender<Message>,
        inward: Receiver<Message>,
    }

    impl Stream for Pipe {
        type Item = Result<Message, SendError>;

        fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            self.inward.poll_next_unpin(context).map(|message| message.map(Ok))
        }
    }

    impl Sink<Message> for Pipe {
        type Error = SendError;

        fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
            self.out.poll_ready_unpin(context)
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
            self.out.start_send_unpin(message)
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
            self.out.poll_flush_unpin(context)
        }

        fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), SendError>> {
            self.out.poll_close_unpin(context)
        }
    }

    /// A socket, what it sends, and what it hears.
    fn pipe() -> (Pipe, Receiver<Message>, Sender<Message>) {
        let (out, sent) = channel(0);
        let (heard, inward) = channel(8);
        (Pipe { out, inward }, sent, heard)
    }

    fn quick() -> Times {
        let ms = Duration::from_millis;
        Times { ping: ms(20), silence: ms(200), write: ms(100) }
    }

    #[tokio::test]
    async fn it_is_pinged_and_ends_after_silence() {
        let (socket, mut sent, heard) = pipe();
        let began = Instant::now();
        let serving = tokio::spawn(serve(socket, stream::pending(), CancellationToken::new(), quick()));
        let mut pings = 0;
        while let Some(message) = sent.next().await {
            match message {
                Message::Ping(_) => pings += 1,
                Message::Close(Some(frame)) => {
                    assert_eq!(frame.code, 1008);
                    break;
                }
                other => unreachable!("{other:?}"),
            }
        }
        drop(sent);
        assert!(pings >= 2 && began.elapsed() >= quick().silence, "{pings}");
        drop(heard);
        assert_eq!(serving.await.unwrap(), End::Silent);
    }

    #[tokio::test]
    async fn whoever_answers_stays() {
        let (socket, mut sent, mut heard) = pipe();
        let serving = tokio::spawn(serve(socket, stream::pending(), CancellationToken::new(), quick()));
        let began = Instant::now();
        while began.elapsed() < quick().silence * 2 {
            let message = sent.next().await.unwrap();
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
            heard.send(Message::Pong(bytes::Bytes::new())).await.unwrap();
        }
        heard.send(Message::Close(None)).await.unwrap();
        drop((heard, sent));
        assert_eq!(serving.await.unwrap(), End::Gone);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_closed_and_no_more_than_the_buffer_was_read() {
        let (socket, sent, _heard) = pipe();
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let events = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            "x".to_owned()
        });
        assert_eq!(serve(socket, events, CancellationToken::new(), quick()).await, End::Slow);
        let read = read.load(Ordering::Relaxed);
        assert!((QUEUE - 1..=QUEUE + 2).contains(&read), "{read}");
        drop(sent);
    }

    #[tokio::test]
    async fn a_stop_is_told_after_what_waits() {
        let (socket, mut sent, heard) = pipe();
        let stopping = CancellationToken::new();
        let events = stream::iter(["one".to_owned(), "two".to_owned()]).chain(stream::pending());
        let serving = tokio::spawn(serve(socket, Box::pin(events), stopping.clone(), quick()));
        assert_eq!(sent.next().await.unwrap(), Message::Text("one".into()));
        stopping.cancel();
        let (two, end) = (sent.next().await.unwrap(), sent.next().await.unwrap());
        assert_eq!(two, Message::Text("two".into()));
        assert!(matches!(&end, Message::Close(Some(frame)) if frame.code == 1001), "{end:?}");
        drop(heard);
        assert_eq!(serving.await.unwrap(), End::Stopping);
    }
}
