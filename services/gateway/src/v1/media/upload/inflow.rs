//! The bytes of a request as they come in, with the limits of an upload: as long as its sender makes progress, and no more
//! of it in memory than is being worked on.

use axum::body::{Body, Bytes};
use futures::{Stream, stream};
use http_body_util::BodyExt as _;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// From when on a sender has to be as fast as [`SLOWEST`] on the whole.
const GRACE: Duration = Duration::from_secs(60);
/// Bytes a millisecond: a hundred megabytes in under four hours.
const SLOWEST: u128 = 8;
/// How much may have come in without anybody having taken it out: the parser gathers what it cannot make sense of.
const UNTAKEN: u64 = 1024 * 1024;

/// Why the rest of a request does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    /// It broke off.
    #[error("the body ended before it was complete")]
    Off,
    /// Nothing, or too little, comes.
    #[error("the body does not arrive in time")]
    Slow,
    /// More comes than any form may have.
    #[error("the body is too large")]
    Large,
    /// What comes is no form.
    #[error("the body is no form")]
    Shapeless,
}

/// The limits of one upload.
pub(super) struct Inflow {
    most: u64,
    idle: Duration,
    grace: Duration,
    untaken: Arc<AtomicU64>,
}

/// Says that what came in was taken out.
#[derive(Clone)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(super) fn all(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

struct Reading {
    body: Body,
    limits: Inflow,
    since: Instant,
    received: u64,
}

impl Inflow {
    pub(super) fn new(most: u64, idle: Duration) -> Self {
        Self { most, idle, grace: GRACE, untaken: Arc::default() }
    }

    pub(super) fn taken(&self) -> Taken {
        Taken(Arc::clone(&self.untaken))
    }

    /// The bytes, in the pieces in which they come; ends after its first error.
    pub(super) fn of(self, body: Body) -> impl Stream<Item = Result<Bytes, Broken>> + Send + 'static {
        let reading = Reading { body, limits: self, since: Instant::now(), received: 0 };
        stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(broken) => Some((Err(broken), None)),
            }
        })
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            // The parser reads as long as something is ready: this lets it work on a piece before it gets the next.
            tokio::task::yield_now().await;
            let frame = tokio::time::timeout(self.limits.idle, self.body.frame()).await.map_err(|_| Broken::Slow)?;
            let Some(frame) = frame else { return Ok(None) };
            let Ok(bytes) = frame.map_err(|_| Broken::Off)?.into_data() else { continue };
            self.received = self.received.saturating_add(bytes.len() as u64);
            if self.received > self.limits.most {
                return Err(Broken::Large);
            }
            let waited = self.since.elapsed();
            if waited > self.limits.grace && u128::from(self.received) < waited.as_millis().saturating_mul(SLOWEST) {
                return Err(Broken::Slow);
            }
            let length = bytes.len() as u64;
            let untaken = self.limits.untaken.fetch_add(length, Ordering::Relaxed).saturating_add(length);
            if untaken > UNTAKEN {
                return Err(Broken::Shapeless);
            }
            return Ok(Some(bytes));
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use futures::StreamExt as _;

    const IDLE: Duration = Duration::from_secs(30);

    fn body<S>(chunks: S) -> Body
    where
        S: Stream<Item = Bytes> + Send + 'static,
    {
        Body::from_stream(chunks.map(Ok::<_, std::io::Error>))
    }

    async fn end(inflow: Inflow, body: Body, takes: bool) -> (u64, Option<Broken>) {
        let taken = inflow.taken();
        let mut stream = Box::pin(inflow.of(body));
        let mut received = 0;
        while let Some(next) = stream.next().await {
            match next {
                Ok(bytes) => received += bytes.len() as u64,
                Err(broken) => return (received, Some(broken)),
            }
            if takes {
                taken.all();
            }
        }
        (received, None)
    }

    fn kilobyte() -> Bytes {
        Bytes::from(vec![0; 1024])
    }

    #[tokio::test]
    async fn what_nobody_takes_and_what_has_no_end_is_cut() {
        let endless = || body(stream::repeat(kilobyte()));
        assert_eq!(end(Inflow::new(u64::MAX, IDLE), endless(), false).await, (UNTAKEN, Some(Broken::Shapeless)));
        assert_eq!(end(Inflow::new(5_000_000, IDLE), endless(), true).await, (4_999_168, Some(Broken::Large)));
        assert_eq!(end(Inflow::new(u64::MAX, IDLE), body(stream::iter([kilobyte()])), true).await, (1024, None));
    }

    #[tokio::test]
    async fn row_58_a_sender_that_makes_no_progress_is_cut() {
        let silent = body(stream::iter([kilobyte()]).chain(stream::pending()));
        let impatient = Inflow::new(u64::MAX, Duration::from_millis(50));
        assert_eq!(end(impatient, silent, true).await, (1024, Some(Broken::Slow)));
        let dripping = body(stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Bytes::from_static(b"x"), ()))
        }));
        let exacting = Inflow { grace: Duration::from_millis(100), ..Inflow::new(u64::MAX, IDLE) };
        assert_eq!(end(exacting, dripping, true).await.1.unwrap(), Broken::Slow);
    }
}
