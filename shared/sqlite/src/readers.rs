//! Reads: a few threads with a connection each, and one bounded queue.
//!
//! Nothing is cached: each read runs in a transaction that begins after it was asked for, so it sees every write whose
//! outcome was returned before. Reads that wait together share one: a transaction's locks cost more than most reads.

use crate::failure::{Class, Patience, Stop, class, closed, unavailable};
use crate::writer::EDGE_DEADLINE;
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use warren_domain::{Error, Result};

/// Reads that may wait for a thread; callers beyond it wait to enter.
const QUEUE: usize = 1_024;

/// Reads that share a transaction; small, because the last one waits for the others.
const SHARED: usize = 8;

enum Job {
    Read(Box<dyn FnOnce(&Snapshot<'_>) + Send>),
    Stop,
}

/// A read transaction, begun when the first read of it needs it.
struct Snapshot<'c> {
    conn: &'c Connection,
    open: Cell<bool>,
}

impl Snapshot<'_> {
    fn begin(&self) -> rusqlite::Result<()> {
        if !self.open.get() {
            self.conn.prepare_cached("BEGIN")?.execute([])?;
            self.open.set(true);
        }
        Ok(())
    }

    /// It wrote nothing, so undoing it is how it ends; where SQLite has ended it by itself there is nothing to do.
    fn end(&self) {
        if self.open.replace(false)
            && !self.conn.is_autocommit()
            && let Err(error) = self.conn.prepare_cached("ROLLBACK").and_then(|mut rollback| rollback.execute([]))
        {
            tracing::error!(error = %error, "a read transaction could not be ended");
        }
    }
}

/// A handle to the reader threads.
pub(crate) struct Readers {
    queue: mpsc::Sender<Job>,
    threads: Mutex<Vec<JoinHandle<Connection>>>,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut threads = Vec::with_capacity(connections.len());
        for (number, conn) in connections.into_iter().enumerate() {
            let jobs = Arc::clone(&jobs);
            let name = format!("sqlite-reader-{number}");
            threads.push(std::thread::Builder::new().name(name).spawn(move || {
                serve(&conn, &jobs);
                conn
            })?);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Runs `work` in a read transaction. `Unavailable` if the store does not answer in ten seconds.
    pub(crate) async fn read<T, F>(&self, mut work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Stop> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Job::Read(Box::new(move |snapshot| {
            if !answer.is_closed() {
                // The caller may give up meanwhile.
                let _ = answer.send(attempts(snapshot, &mut work));
            }
        }));
        let exchange = async {
            self.queue.send(job).await.map_err(|_| closed())?;
            answered.await.map_err(|_| closed())?
        };
        tokio::time::timeout(EDGE_DEADLINE, exchange).await.unwrap_or_else(|_| Err(unavailable()))
    }

    /// Lets the threads finish what is queued, and ends them.
    pub(crate) async fn close(&self) {
        let threads: Vec<_> = self.threads.lock().map(|mut threads| threads.drain(..).collect()).unwrap_or_default();
        for _ in &threads {
            // An error means that they are gone already.
            let _ = self.queue.send(Job::Stop).await;
        }
        // All have ended before the first is closed, and one is closed after the other: of two that close at the same time
        // neither sees that it is the last, and the log stays. A panic of a thread was reported where it happened.
        let close_all = || drop(threads.into_iter().map(JoinHandle::join).collect::<Vec<_>>());
        let _ = tokio::task::spawn_blocking(close_all).await;
    }
}

fn serve(conn: &Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    let mut batch = Vec::with_capacity(SHARED);
    loop {
        // One thread waits for a job, the others for the lock.
        match jobs.lock() {
            Ok(mut jobs) => gather(&mut jobs, &mut batch),
            Err(_) => return,
        }
        if batch.is_empty() {
            return;
        }
        let snapshot = Snapshot { conn, open: Cell::new(false) };
        let mut last = false;
        for job in batch.drain(..) {
            match job {
                Job::Read(read) => read(&snapshot),
                Job::Stop => last = true,
            }
        }
        snapshot.end();
        if last {
            return;
        }
    }
}

/// Waits for a job, then takes what else waits, up to the first stop: each stop is for one thread.
fn gather(jobs: &mut mpsc::Receiver<Job>, batch: &mut Vec<Job>) {
    let mut next = jobs.blocking_recv();
    while let Some(job) = next {
        let stop = matches!(job, Job::Stop);
        batch.push(job);
        if stop || batch.len() == SHARED {
            return;
        }
        next = jobs.try_recv().ok();
    }
}

fn attempts<T>(snapshot: &Snapshot<'_>, work: &mut impl FnMut(&Connection) -> Result<T, Stop>) -> Result<T> {
    let mut patience = Patience::new();
    loop {
        match snapshot.begin().map_err(Stop::Sql).and_then(|()| work(snapshot.conn)) {
            Ok(value) => return Ok(value),
            Err(Stop::Verdict(error)) => return Err(error),
            Err(Stop::Sql(error)) => {
                // Whatever it was, the next read begins anew.
                snapshot.end();
                match class(&error) {
                    Class::Passing if patience.waited() > EDGE_DEADLINE => return Err(unavailable()),
                    Class::Passing => patience.pause(&error),
                    _ => return Err(Error::internal(error)),
                }
            }
        }
    }
}
