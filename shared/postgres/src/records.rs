//! Reads of session state, those that come at the same time in one statement.
//!
//! A login reads a handful of records and every message one or two, each for itself. What is asked while a statement is under
//! way waits for the next one, so that a storm of logins costs a statement for dozens of reads, and a single read none more
//! than before.

use crate::edge::EDGE_DEADLINE;
use crate::failure::{Class, Stop, class, closed};
use sqlx::{PgPool, Row};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;
use warren_ports::ledger::{Record, RecordKind, after_prefix};

/// Statements under way at once.
const READERS: usize = 3;
/// Reads that may wait; who comes then waits in line.
const WAITING: usize = 4_096;
/// Reads, and ranges of keys, after which a statement takes no more.
const BATCH_READS: usize = 128;
const BATCH_RANGES: usize = 1_024;
/// Behind every key: none has so many bytes of this value.
const END: [u8; 256] = [u8::MAX; 256];

/// From the first key to what is behind the last one.
pub(crate) type Range = (Vec<u8>, Vec<u8>);

/// The range of one key.
pub(crate) fn only(key: &[u8]) -> Range {
    let mut behind = key.to_vec();
    behind.push(0);
    (key.to_vec(), behind)
}

/// The range of all keys that begin so.
pub(crate) fn beginning(prefix: &[u8]) -> Range {
    (prefix.to_vec(), after_prefix(prefix).unwrap_or_else(|| END.to_vec()))
}

/// What is asked of one instance's records of one kind.
struct Read {
    instance: Uuid,
    kind: RecordKind,
    ranges: Vec<Range>,
}

type Answer = oneshot::Sender<Result<Vec<Record>, sqlx::Error>>;

/// A read that waits for its statement.
struct Asked {
    read: Read,
    answer: Answer,
}

#[derive(Default)]
struct Queue {
    asked: VecDeque<Asked>,
    /// Tasks that carry out statements.
    readers: usize,
}

/// The reads of a store.
#[derive(Clone)]
pub(crate) struct Records {
    pool: PgPool,
    queue: Arc<Mutex<Queue>>,
    room: Arc<Semaphore>,
}

impl Records {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, queue: Arc::default(), room: Arc::new(Semaphore::new(WAITING)) }
    }

    /// The records in these ranges, by key. Inside of work that [`crate::Postgres::reading`] runs.
    pub(crate) async fn read(&self, instance: Uuid, kind: RecordKind, ranges: Vec<Range>) -> Result<Vec<Record>, Stop> {
        let _room = self.room.acquire().await.map_err(|_| Stop::Verdict(closed()))?;
        let (answer, answered) = oneshot::channel();
        self.ask(Asked { read: Read { instance, kind, ranges }, answer });
        // Its task ended without an answer: as if the connection had broken.
        Ok(answered.await.unwrap_or_else(|_| Err(sqlx::Error::WorkerCrashed))?)
    }

    fn ask(&self, asked: Asked) {
        let mut queue = self.lock();
        queue.asked.push_back(asked);
        if queue.readers < READERS {
            queue.readers += 1;
            tokio::spawn(Reader { records: self.clone(), is_counted: true }.run());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task that carries out statements until nothing waits.
struct Reader {
    records: Records,
    is_counted: bool,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It was ended in the middle.
        if self.is_counted {
            self.records.lock().readers -= 1;
        }
    }
}

impl Reader {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.carry_out(batch).await;
        }
    }

    /// What waits, up to a batch. `None`: the task is over, and under the same lock it counts no more, so that nothing that is
    /// asked from then on relies on it.
    fn next(&mut self) -> Option<Vec<Asked>> {
        let mut queue = self.records.lock();
        let (mut batch, mut ranges) = (Vec::new(), 0);
        while batch.len() < BATCH_READS && ranges < BATCH_RANGES {
            let Some(asked) = queue.asked.pop_front() else { break };
            // Whoever asked may have given up.
            if !asked.answer.is_closed() {
                ranges += asked.read.ranges.len();
                batch.push(asked);
            }
        }
        if batch.is_empty() {
            queue.readers -= 1;
            drop(queue);
            self.is_counted = false;
            return None;
        }
        drop(queue);
        Some(batch)
    }

    async fn carry_out(&self, batch: Vec<Asked>) {
        let (reads, answers): (Vec<Read>, Vec<Answer>) = batch.into_iter().map(|asked| (asked.read, asked.answer)).unzip();
        match self.fetch(&reads).await {
            Ok(found) => {
                for (answer, records) in answers.into_iter().zip(found) {
                    let _ = answer.send(Ok(records));
                }
            }
            // One of them is at fault: each for itself.
            Err(error) if class(&error) == Class::Data && reads.len() > 1 => {
                for (read, answer) in reads.iter().zip(answers) {
                    let found = self.fetch(std::slice::from_ref(read)).await;
                    let _ = answer.send(found.map(|found| found.into_iter().flatten().collect()));
                }
            }
            Err(error) => {
                let mut error = Some(error);
                for answer in answers {
                    // An error cannot be copied; to the others it says what it is about them: try again.
                    let told = error.take().unwrap_or(sqlx::Error::WorkerCrashed);
                    let _ = answer.send(Err(told));
                }
            }
        }
    }

    /// The records of each read.
    async fn fetch(&self, reads: &[Read]) -> Result<Vec<Vec<Record>>, sqlx::Error> {
        let silent = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        let rows = tokio::time::timeout(EDGE_DEADLINE, self.query(reads)).await.map_err(silent)??;
        let mut found: Vec<Vec<Record>> = reads.iter().map(|_| Vec::new()).collect();
        for row in rows {
            let place = usize::try_from(row.try_get::<i32, _>(0)?).unwrap_or(usize::MAX);
            let (Some(records), Some(read)) = (found.get_mut(place), reads.get(place)) else { continue };
            records.push(Record { kind: read.kind, key: row.try_get(1)?, value: row.try_get(2)?, mark: row.try_get(3)? });
        }
        for records in &mut found {
            records.sort_by(|a, b| a.key.cmp(&b.key));
            records.dedup_by(|a, b| a.key == b.key);
        }
        Ok(found)
    }

    async fn query(&self, reads: &[Read]) -> Result<Vec<sqlx::postgres::PgRow>, sqlx::Error> {
        let (mut places, mut instances, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let (mut firsts, mut behinds) = (Vec::new(), Vec::new());
        for (place, read) in (0_i32..).zip(reads) {
            for (first, behind) in &read.ranges {
                places.push(place);
                instances.push(read.instance);
                kinds.push(read.kind as i16);
                firsts.push(first.as_slice());
                behinds.push(behind.as_slice());
            }
        }
        sqlx::query(
            "SELECT asked.place, found.key, found.value, found.mark
             FROM unnest($1::INTEGER[], $2::UUID[], $3::SMALLINT[], $4::BYTEA[], $5::BYTEA[])
                  AS asked (place, instance_id, kind, first, behind)
             CROSS JOIN LATERAL (
                 SELECT r.key, r.value, r.mark FROM session_records r
                 WHERE r.instance_id = asked.instance_id AND r.kind = asked.kind
                   AND r.key >= asked.first AND r.key < asked.behind
                 OFFSET 0) AS found",
        )
        .bind(places)
        .bind(instances)
        .bind(kinds)
        .bind(firsts)
        .bind(behinds)
        .fetch_all(&self.records.pool)
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_key_and_nothing_else() {
        let (first, behind) = only(b"ab");
        let holds = |key: &[u8]| first.as_slice() <= key && key < behind.as_slice();
        assert!(holds(b"ab") && !holds(b"ab\0") && !holds(b"aa") && !holds(b"b") && !holds(b"a"));
        let (first, behind) = beginning(&[255]);
        assert!(first.as_slice() <= [255, 255].as_slice() && [255, 255, 255].as_slice() < behind.as_slice());
    }
}
