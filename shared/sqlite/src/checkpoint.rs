//! Moves the write-ahead log into the database file, away from the lane.
//!
//! The lane's connection never checkpoints. This thread does, at most twice a second while there are commits: `PASSIVE`, which
//! waits for nobody. Under a steady load that never catches up with the lane, so once the log is large a `FULL` one, which
//! holds the write lock, copies the rest, and the lane's next write starts the log anew, over the same blocks of the file.
//!
//! What made that stall the lane for a tenth of a second was the sync of the database file: SQLite does it only where a
//! checkpoint reaches the log's end, so all that the passive runs had copied was synced under the lock. This thread syncs
//! the file itself, before.

use rusqlite::Connection;
use std::convert::Infallible;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

const PERIOD: Duration = Duration::from_millis(500);
/// Frames (pages) in the log after which it is started anew: 32 MiB of 4 KiB pages.
const LARGE: i64 = 8_192;
/// How long a full run may wait for the write lock.
pub(crate) const LOCK_WAIT: Duration = Duration::from_millis(50);

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
pub(crate) fn start(conn: Connection, database: &Path) -> std::io::Result<(Trigger, JoinHandle<()>)> {
    let (trigger, commits) = sync_channel(1);
    let (life, end) = sync_channel(1);
    // Never closed: closing any descriptor of a file drops the process's POSIX locks on it, SQLite's own among them.
    let database = ManuallyDrop::new(File::open(database)?);
    let work = move || run(&conn, &database, &commits, &end);
    let thread = std::thread::Builder::new().name("sqlite-checkpoint".into()).spawn(work)?;
    Ok((Trigger { commits: trigger, _life: life }, thread))
}

fn run(conn: &Connection, database: &File, commits: &Receiver<()>, end: &Receiver<Infallible>) {
    while commits.recv().is_ok() {
        // A pause first: many commits share one run. One that comes meanwhile leaves its signal for the next round.
        if end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        if let Err(error) = checkpoint(conn, database) {
            tracing::warn!(%error, "a checkpoint failed; the log grows until one succeeds");
        }
    }
}

fn checkpoint(conn: &Connection, database: &File) -> Result<(), Box<dyn std::error::Error>> {
    let passive = || conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(1));
    if passive()? > LARGE {
        database.sync_data()?;
        // What came meanwhile, so that little is left for the lock.
        passive()?;
        database.sync_data()?;
        // Busy is fine: the next round tries again.
        conn.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?;
    }
    Ok(())
}
