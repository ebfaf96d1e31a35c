//! What Postgres's errors mean here: wait, refuse the one write, or give up.

use sqlx::Error as SqlError;
use std::time::{Duration, Instant};
use warren_domain::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It will pass, and the connection is whole: a lock, a deadlock, a timeout. Undo everything and try again.
    Passing,
    /// It will pass, and the connection is of no use any more: the server is away or restarts, or is not the primary.
    Broken,
    /// The data (or the statement) is at fault: that write alone fails.
    Data,
}

/// The class of an error.
pub(crate) fn class(error: &SqlError) -> Class {
    match error {
        SqlError::Database(error) => error.code().map_or(Class::Data, |code| class_of(&code)),
        SqlError::Io(_)
        | SqlError::Tls(_)
        | SqlError::Protocol(_)
        | SqlError::PoolTimedOut
        | SqlError::PoolClosed
        | SqlError::WorkerCrashed
        | SqlError::BeginFailed => Class::Broken,
        _ => Class::Data,
    }
}

/// The class of an SQLSTATE.
fn class_of(code: &str) -> Class {
    match code {
        // A cached plan that a migration has made void, a statement that a pooler has lost, a primary that became a standby:
        // a new connection knows better.
        "0A000" | "26000" | "25006" => Class::Broken,
        // Ended by the server: too long idle inside a transaction.
        "25P03" => Class::Broken,
        // Lock not available, statement timeout, no partition yet for the position (the lane adds it).
        "55P03" | "57014" | NO_PARTITION => Class::Passing,
        _ => match code.get(..2) {
            // Rolled back: serialization, deadlock.
            Some("40") => Class::Passing,
            // Disk full, out of memory.
            Some("53") if code != TOO_MANY_CONNECTIONS => Class::Passing,
            // Connection, credentials, no such database, shutting down or starting, the system beneath.
            Some("08" | "28" | "3D" | "53" | "57" | "58") => Class::Broken,
            _ => Class::Data,
        },
    }
}

const TOO_MANY_CONNECTIONS: &str = "53300";
/// Check violation, which is what an event without a partition is.
const NO_PARTITION: &str = "23514";

/// Whether a statement took longer than it may.
pub(crate) fn is_timeout(error: &SqlError) -> bool {
    matches!(error, SqlError::Database(error) if error.code().as_deref() == Some("57014"))
}

/// Whether an event had no partition to go to.
pub(crate) fn lacks_partition(error: &SqlError) -> bool {
    matches!(error, SqlError::Database(error) if error.code().as_deref() == Some(NO_PARTITION))
}

/// Why a piece of work did not give its result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Postgres refused.
    Sql(SqlError),
    /// The answer is an error, and nothing of it stays written.
    Verdict(Error),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Verdict(error)
    }
}

/// An error for a value that no version of this crate wrote.
pub(crate) fn corrupt(column: usize) -> SqlError {
    SqlError::ColumnDecode { index: column.to_string(), source: "the value is none that Warren wrote".into() }
}

/// What the edge is told when the store did not answer in time; nothing was or will be written.
pub(crate) fn unavailable() -> Error {
    Error::unavailable("The store does not answer now; try again.")
}

/// What the edge is told when the connection broke while it committed.
pub(crate) fn in_doubt() -> Error {
    let detail = "The store took too long; whether it took effect is not known.";
    Error::new(warren_domain::ErrorKind::Timeout, "store_timeout", detail)
}

/// What callers are told after the store was closed.
pub(crate) fn closed() -> Error {
    Error::unavailable("The store is closed; this process is about to end.")
}

/// Growing pauses between tries, 2 ms to 100 ms, and one warning every ten seconds of waiting.
pub(crate) struct Patience {
    since: Instant,
    pause: Duration,
    warned: Option<Instant>,
}

const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(100);
const WARN_AFTER: Duration = Duration::from_secs(1);
const WARN_EVERY: Duration = Duration::from_secs(10);

impl Patience {
    /// Starts to wait.
    pub(crate) fn new() -> Self {
        Self { since: Instant::now(), pause: FIRST_PAUSE, warned: None }
    }

    /// How long it has been.
    pub(crate) fn waited(&self) -> Duration {
        self.since.elapsed()
    }

    /// Sleeps a little longer than last time.
    pub(crate) async fn pause(&mut self, error: &SqlError) {
        if self.waited() >= WARN_AFTER && self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            tracing::warn!(%error, waited_ms = self.waited().as_millis(), "the store waits for a passing condition");
            self.warned = Some(Instant::now());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if self.warned.is_some() {
            tracing::info!(waited_ms = self.waited().as_millis(), "the store goes on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for_and_what_does_not_is_refused() {
        for code in ["40001", "40P01", "55P03", "57014", "53100", "53200"] {
            assert_eq!(class_of(code), Class::Passing, "{code}");
        }
        for code in ["08006", "57P01", "57P02", "57P03", "53300", "25006", "25P03", "58030", "28P01"] {
            assert_eq!(class_of(code), Class::Broken, "{code}");
        }
        for code in ["23505", "22021", "42601", "XX001"] {
            assert_eq!(class_of(code), Class::Data, "{code}");
        }
    }
}
