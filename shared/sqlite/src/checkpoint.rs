//! Moves the write-ahead log into the database file, away from the lane.
//!
//! The lane's connection never checkpoints. This thread does, at most twice a second while there are commits: `PASSIVE`
//! (waits for nobody), and `TRUNCATE` once the log is large, so that a log under steady load ends at all. The truncating
//! run holds the write lock, but little is left to copy by then and it gives up after [`LOCK_WAIT`].

use rusqlite::Connection;
use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(500);
/// Frames (pages) in the log after which it is cut: 64 MiB of 4 KiB pages.
const LARGE: i64 = 16_384;
/// How long a truncating run may wait for readers and the writer.
pub(crate) const LOCK_WAIT: Duration = Duration::from_millis(100);

/// Tells the thread that something was committed. The thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Trigger {
    commits: SyncSender<()>,
    /// Nothing is ever sent: its end is the signal.
    _life: SyncSender<Infallible>,
}

impl Trigger {
    /// Something was committed.
    pub(crate) fn committed(&self) {
        match self.commits.try_send(()) {
            // Full: it knows already. Disconnected: the store is closing, the last connection checkpoints.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }
}

/// Starts the thread.
pub(crate) fn start(conn: Connection) -> std::io::Result<(Trigger, JoinHandle<()>)> {
    let (trigger, commits) = sync_channel(1);
    let (life, end) = sync_channel(1);
    let thread = std::thread::Builder::new().name("sqlite-checkpoint".into()).spawn(move || run(&conn, &commits, &end))?;
    Ok((Trigger { commits: trigger, _life: life }, thread))
}

fn run(conn: &Connection, commits: &Receiver<()>, end: &Receiver<Infallible>) {
    while commits.recv().is_ok() {
        // A pause first: many commits share one run. One that comes meanwhile leaves its signal for the next round.
        if end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        if let Err(error) = checkpoint(conn) {
            tracing::warn!(error = %error, "a checkpoint failed; the log grows until one succeeds");
        }
    }
}

fn checkpoint(conn: &Connection) -> rusqlite::Result<()> {
    let frames: i64 = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    if frames > LARGE {
        // Busy is fine: the next round tries again.
        conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    Ok(())
}
