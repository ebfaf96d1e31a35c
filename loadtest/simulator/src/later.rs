//! What phones do after a while: one heap and one task for everybody, so that many slow people cost little.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::handset::Job;
use crate::world::World;

/// Jobs that wait for their time, of everybody together. One more is done at once.
const LIMIT: usize = 200_000;

/// Jobs for later.
#[derive(Default)]
pub(crate) struct Later {
    waiting: Mutex<Waiting>,
    earlier: Notify,
}

#[derive(Default)]
struct Waiting {
    jobs: BinaryHeap<Reverse<Due>>,
    next_number: u64,
}

/// Ordered by time, and by when it was put off where times are the same.
struct Due {
    at: Instant,
    number: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl Later {
    /// Puts a job off; gives it back when too many wait.
    pub(crate) fn put(&self, after: Duration, job: Job) -> Result<(), Job> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.jobs.len() >= LIMIT {
            return Err(job);
        }
        waiting.next_number += 1;
        let due = Due { at: Instant::now() + after, number: waiting.next_number, job };
        let first = waiting.jobs.peek().is_none_or(|Reverse(next)| due < *next);
        waiting.jobs.push(Reverse(due));
        drop(waiting);
        if first {
            self.earlier.notify_one();
        }
        Ok(())
    }

    /// The next job whose time has come, or when the next one's comes.
    fn next(&self) -> Result<Job, Option<Instant>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.jobs.peek() {
            Some(Reverse(due)) if due.at <= Instant::now() => match waiting.jobs.pop() {
                Some(Reverse(due)) => Ok(due.job),
                None => Err(None),
            },
            Some(Reverse(due)) => Err(Some(due.at)),
            None => Err(None),
        }
    }
}

/// Hands jobs to their phones when their time has come, until the server stops.
pub(crate) async fn serve(world: Arc<World>) {
    loop {
        let at = match world.later.next() {
            Ok(job) => {
                world.handsets.submit(job).await;
                continue;
            }
            Err(at) => at,
        };
        let due = async {
            match at {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => {}
            () = world.later.earlier.notified() => {}
            () = world.stop.cancelled() => return,
        }
    }
}
