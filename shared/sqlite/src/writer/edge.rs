//! Writes of the edge: any work inside the transaction, answered in ten seconds or not done at all.

use super::{Job, Writer, verdict};
use crate::failure::{Stop, closed, unavailable};
use crate::transaction::Tx;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use warren_domain::{Error, ErrorKind, Result};

/// How long the edge waits for its turn.
pub(crate) const EDGE_DEADLINE: Duration = Duration::from_secs(10);
/// How much longer it waits for a commit that has begun.
const COMMIT_DEADLINE: Duration = Duration::from_secs(20);
const COMMIT_ROUND: Duration = Duration::from_millis(250);

const WAITING: u8 = 0;
const RUNNING: u8 = 1;
const ABANDONED: u8 = 2;

/// Settles between caller and lane who was first: the deadline, or the transaction. So `Unavailable` always means that
/// nothing was written.
#[derive(Debug, Default)]
pub(crate) struct Ticket(AtomicU8);

impl Ticket {
    fn turn(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The lane begins. `false` if the caller gave up first.
    pub(crate) fn start(&self) -> bool {
        self.turn(WAITING, RUNNING)
    }

    /// The transaction was undone: the caller may give up again.
    pub(crate) fn pause(&self) {
        self.turn(RUNNING, WAITING);
    }

    /// The caller gives up. `false` if the transaction runs.
    pub(crate) fn abandon(&self) -> bool {
        self.turn(WAITING, ABANDONED)
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::SeqCst) == ABANDONED
    }
}

/// What the lane sees of a write of the edge.
pub(super) trait EdgeWork: Send {
    fn items(&self) -> usize;
    fn bytes(&self) -> usize;
    fn queued(&self) -> Instant;
    fn is_abandoned(&self) -> bool;
    /// Runs it, again after an undone transaction. Work that was abandoned meanwhile does nothing.
    fn run(&mut self, tx: &mut Tx<'_>, careful: bool) -> rusqlite::Result<()>;
    fn pause(&mut self);
    fn answer(self: Box<Self>);
    fn refuse(self: Box<Self>, error: Error);
}

struct Edge<T, F> {
    work: F,
    items: usize,
    bytes: usize,
    queued: Instant,
    ticket: Arc<Ticket>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T, F> EdgeWork for Edge<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, Stop> + Send,
{
    fn items(&self) -> usize {
        self.items
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn queued(&self) -> Instant {
        self.queued
    }

    fn is_abandoned(&self) -> bool {
        self.ticket.is_abandoned()
    }

    fn run(&mut self, tx: &mut Tx<'_>, careful: bool) -> rusqlite::Result<()> {
        if !self.ticket.start() {
            return Ok(());
        }
        let work = &mut self.work;
        let result = if careful { tx.in_savepoint(|tx| work(tx))? } else { work(tx) };
        self.result = Some(verdict(result, careful)?);
        Ok(())
    }

    fn pause(&mut self) {
        self.ticket.pause();
        self.result = None;
    }

    fn answer(self: Box<Self>) {
        if let Some(result) = self.result {
            // The caller may have gone away.
            let _ = self.answer.send(result);
        }
    }

    fn refuse(self: Box<Self>, error: Error) {
        let _ = self.answer.send(Err(error));
    }
}

impl Writer {
    /// Runs `work` in the lane's transaction and answers after the commit. It may run more than once: what it writes
    /// is undone before it runs again. An error it returns as a verdict must come before its first write.
    pub(crate) async fn edge<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
    {
        self.sized_edge(1, 0, work).await
    }

    /// [`Writer::edge`] that counts as `items` items and `bytes` bytes of a batch.
    pub(crate) async fn sized_edge<T, F>(&self, items: usize, bytes: usize, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
    {
        let queued = Instant::now();
        let ticket = Arc::new(Ticket::default());
        let (answer, mut answered) = oneshot::channel();
        let job = Edge { work, items, bytes, queued, ticket: Arc::clone(&ticket), result: None, answer };
        match tokio::time::timeout(EDGE_DEADLINE, self.enqueue(Job::Edge(Box::new(job)))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(unavailable()),
        }
        let mut wait = EDGE_DEADLINE.saturating_sub(queued.elapsed());
        while queued.elapsed() < EDGE_DEADLINE + COMMIT_DEADLINE {
            match tokio::time::timeout(wait, &mut answered).await {
                Ok(answer) => return answer.unwrap_or_else(|_| Err(closed())),
                Err(_) if ticket.abandon() => return Err(unavailable()),
                Err(_) => wait = COMMIT_ROUND,
            }
        }
        Err(Error::new(ErrorKind::Timeout, "store_timeout", "The store took too long; whether it took effect is not known."))
    }

    /// Queues `work` without waiting for it; dropped if the queue is full.
    pub(crate) fn best_effort<F>(&self, work: F)
    where
        F: FnMut(&mut Tx<'_>) -> Result<(), Stop> + Send + 'static,
    {
        let job = Edge {
            work,
            items: 1,
            bytes: 0,
            queued: Instant::now(),
            ticket: Arc::default(),
            result: None,
            answer: oneshot::channel().0,
        };
        // Full or closed: it was best effort.
        let _ = self.queue.try_send(Job::Edge(Box::new(job)));
    }
}
