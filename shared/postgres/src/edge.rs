//! How the edge comes to the store: a bounded pool, a deadline, and transactions whose end is never guessed.
//!
//! Work is given as a closure that makes a future, and is run again while a condition passes that surely left nothing behind:
//! a statement that failed outside of a commit has done nothing, because every write is inside of a transaction. A commit
//! whose reply was lost is not run again, and the caller is told that the outcome is not known.

use crate::Postgres;
use crate::failure::{Class, Patience, Stop, class, closed, in_doubt, unavailable};
use sqlx::{PgConnection, PgPool, Transaction};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use warren_domain::{Error, Result, Timestamp};

/// How long the edge waits for the store.
pub(crate) const EDGE_DEADLINE: Duration = Duration::from_secs(10);

/// An open write transaction; undone when it is dropped.
pub(crate) struct Tx {
    inner: Transaction<'static, sqlx::Postgres>,
    /// When it began, by the store's clock.
    pub(crate) now: Timestamp,
}

impl Tx {
    /// Commits durably.
    pub(crate) async fn commit(self) -> Result<(), Stop> {
        match self.inner.commit().await {
            Ok(()) => Ok(()),
            // A refusal is an answer: it was undone.
            Err(error) if class(&error) == Class::Broken => Err(Stop::Verdict(in_doubt().with_source(error))),
            Err(error) => Err(Stop::Sql(error)),
        }
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}

impl Postgres {
    /// Begins a write transaction, inside of work that [`Postgres::writing`] runs.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(Tx { inner: self.pool().begin().await?, now: self.now() })
    }

    /// Runs work that reads, on [`Postgres::pool`]. `Unavailable` if the store does not answer in ten seconds.
    pub(crate) async fn reading<T, F, Fut>(&self, work: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Stop>>,
    {
        attempts(work, unavailable).await
    }

    /// Runs work that writes, in a transaction of [`Postgres::begin`]. `Unavailable` if the store did not answer in ten
    /// seconds and nothing was written; `Timeout` if that is not known.
    pub(crate) async fn writing<T, F, Fut>(&self, work: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, Stop>>,
    {
        attempts(work, in_doubt).await
    }

    /// The pool of the edge and of all reads.
    pub(crate) fn pool(&self) -> &PgPool {
        self.edge_pool()
    }
}

async fn attempts<T, F, Fut>(mut work: F, cut_off: fn() -> Error) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Stop>>,
{
    let mut patience = Patience::new();
    loop {
        let left = EDGE_DEADLINE.saturating_sub(patience.waited());
        let error = match tokio::time::timeout(left, work()).await {
            Err(_) => return Err(cut_off()),
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(Stop::Verdict(error))) => return Err(error),
            Ok(Err(Stop::Sql(sqlx::Error::PoolClosed))) => return Err(closed()),
            Ok(Err(Stop::Sql(error))) => error,
        };
        match class(&error) {
            Class::Data => return Err(Error::internal(error)),
            Class::Passing | Class::Broken if patience.waited() + PATIENCE_LEFT > EDGE_DEADLINE => return Err(unavailable()),
            Class::Passing | Class::Broken => patience.pause(&error).await,
        }
    }
}

/// With less than this left, another try is not begun.
const PATIENCE_LEFT: Duration = Duration::from_millis(200);
