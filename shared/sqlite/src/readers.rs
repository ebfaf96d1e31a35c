//! Reads: a few threads with a connection each, and one bounded queue.
//!
//! Nothing is cached: each read is a transaction of its own that begins after it was asked for, so it sees every write
//! whose outcome was returned before.

use crate::failure::{Class, Patience, Stop, class, closed, unavailable};
use crate::writer::EDGE_DEADLINE;
use rusqlite::Connection;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};
use warren_domain::{Error, Result};

/// Reads that may wait for a thread; callers beyond it wait to enter.
const QUEUE: usize = 1_024;

enum Job {
    Read(Box<dyn FnOnce(&Connection) + Send>),
    Stop,
}

/// A handle to the reader threads.
pub(crate) struct Readers {
    queue: mpsc::Sender<Job>,
    threads: Mutex<Vec<JoinHandle<()>>>,
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
            threads.push(std::thread::Builder::new().name(name).spawn(move || serve(&conn, &jobs))?);
        }
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    /// Runs `work` in one read transaction. `Unavailable` if the store does not answer in ten seconds.
    pub(crate) async fn read<T, F>(&self, mut work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Stop> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Job::Read(Box::new(move |conn| {
            if !answer.is_closed() {
                // The caller may give up meanwhile.
                let _ = answer.send(attempts(conn, &mut work));
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
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        let _ = joined.await;
    }
}

fn serve(conn: &Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // One thread waits for a job, the others for the lock.
        let job = match jobs.lock() {
            Ok(mut jobs) => jobs.blocking_recv(),
            Err(_) => return,
        };
        match job {
            Some(Job::Read(read)) => read(conn),
            Some(Job::Stop) | None => return,
        }
    }
}

fn attempts<T>(conn: &Connection, work: &mut impl FnMut(&Connection) -> Result<T, Stop>) -> Result<T> {
    let mut patience = Patience::new();
    loop {
        match in_transaction(conn, work) {
            Ok(value) => return Ok(value),
            Err(Stop::Verdict(error)) => return Err(error),
            Err(Stop::Sql(error)) if class(&error) != Class::Passing => return Err(Error::internal(error)),
            Err(Stop::Sql(_)) if patience.waited() > EDGE_DEADLINE => return Err(unavailable()),
            Err(Stop::Sql(error)) => patience.pause(&error),
        }
    }
}

fn in_transaction<T>(conn: &Connection, work: &mut impl FnMut(&Connection) -> Result<T, Stop>) -> Result<T, Stop> {
    // Dropped at the end: it wrote nothing, so undoing it is how it ends.
    let _transaction = conn.unchecked_transaction()?;
    work(conn)
}
