//! The lane: one thread, one write connection, one queue.
//!
//! The thread takes what waits (bounded by [`BATCH_ITEMS`] and [`BATCH_BYTES`]), runs it in one transaction in the order of
//! the queue, commits, and answers all of it: one sync to disk for many writes. Nothing is kept in memory but the queue.
//!
//! A passing condition undoes the transaction, and the same batch is run again, without limit for hot writes; work of the
//! edge that nobody waits for any more leaves the batch. A data error runs the batch again with a savepoint around each
//! item, so that the culprit alone fails; in the normal case no savepoint is paid for.

mod edge;
mod hot;

pub(crate) use edge::EDGE_DEADLINE;

use crate::checkpoint;
use crate::failure::{Class, Patience, Stop, class, closed};
use crate::open::CommitObserver;
use crate::transaction::Tx;
use edge::EdgeWork;
use hot::Hot;
use rusqlite::Connection;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use warren_domain::time::Clock;
use warren_domain::{Error, ShardCount};

/// Jobs that may wait; callers beyond it wait to enter, in order.
const QUEUE: usize = 8_192;
/// Items after which a transaction takes no more jobs.
const BATCH_ITEMS: usize = 256;
/// For each job in a batch, the next batch begins so much later after it...
const COMPANY: Duration = Duration::from_micros(120);
/// ... and at most so much.
const PACE: Duration = Duration::from_millis(4);
/// Bytes after which a transaction takes no more jobs.
const BATCH_BYTES: usize = 1 << 20;

/// One thing for the lane to do.
enum Job {
    /// Writes of owners.
    Hot(Hot),
    /// A write of the edge.
    Edge(Box<dyn EdgeWork>),
    /// Answer when everything before it is done, and end.
    Stop(oneshot::Sender<()>),
}

impl Job {
    fn items(&self) -> usize {
        match self {
            Self::Hot(hot) => hot.writes.len(),
            Self::Edge(edge) => edge.items(),
            Self::Stop(_) => 0,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Hot(hot) => hot.bytes(),
            Self::Edge(edge) => edge.bytes(),
            Self::Stop(_) => 0,
        }
    }

    fn run(&mut self, tx: &mut Tx<'_>, careful: bool) -> rusqlite::Result<()> {
        match self {
            Self::Hot(hot) => hot.run(tx, careful),
            Self::Edge(edge) => edge.run(tx, careful),
            Self::Stop(_) => Ok(()),
        }
    }

    fn answer(self) {
        match self {
            Self::Hot(hot) => hot.answer(),
            Self::Edge(edge) => edge.answer(),
            Self::Stop(done) => {
                // Whoever closed the store may have given up waiting.
                let _ = done.send(());
            }
        }
    }

    fn refuse(self, error: &dyn Fn() -> Error) {
        match self {
            Self::Hot(hot) => hot.refuse(error),
            Self::Edge(edge) => edge.refuse(error()),
            Self::Stop(done) => {
                let _ = done.send(());
            }
        }
    }
}

/// What the lane and its callers share.
#[derive(Debug)]
pub(crate) struct Shared {
    born: Instant,
    /// Milliseconds after `born` (plus one) at which the oldest waiting job was queued; 0 if none waits.
    oldest: AtomicU64,
    /// Writes answered before their commit that are not committed yet.
    unsettled: AtomicU64,
}

impl Shared {
    fn since_birth(&self, at: Instant) -> u64 {
        u64::try_from(at.duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

/// A handle to the lane.
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the lane's thread is made with.
pub(crate) struct Setup {
    pub(crate) conn: Connection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: ShardCount,
    pub(crate) observer: Option<Arc<dyn CommitObserver>>,
    pub(crate) checkpoints: checkpoint::Trigger,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(setup: Setup) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let shared = Arc::new(Shared { born: Instant::now(), oldest: AtomicU64::new(0), unsettled: AtomicU64::new(0) });
        let lane =
            Lane { setup, jobs, shared: Arc::clone(&shared), relaxed: false, last: Last { began: Instant::now(), jobs: 0 } };
        let thread = std::thread::Builder::new().name("sqlite-writer".into()).spawn(move || lane.run())?;
        Ok(Self { queue, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Puts a job into the queue at the first poll, in order of first polls: if there is room at once, else in line.
    async fn enqueue(&self, job: Job) -> Result<(), Job> {
        match self.queue.try_send(job) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(job)) => Err(job),
            // Unconstrained: a task that used up its cooperative budget must still join the line at its first poll.
            Err(mpsc::error::TrySendError::Full(job)) => {
                tokio::task::unconstrained(self.queue.send(job)).await.map_err(|refused| refused.0)
            }
        }
    }

    /// Whether writes were answered that readers cannot see yet.
    pub(crate) fn has_unsettled(&self) -> bool {
        self.shared.unsettled.load(Ordering::SeqCst) > 0
    }

    /// How long the oldest job has waited, milliseconds.
    pub(crate) fn waiting_ms(&self) -> u64 {
        match self.shared.oldest.load(Ordering::Relaxed) {
            0 => 0,
            queued => (self.shared.since_birth(Instant::now()) + 1).saturating_sub(queued),
        }
    }

    /// Lets the lane finish what is queued, and ends it.
    pub(crate) async fn close(&self) {
        let (done, finished) = oneshot::channel();
        if self.enqueue(Job::Stop(done)).await.is_ok() {
            // An error means that the thread is gone already.
            let _ = finished.await;
        }
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // A panic of the thread was reported where it happened.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The thread's own state.
struct Lane {
    setup: Setup,
    jobs: mpsc::Receiver<Job>,
    shared: Arc<Shared>,
    /// Whether the connection commits without waiting for the disk just now.
    relaxed: bool,
    last: Last,
}

/// The batch before.
struct Last {
    began: Instant,
    jobs: usize,
}

impl Lane {
    fn run(mut self) {
        while let Some(batch) = self.gather() {
            let last = batch.iter().any(|job| matches!(job, Job::Stop(_)));
            if last {
                self.jobs.close();
            }
            self.settle(batch);
            if last {
                break;
            }
        }
        // What was queued behind the stop.
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse(&closed);
        }
    }

    /// Waits for a job, then takes what else waits.
    fn gather(&mut self) -> Option<Vec<Job>> {
        let first = self.jobs.blocking_recv()?;
        let (mut items, mut bytes) = (first.items(), first.bytes());
        let queued = match &first {
            Job::Hot(hot) => hot.queued,
            Job::Edge(edge) => edge.queued(),
            Job::Stop(_) => Instant::now(),
        };
        self.shared.oldest.store(self.shared.since_birth(queued) + 1, Ordering::Relaxed);
        self.pace();
        let mut batch = vec![first];
        while items < BATCH_ITEMS && bytes < BATCH_BYTES {
            let Ok(job) = self.jobs.try_recv() else { break };
            items += job.items();
            bytes += job.bytes();
            batch.push(job);
        }
        self.last = Last { began: Instant::now(), jobs: batch.len() };
        Some(batch)
    }

    /// Under many writers, waits a little for company: a commit costs the same for one job as for fifty, and on a busy
    /// machine that cost is what makes everybody wait. Below some 8,000 jobs a second a commit takes longer than this wait,
    /// so few writers are never held up; above, the batches grow until the wait is [`PACE`].
    fn pace(&self) {
        let jobs = u32::try_from(self.last.jobs).unwrap_or(u32::MAX);
        let pace = COMPANY.saturating_mul(jobs).min(PACE);
        if let Some(early) = pace.checked_sub(self.last.began.elapsed()) {
            std::thread::sleep(early);
        }
    }

    /// Commits a batch however long it takes, and answers it.
    fn settle(&mut self, mut batch: Vec<Job>) {
        let began = Instant::now();
        let mut patience = Patience::new();
        let mut careful = false;
        loop {
            batch.retain(|job| !matches!(job, Job::Edge(edge) if edge.is_abandoned()));
            if batch.is_empty() {
                return self.nobody_waits();
            }
            let items = batch.iter().map(Job::items).sum();
            let Err(error) = self.attempt(&mut batch, careful) else {
                self.nobody_waits();
                self.observe(items, began.elapsed());
                for job in batch {
                    job.answer();
                }
                return;
            };
            self.undo(&mut batch);
            match class(&error) {
                Class::Passing => patience.pause(&error),
                Class::Data if !careful => careful = true,
                Class::Data | Class::Damaged => {
                    tracing::error!(error = %error, items, "the store refused a whole commit");
                    self.nobody_waits();
                    let text = error.to_string();
                    for job in batch {
                        job.refuse(&|| Error::internal(text.clone()));
                    }
                    return;
                }
            }
        }
    }

    /// Said before the answers are: whoever has one does not find himself waiting.
    fn nobody_waits(&self) {
        self.shared.oldest.store(0, Ordering::Relaxed);
    }

    fn attempt(&mut self, batch: &mut [Job], careful: bool) -> rusqlite::Result<()> {
        let relaxed = batch.iter().all(|job| matches!(job, Job::Hot(hot) if hot.is_relaxed()));
        if relaxed != self.relaxed {
            // Without the sync of this commit the next synced one still syncs it first: the log is one file, in order.
            self.setup.conn.execute_batch(if relaxed {
                "PRAGMA synchronous = NORMAL"
            } else {
                "PRAGMA synchronous = FULL"
            })?;
            self.relaxed = relaxed;
        }
        let conn = &self.setup.conn;
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut tx = Tx::new(conn, self.setup.clock.now(), self.setup.shards);
        for job in batch {
            job.run(&mut tx, careful)?;
        }
        conn.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    fn undo(&self, batch: &mut [Job]) {
        if !self.setup.conn.is_autocommit()
            && let Err(error) = self.setup.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %error, "a transaction could not be rolled back");
        }
        for job in batch {
            if let Job::Edge(edge) = job {
                edge.pause();
            }
        }
    }

    fn observe(&self, items: usize, took: Duration) {
        self.setup.checkpoints.committed();
        if let Some(observer) = &self.setup.observer {
            observer.committed(items, took);
        }
    }
}

/// Turns what a piece of work stopped with into its answer, or hands the error on that concerns the whole batch.
fn verdict<T>(result: Result<T, Stop>, careful: bool) -> rusqlite::Result<Result<T, Error>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Verdict(error)) => Ok(Err(error)),
        Err(Stop::Sql(error)) if careful && class(&error) == Class::Data => Ok(Err(Error::internal(error))),
        Err(Stop::Sql(error)) => Err(error),
    }
}
