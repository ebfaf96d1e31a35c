//! What SQLite's errors mean here: wait, refuse the one write, or give up.

use rusqlite::ErrorCode;
use std::time::{Duration, Instant};
use warren_domain::Error;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// It will pass: locked, no space, an I/O error. Undo everything and try again.
    Passing,
    /// The file is damaged: trying again will not help.
    Damaged,
    /// The data (or the statement) is at fault: that write alone fails.
    Data,
}

/// The class of an error.
pub(crate) fn class(error: &rusqlite::Error) -> Class {
    let rusqlite::Error::SqliteFailure(failure, _) = error else { return Class::Data };
    match failure.code {
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::ReadOnly
        | ErrorCode::OperationInterrupted
        | ErrorCode::SystemIoFailure
        | ErrorCode::DiskFull
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::SchemaChanged => Class::Passing,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Class::Damaged,
        _ => Class::Data,
    }
}

/// Why a piece of work did not give its result.
#[derive(Debug)]
pub(crate) enum Stop {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// The answer is an error, and nothing was written before it was known.
    Verdict(Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Verdict(error)
    }
}

/// What the edge is told when the store did not answer in time; nothing was or will be written.
pub(crate) fn unavailable() -> Error {
    Error::unavailable("The store does not answer now; try again.")
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
    pub(crate) fn pause(&mut self, error: &rusqlite::Error) {
        if self.waited() >= Duration::from_secs(1) && self.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY) {
            tracing::warn!(error = %error, waited_ms = self.waited().as_millis(), "the store waits for a passing condition");
            self.warned = Some(Instant::now());
        }
        std::thread::sleep(self.pause);
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
