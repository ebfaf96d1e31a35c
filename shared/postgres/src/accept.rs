//! Accepting outbound messages: calls that come together share one statement, which is one transaction.
//!
//! A task takes what waits (bounded by [`BATCH_ITEMS`] and [`BATCH_BYTES`]); while many calls come, it waits some milliseconds
//! for company first ([`crate::pace`]). It has all of that judged and stored by the database in one statement (`judge`), and
//! answers after the commit. One batch is under way at a time, on a connection of its own: of two calls, the one that returned
//! before the other was made is before it in every queue. Between processes the counter rows of the instances give the order,
//! because the database holds them while it judges.
//!
//! A call is never guessed at. What was undone is tried again until its caller gives up, and is `Unavailable` then. What is in
//! doubt, because the connection broke under it, is tried again too: messages have ids, and a message that turns out to be there
//! was accepted. Only a caller who gives up meanwhile is told that the outcome is not known.
//!
//! Persisted: the message as it was asked for, with everything that is the same for all attempts (WhatsApp id, secret), its
//! place in the queue, and the caller's key.

mod judge;
mod ticket;
mod verdict;

use crate::Postgres;
use crate::edge::EDGE_DEADLINE;
use crate::failure::{Class, Patience, class, closed, in_doubt, unavailable};
use crate::open::CommitObserver;
use crate::pace::{Company, Gathered, Pace};
use judge::{Asked, Line, Undone};
use sqlx::postgres::PgConnectOptions;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ticket::Ticket;
use tokio::sync::{mpsc, oneshot};
use warren_domain::time::Clock;
use warren_domain::{Error, Result};
use warren_ports::ledger::{Accepted, NewMessage};

/// Calls that may wait; callers beyond it wait to enter, in order.
const QUEUE: usize = 8_192;
/// Messages after which a batch takes no more calls.
const BATCH_ITEMS: usize = 256;
/// Bytes after which a batch takes no more calls.
const BATCH_BYTES: usize = 1 << 20;
/// At the least of many, six calls come while one waits.
const COMPANY: Company = Company { many: 800, enough: 6, patience: Duration::from_millis(8), worth: 4 };
/// How much longer a caller waits for a statement that has begun.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);
const COMMIT_ROUND: Duration = Duration::from_millis(250);

pub(crate) async fn accept(store: &Postgres, messages: Vec<NewMessage>) -> Result<Vec<Accepted>> {
    if messages.is_empty() {
        return Ok(Vec::new());
    }
    let asked = messages.into_iter().map(Asked::new).collect::<sqlx::Result<_>>().map_err(Error::internal)?;
    store.acceptor().accept(asked).await
}

/// One call.
struct Call {
    asked: Vec<Asked>,
    came: Instant,
    ticket: Arc<Ticket>,
    /// Whether an earlier try may have been committed.
    in_doubt: bool,
    answer: oneshot::Sender<Result<Vec<Accepted>>>,
}

impl Call {
    fn bytes(&self) -> usize {
        self.asked.iter().map(Asked::bytes).sum()
    }

    /// Whether somebody waits for it; from here on he cannot give it up.
    fn begins(&self) -> bool {
        !self.answer.is_closed() && self.ticket.start()
    }

    fn undone(&mut self, undone: &Undone) {
        self.in_doubt |= undone.in_doubt;
        if !self.in_doubt {
            self.ticket.pause();
        }
    }

    fn answer(self, answer: Result<Vec<Accepted>>) {
        // The caller may have gone away.
        let _ = self.answer.send(answer);
    }
}

/// What the task is given.
enum Job {
    Call(Call),
    /// Answer when everything before it is done, and end.
    Stop(oneshot::Sender<()>),
}

/// A handle to the task, which ends when the handle is dropped or closed.
pub(crate) struct Acceptor {
    queue: mpsc::Sender<Job>,
}

impl Acceptor {
    /// Starts the task. Its connection is made when the first call comes.
    pub(crate) fn start(
        connect: PgConnectOptions,
        clock: Arc<dyn Clock>,
        observer: Option<Arc<dyn CommitObserver>>,
    ) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(Task { jobs, line: Line::new(connect), clock, observer, pace: Pace::new(COMPANY) }.run());
        Self { queue }
    }

    async fn accept(&self, asked: Vec<Asked>) -> Result<Vec<Accepted>> {
        let came = Instant::now();
        let ticket = Arc::new(Ticket::default());
        let (answer, mut answered) = oneshot::channel();
        let call = Call { asked, came, ticket: Arc::clone(&ticket), in_doubt: false, answer };
        match tokio::time::timeout(EDGE_DEADLINE, self.queue.send(Job::Call(call))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(unavailable()),
        }
        let mut wait = EDGE_DEADLINE.saturating_sub(came.elapsed());
        while came.elapsed() < EDGE_DEADLINE + COMMIT_DEADLINE {
            match tokio::time::timeout(wait, &mut answered).await {
                Ok(answer) => return answer.unwrap_or_else(|_| Err(closed())),
                Err(_) if ticket.abandon() => return Err(unavailable()),
                Err(_) => wait = COMMIT_ROUND,
            }
        }
        Err(in_doubt())
    }

    /// Lets the task finish what waits, and ends it.
    pub(crate) async fn close(&self) {
        let (done, finished) = oneshot::channel();
        if self.queue.send(Job::Stop(done)).await.is_ok() {
            // An error means that the task is gone already.
            let _ = finished.await;
        }
    }
}

struct Task {
    jobs: mpsc::Receiver<Job>,
    line: Line,
    clock: Arc<dyn Clock>,
    observer: Option<Arc<dyn CommitObserver>>,
    pace: Pace,
}

impl Task {
    async fn run(mut self) {
        let mut stopped = None;
        while let Some(first) = self.jobs.recv().await {
            let Batch { calls, stop, .. } = self.pace.gather(first, &mut self.jobs).await;
            self.settle(calls).await;
            if stop.is_some() {
                stopped = stop;
                break;
            }
        }
        self.jobs.close();
        // What was queued behind the stop.
        while let Ok(job) = self.jobs.try_recv() {
            match job {
                Job::Call(call) => call.answer(Err(closed())),
                Job::Stop(done) => drop(done.send(())),
            }
        }
        self.line.close().await;
        if let Some(done) = stopped {
            // Whoever closed the store may have given up waiting.
            let _ = done.send(());
        }
    }

    /// Commits a batch however long it takes somebody to wait for it, and answers it.
    async fn settle(&mut self, batch: Vec<Call>) {
        let began = Instant::now();
        let mut patience = Patience::new();
        let mut batches = VecDeque::from([batch]);
        while let Some(mut batch) = batches.pop_front() {
            batch.retain(Call::begins);
            if batch.is_empty() {
                continue;
            }
            let undone = match self.attempt(&batch).await {
                Ok(answers) => {
                    self.observe(answers.iter().map(Vec::len).sum(), began.elapsed());
                    batch.into_iter().zip(answers).for_each(|(call, answer)| call.answer(Ok(answer)));
                    continue;
                }
                Err(undone) => undone,
            };
            batch.iter_mut().for_each(|call| call.undone(&undone));
            match class(&undone.error) {
                // Each on its own: the culprit alone fails.
                Class::Data if !undone.passes && batch.len() > 1 => {
                    batch.into_iter().rev().for_each(|call| batches.push_front(vec![call]));
                }
                Class::Data if !undone.passes => {
                    tracing::error!(error = %undone.error, "the store refused a message");
                    let text = undone.error.to_string();
                    batch.into_iter().for_each(|call| call.answer(Err(Error::internal(text.clone()))));
                }
                Class::Data | Class::Passing | Class::Broken => {
                    patience.pause(&undone.error).await;
                    batches.push_front(batch);
                }
            }
        }
    }

    fn observe(&self, items: usize, took: Duration) {
        if let Some(observer) = &self.observer {
            observer.committed(items, took);
        }
    }

    async fn attempt(&mut self, batch: &[Call]) -> Result<Vec<Vec<Accepted>>, Undone> {
        let asked: Vec<&Asked> = batch.iter().flat_map(|call| &call.asked).collect();
        let again = batch.iter().any(|call| call.in_doubt);
        let mut verdicts = self.line.judge(&asked, self.clock.now(), again).await?.into_iter();
        Ok(batch.iter().map(|call| verdicts.by_ref().take(call.asked.len()).collect()).collect())
    }
}

/// What is committed together.
#[derive(Default)]
struct Batch {
    calls: Vec<Call>,
    items: usize,
    bytes: usize,
    /// Who waits for the end, once it is to come.
    stop: Option<oneshot::Sender<()>>,
}

impl Gathered for Batch {
    type Job = Job;

    fn add(&mut self, job: Job) -> Option<Instant> {
        match job {
            Job::Call(call) => {
                let came = call.came;
                self.items += call.asked.len();
                self.bytes += call.bytes();
                self.calls.push(call);
                Some(came)
            }
            Job::Stop(done) => {
                self.stop = Some(done);
                None
            }
        }
    }

    fn calls(&self) -> usize {
        self.calls.len()
    }

    fn has_room(&self) -> bool {
        self.items < BATCH_ITEMS && self.bytes < BATCH_BYTES && self.stop.is_none()
    }
}
