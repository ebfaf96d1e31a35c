//! The committer lanes: one connection, or a few, through which every hot write goes, in batches.
//!
//! A lane is a task with one connection. It takes what waits, carries it out in one transaction ([`crate::commit`]), commits,
//! and answers all of it: one sync to disk for many writes; while many come, a batch waits for company ([`crate::pace`]). A
//! shard belongs to one lane (`lane = shard mod lanes`), so its writes have one order, and its owner row has at most one
//! share-locker a process. Nothing is kept in memory but the queues.
//!
//! A passing condition undoes the transaction, and the same batch is run again, without limit. A data error undoes it too; then
//! halves of the batch are committed one after the other, down to the culprit, which alone is refused.
//!
//! **A connection that broke.** What was sent on it may still be carried out by the server: a late statement of the same epoch
//! would undo newer writes, and a commit whose reply was lost may have happened. So before anything is run again, the new
//! connection ends the old one's server process and waits until it is gone. Then it is settled for good whether the last
//! transaction committed, and the lane's row in `lane_commits` says it: each try of a batch has its own number, written in its
//! own transaction. If it did commit, the verdicts that it gave are the answer; nothing is run twice.

mod job;
mod lane;
mod link;

use crate::commit::is_relaxed;
use crate::failure::closed;
use crate::fault::Mutation;
use crate::open::CommitObserver;
use futures::future::join_all;
use job::{Answer, Hot, Job, Unsettled};
use lane::Lane;
use sqlx::postgres::PgConnectOptions;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use warren_domain::time::Clock;
use warren_domain::{InstanceId, Result, Shard, ShardCount};
use warren_ports::ledger::{Outcome, Write};

/// Jobs that may wait at a lane; callers beyond it wait to enter, in order.
const QUEUE: usize = 4_096;

/// What a lane is made with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) connect: PgConnectOptions,
    /// Whose rights the lanes have, if not the login's.
    pub(crate) role: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shards: ShardCount,
    pub(crate) observer: Option<Arc<dyn CommitObserver>>,
    pub(crate) mutation: Mutation,
}

/// What a lane and its callers share.
#[derive(Debug)]
struct Shared {
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

/// A handle to one lane.
struct Entrance {
    queue: mpsc::Sender<Job>,
    shared: Arc<Shared>,
}

/// All lanes. The tasks end when this is dropped and what is queued is committed.
pub(crate) struct Lanes {
    entrances: Vec<Entrance>,
    shards: ShardCount,
}

/// Some of a call's writes, and where they stood in it.
#[derive(Default)]
struct Part {
    places: Vec<usize>,
    writes: Vec<Write>,
}

impl Lanes {
    /// Starts the tasks. Connections are made when the first write comes.
    pub(crate) fn start(count: u16, setup: &Setup) -> Self {
        let entrance = |_| {
            let (queue, jobs) = mpsc::channel(QUEUE);
            let shared = Arc::new(Shared { born: Instant::now(), oldest: AtomicU64::new(0), unsettled: AtomicU64::new(0) });
            tokio::spawn(Lane::new(setup.clone(), jobs, Arc::clone(&shared)).run());
            Entrance { queue, shared }
        };
        Self { entrances: (0..count.max(1)).map(entrance).collect(), shards: setup.shards }
    }

    fn number(&self, shard: Shard) -> usize {
        usize::from(shard.0) % self.entrances.len().max(1)
    }

    /// Commits writes, a verdict each; answers those early whose sync nobody awaits.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Vec<Outcome> {
        let count = writes.len();
        let mut parts: Vec<Part> = self.entrances.iter().map(|_| Part::default()).collect();
        let relaxed = writes.iter().all(|write| is_relaxed(&write.op));
        for (place, write) in writes.into_iter().enumerate() {
            let number = self.number(write.fence.shard);
            if let Some(part) = parts.get_mut(number) {
                part.places.push(place);
                part.writes.push(write);
            }
        }
        // All parts enter at the first poll, whichever of the queues is full.
        let entering = self.entrances.iter().zip(parts).filter(|(_, part)| !part.writes.is_empty());
        let answers = join_all(entering.map(|(entrance, part)| entrance.pass(part, relaxed))).await;
        let mut outcomes: Vec<Option<Outcome>> = (0..count).map(|_| None).collect();
        for (place, outcome) in answers.into_iter().flatten() {
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Outcome::Refused(closed()))).collect()
    }

    /// How long the oldest job of all lanes has waited, milliseconds.
    pub(crate) fn waiting_ms(&self) -> u64 {
        self.entrances.iter().map(|entrance| entrance.shared.waiting_ms()).max().unwrap_or_default()
    }

    /// Waits for what was answered early to be committed, of these instances' lanes.
    pub(crate) async fn settled(&self, instances: &[InstanceId]) -> Result<()> {
        let lanes: BTreeSet<usize> =
            instances.iter().map(|instance| self.number(Shard::of(*instance, self.shards))).collect();
        let unsettled = |entrance: &&Entrance| entrance.shared.unsettled.load(Ordering::SeqCst) > 0;
        let waiting = lanes.iter().filter_map(|number| self.entrances.get(*number)).filter(unsettled);
        for flushed in join_all(waiting.map(Entrance::flush)).await {
            flushed?;
        }
        Ok(())
    }

    /// Lets the lanes commit what is queued, and ends them.
    pub(crate) async fn close(&self) {
        join_all(self.entrances.iter().map(Entrance::close)).await;
    }
}

impl Shared {
    fn waiting_ms(&self) -> u64 {
        match self.oldest.load(Ordering::Relaxed) {
            0 => 0,
            queued => (self.since_birth(Instant::now()) + 1).saturating_sub(queued),
        }
    }
}

impl Entrance {
    /// Queues writes and waits for their verdicts.
    async fn pass(&self, part: Part, relaxed: bool) -> Vec<(usize, Outcome)> {
        let Part { places, writes } = part;
        let count = writes.len();
        let outcomes = if relaxed {
            let answer = Answer::Given(Unsettled::new(&self.shared));
            match self.enqueue(Job::Hot(Hot::new(writes, answer))).await {
                Ok(()) => (0..count).map(|_| Outcome::Done).collect(),
                Err(_) => Vec::new(),
            }
        } else {
            let (answer, answered) = oneshot::channel();
            match self.enqueue(Job::Hot(Hot::new(writes, Answer::Awaited(answer)))).await {
                Ok(()) => answered.await.unwrap_or_default(),
                Err(_) => Vec::new(),
            }
        };
        places.into_iter().zip(outcomes).collect()
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

    async fn flush(&self) -> Result<()> {
        let (done, finished) = oneshot::channel();
        self.enqueue(Job::Flush(done)).await.map_err(|_| closed())?;
        finished.await.map_err(|_| closed())
    }

    async fn close(&self) {
        let (done, finished) = oneshot::channel();
        if self.enqueue(Job::Stop(done)).await.is_ok() {
            // An error means that the task is gone already.
            let _ = finished.await;
        }
    }
}
