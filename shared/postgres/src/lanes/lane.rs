//! One lane: a task, a connection, a queue.

use super::job::{Hot, Job};
use super::link::{Backend, Link};
use super::{Setup, Shared};
use crate::commit::{self, Carried, Mark, Trouble};
use crate::events;
use crate::failure::{Class, Patience, class, is_timeout, lacks_partition};
use crate::pace::{Company, Gathered, Pace};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use warren_domain::Error;
use warren_ports::ledger::{Outcome, Write};

/// Writes after which a transaction takes no more.
const BATCH_ITEMS: usize = 256;
/// Bytes after which a transaction takes no more.
const BATCH_BYTES: usize = 1 << 20;
/// A transaction has about ten round trips, whatever its size. At the least of many, nine calls come while one waits.
const COMPANY: Company = Company { many: 800, enough: 16, patience: Duration::from_millis(12), worth: 8 };
/// How long one try of a batch may take. The server bounds each statement to less; this is for a server that is silent.
const TRY: Duration = Duration::from_secs(3);
/// How often in a row a batch is run again because others changed its rows: they are few, so more than this is a defect.
const OVERTAKEN: u32 = 50;

/// The task's own state.
pub(super) struct Lane {
    setup: Setup,
    jobs: mpsc::Receiver<Job>,
    pace: Pace,
    shared: Arc<Shared>,
    /// Names this lane in `lane_commits`: of this process, and no other.
    id: Uuid,
    /// Counts tries of batches.
    batch: i64,
    link: Option<Link>,
    /// The connection that broke, until it is known to be gone.
    former: Option<Backend>,
    /// What a try gave whose commit was begun and not answered.
    in_doubt: Option<Carried>,
    /// How often in a row others changed what a try had read.
    overtaken: u32,
}

/// What is committed together.
#[derive(Default)]
struct Batch {
    waiting: Vec<Waiting>,
    items: usize,
    bytes: usize,
    /// Somebody waits for the end of what is there: company is not waited for.
    is_urgent: bool,
    stop: Option<oneshot::Sender<()>>,
}

impl Gathered for Batch {
    type Job = Job;

    fn add(&mut self, job: Job) -> Option<Instant> {
        match job {
            Job::Hot(hot) => {
                let queued = hot.queued;
                self.items += hot.writes.len();
                self.bytes += hot.writes.iter().map(|write| commit::bytes(&write.op)).sum::<usize>();
                self.waiting.push(Waiting::Hot(hot));
                Some(queued)
            }
            Job::Flush(done) => {
                self.is_urgent = true;
                self.waiting.push(Waiting::Flush(done));
                None
            }
            Job::Stop(done) => {
                self.is_urgent = true;
                self.stop = Some(done);
                None
            }
        }
    }

    fn calls(&self) -> usize {
        self.waiting.len()
    }

    fn has_room(&self) -> bool {
        self.items < BATCH_ITEMS && self.bytes < BATCH_BYTES && self.stop.is_none()
    }

    fn may_wait(&self) -> bool {
        self.has_room() && !self.is_urgent
    }
}

/// A job that is answered when the batch is committed.
enum Waiting {
    Hot(Hot),
    Flush(oneshot::Sender<()>),
}

/// How a try ended without a commit.
enum Failed {
    /// It passes: run it again, after a pause.
    Again(sqlx::Error),
    /// The data of some write is at fault, or it all takes too long.
    Data(sqlx::Error),
}

impl Lane {
    pub(super) fn new(setup: Setup, jobs: mpsc::Receiver<Job>, shared: Arc<Shared>) -> Self {
        let id = Uuid::new_v4();
        let pace = Pace::new(COMPANY);
        Self { setup, jobs, pace, shared, id, batch: 0, link: None, former: None, in_doubt: None, overtaken: 0 }
    }

    pub(super) async fn run(mut self) {
        while let Some(first) = self.jobs.recv().await {
            let queued = if let Job::Hot(hot) = &first { hot.queued } else { Instant::now() };
            self.shared.oldest.store(self.shared.since_birth(queued) + 1, Ordering::Relaxed);
            let Batch { waiting, stop, .. } = self.pace.gather(first, &mut self.jobs).await;
            self.settle(waiting).await;
            if let Some(done) = stop {
                self.jobs.close();
                while let Ok(job) = self.jobs.try_recv() {
                    job.refuse();
                }
                self.leave().await;
                // Whoever closed the store may have given up waiting.
                let _ = done.send(());
                return;
            }
        }
        self.leave().await;
    }

    /// Commits what was gathered however long it takes, and answers it.
    async fn settle(&mut self, waiting: Vec<Waiting>) {
        let writes: Vec<&Write> = waiting
            .iter()
            .filter_map(|waiting| if let Waiting::Hot(hot) = waiting { Some(&hot.writes) } else { None })
            .flatten()
            .collect();
        let relaxed = waiting.iter().all(|waiting| matches!(waiting, Waiting::Hot(hot) if hot.is_relaxed()));
        let mut outcomes = self.commit_all(&writes, relaxed).await.into_iter();
        // Said before the answers are: whoever has one does not find himself waiting.
        self.shared.oldest.store(0, Ordering::Relaxed);
        for waiting in waiting {
            match waiting {
                Waiting::Hot(hot) => {
                    let count = hot.writes.len();
                    hot.answer(outcomes.by_ref().take(count).collect());
                }
                Waiting::Flush(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    /// Commits writes in one transaction, or where that fails in several, in their order.
    async fn commit_all(&mut self, writes: &[&Write], relaxed: bool) -> Vec<Outcome> {
        let mut parts: VecDeque<Range<usize>> = in_batches(writes).into();
        let mut outcomes = Vec::with_capacity(writes.len());
        while let Some(part) = parts.pop_front() {
            let Some(some) = writes.get(part.clone()) else { continue };
            match self.commit_some(some, relaxed).await {
                Ok(done) => outcomes.extend(done),
                Err(error) if some.len() > 1 => {
                    tracing::debug!(%error, items = some.len(), "a batch was refused as a whole; its halves are tried");
                    let middle = part.start + some.len() / 2;
                    parts.push_front(middle..part.end);
                    parts.push_front(part.start..middle);
                }
                Err(error) => {
                    tracing::error!(%error, "the store refused a write");
                    outcomes.push(Outcome::Refused(Error::internal(error)));
                }
            }
        }
        outcomes
    }

    /// Commits writes in one transaction; an error only where the data of some is at fault.
    async fn commit_some(&mut self, writes: &[&Write], relaxed: bool) -> Result<Vec<Outcome>, sqlx::Error> {
        let began = Instant::now();
        let mut patience = Patience::new();
        loop {
            let tried = tokio::time::timeout(TRY, self.attempt(writes, relaxed)).await;
            let failed = match tried {
                Ok(Ok(carried)) => {
                    self.observe(writes.len(), carried.wrote, began.elapsed());
                    return Ok(carried.outcomes);
                }
                Ok(Err(failed)) => failed,
                Err(_) => {
                    self.abandon();
                    Failed::Again(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))
                }
            };
            match failed {
                Failed::Again(error) => patience.pause(&error).await,
                Failed::Data(error) => return Err(error),
            }
        }
    }

    /// One try: connects if need be, settles what is in doubt, carries out and commits.
    async fn attempt(&mut self, writes: &[&Write], relaxed: bool) -> Result<Carried, Failed> {
        if self.link.is_none() {
            let former = self.former.filter(|_| !self.setup.mutation.is("late_statement"));
            let opened = Link::open(&self.setup.connect, self.setup.role.as_deref(), former).await;
            self.link = Some(opened.map_err(Failed::Again)?);
            self.former = None;
        }
        if let Some(carried) = self.resolve().await? {
            return Ok(carried);
        }
        match self.try_commit(writes, relaxed).await {
            Ok(carried) => {
                self.overtaken = 0;
                Ok(carried)
            }
            Err(Trouble::Overtaken) => {
                self.undo().await;
                self.overtaken += 1;
                let error = sqlx::Error::Protocol("rows were changed by somebody else meanwhile".to_owned());
                Err(if self.overtaken < OVERTAKEN { Failed::Again(error) } else { Failed::Data(error) })
            }
            Err(Trouble::Sql(error)) => Err(self.failed(error, writes.len()).await),
        }
    }

    /// Settles whether the last try did commit, if that is in doubt: then what it gave is the answer.
    async fn resolve(&mut self) -> Result<Option<Carried>, Failed> {
        let (Some(link), true) = (&mut self.link, self.in_doubt.is_some()) else { return Ok(None) };
        match link.last_batch(self.id).await {
            Ok(last) if last == self.batch => Ok(self.in_doubt.take()),
            Ok(_) => {
                self.in_doubt = None;
                Ok(None)
            }
            Err(error) => {
                self.abandon();
                Err(Failed::Again(error))
            }
        }
    }

    async fn try_commit(&mut self, writes: &[&Write], relaxed: bool) -> Result<Carried, Trouble> {
        let Some(link) = &mut self.link else { return Err(Trouble::Overtaken) };
        self.batch += 1;
        link.begin(relaxed).await?;
        let conn = &mut link.conn;
        let mark = Mark { lane: self.id, batch: self.batch };
        let Setup { clock, shards, mutation, .. } = &self.setup;
        let carried = commit::carry_out(&mut *conn, writes, mark, clock.now(), *shards, *mutation).await?;
        if !carried.wrote {
            sqlx::raw_sql("ROLLBACK").execute(&mut *conn).await?;
            return Ok(carried);
        }
        self.in_doubt = Some(carried);
        sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        self.in_doubt.take().ok_or(Trouble::Overtaken)
    }

    /// What to do after an error; the connection is whole and outside of a transaction then, or gone.
    async fn failed(&mut self, error: sqlx::Error, items: usize) -> Failed {
        let class = class(&error);
        if class == Class::Broken {
            self.abandon();
            return Failed::Again(error);
        }
        // An answer to the commit is no doubt: it was undone.
        self.in_doubt = None;
        self.undo().await;
        if lacks_partition(&error)
            && let Some(link) = &mut self.link
            && let Err(error) = events::extend(&mut link.conn, self.setup.clock.now()).await
        {
            self.abandon();
            return Failed::Again(error);
        }
        match class {
            Class::Data => Failed::Data(error),
            // Perhaps it is only too much at once; a single one is waited for.
            Class::Passing if is_timeout(&error) && items > 1 => Failed::Data(error),
            Class::Passing | Class::Broken => Failed::Again(error),
        }
    }

    async fn undo(&mut self) {
        if let Some(link) = &mut self.link
            && !link.undo().await
        {
            self.abandon();
        }
    }

    /// Drops the connection; its server process is ended before the next one is used.
    fn abandon(&mut self) {
        if let Some(link) = self.link.take() {
            self.former = Some(link.backend);
        }
    }

    fn observe(&self, items: usize, wrote: bool, took: Duration) {
        if let Some(observer) = self.setup.observer.as_ref().filter(|_| wrote) {
            observer.committed(items, took);
        }
    }

    /// Takes the lane's row out of the store: nobody asks for it any more.
    async fn leave(&mut self) {
        if let Some(link) = &mut self.link {
            let gone = sqlx::query("DELETE FROM lane_commits WHERE lane = $1").bind(self.id).execute(&mut link.conn);
            // Where this fails, the row goes with its age.
            let _ = tokio::time::timeout(TRY, gone).await;
        }
    }
}

/// Ranges of writes that are a batch each.
fn in_batches(writes: &[&Write]) -> Vec<Range<usize>> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (place, write) in writes.iter().enumerate() {
        if place - start >= BATCH_ITEMS || bytes >= BATCH_BYTES {
            batches.push(start..place);
            (start, bytes) = (place, 0);
        }
        bytes += commit::bytes(&write.op);
    }
    if start < writes.len() {
        batches.push(start..writes.len());
    }
    batches
}
