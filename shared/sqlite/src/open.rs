//! Opening the store: the folder, the file, its schema, its identity, its threads.

use crate::checkpoint;
use crate::failure::Stop;
use crate::readers::Readers;
use crate::transaction::Tx;
use crate::writer::{Setup, Writer};
use crate::{meta, migrations};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use warren_domain::time::Clock;
use warren_domain::{Network, Result, ShardCount};

/// The file's name in the data folder.
const FILE: &str = "warren.db";
/// How long SQLite itself waits for a lock; beyond it the lane waits in its own way.
const BUSY: Duration = Duration::from_millis(100);
/// How long opening waits for a lock: an earlier process may still be ending.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// Statements kept prepared on a connection: more than there are.
const STATEMENTS: usize = 256;

/// Is told about every commit of the lane.
pub trait CommitObserver: Send + Sync {
    /// `items` writes were committed together; it took this long from the first try on.
    fn committed(&self, items: usize, took: Duration);
}

/// What a store is opened with.
pub struct Options {
    /// The data folder; made if it is absent, readable for its owner only.
    pub dir: PathBuf,
    /// Which network's accounts it holds.
    pub network: Network,
    /// How many shards there are.
    pub shard_count: ShardCount,
    /// Whether pending migrations are applied (an empty store has all pending).
    pub migrate: bool,
    /// Reader threads; 4 by default, at least 1.
    pub readers: usize,
    /// Where the store's own times come from.
    pub clock: Arc<dyn Clock>,
    /// Who is told about commits.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl Options {
    /// Options for a data folder, with 1,024 shards, 4 readers, migrations allowed, and the machine's clock.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, network: Network) -> Self {
        Self {
            dir: dir.into(),
            network,
            shard_count: ShardCount::default(),
            migrate: true,
            readers: 4,
            clock: Arc::new(warren_domain::time::SystemClock),
            observer: None,
        }
    }
}

/// Why a store did not open. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It belongs to the other network, or to another simulator.
    #[error("this store belongs to the network {stored} and was opened for {asked}: use another data folder")]
    OtherNetwork {
        /// The store's.
        stored: String,
        /// The one asked for.
        asked: String,
    },
    /// It was made with another number of shards.
    #[error("this store was made with {stored} shards and was opened with {asked}: the count is fixed for ever")]
    OtherShardCount {
        /// The store's.
        stored: String,
        /// The one asked for.
        asked: u16,
    },
    /// It was made with another hash of instances to shards.
    #[error("this store places instances by {stored}, which this binary does not know")]
    OtherShardHash {
        /// The store's.
        stored: String,
    },
    /// It has a migration that this binary does not know.
    #[error("this store has migration {found} and this binary knows {known}: use a newer binary")]
    Newer {
        /// The store's.
        found: i64,
        /// The last that is known.
        known: i64,
    },
    /// Migrations are pending and were not allowed.
    #[error("{count} migrations are pending: run `warren migrate` first")]
    Pending {
        /// How many.
        count: usize,
    },
    /// A migration was applied with another text.
    #[error("migration {version} was applied to this store with another text than this binary has")]
    Edited {
        /// Which one.
        version: i64,
    },
    /// The file is something else.
    #[error("the file is not a Warren database")]
    NotWarren,
    /// The folder or the file cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    NotWritable {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(io::Error),
    /// SQLite refused.
    #[error("the store does not open: {0}")]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::NotWarren,
            _ => Self::Sqlite(error),
        }
    }
}

/// The ledger in one SQLite file. A cheap handle; clones share the threads, which end when the last one is dropped.
#[derive(Clone)]
pub struct Sqlite {
    inner: Arc<Inner>,
}

struct Inner {
    writer: Writer,
    readers: Readers,
    checkpoints: Mutex<Option<JoinHandle<()>>>,
    log: u64,
    shards: ShardCount,
    path: PathBuf,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the store in the folder, or makes one. One process a folder: the caller holds the folder's lock.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was changed then, except that migrations may have been applied.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        tokio::task::spawn_blocking(move || open(options))
            .await
            .unwrap_or_else(|error| Err(OpenError::Thread(io::Error::other(error))))
    }

    /// Commits what is queued, moves the log into the file, and ends the threads. Later calls are refused with
    /// `Unavailable`. Dropping every handle does the same without waiting.
    pub async fn close(&self) {
        self.inner.writer.close().await;
        let checkpoints = self.inner.checkpoints.lock().ok().and_then(|mut thread| thread.take());
        if let Some(checkpoints) = checkpoints {
            // It ends with the writer, which held its trigger. A panic of it was reported where it happened.
            let _ = tokio::task::spawn_blocking(move || checkpoints.join()).await;
        }
        self.inner.readers.close().await;
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn log(&self) -> u64 {
        self.inner.log
    }

    pub(crate) fn shards(&self) -> ShardCount {
        self.inner.shards
    }

    /// One more connection that only reads, for work that takes as long as it takes.
    pub(crate) fn long_reader(&self) -> rusqlite::Result<Connection> {
        reader(&self.inner.path)
    }

    /// See [`Readers::read`].
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&Connection) -> Result<T, Stop> + Send + 'static,
    {
        self.inner.readers.read(work).await
    }

    /// See [`Writer::edge`].
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, Stop> + Send + 'static,
    {
        self.inner.writer.edge(work).await
    }
}

fn open(options: Options) -> Result<Sqlite, OpenError> {
    let path = options.dir.join(FILE);
    if !options.migrate && !path.exists() {
        return Err(OpenError::Pending { count: migrations::count() });
    }
    prepare_file(&options.dir, &path)?;
    let conn = connect(&path)?;
    conn.busy_timeout(OPEN_WAIT)?;
    if conn.is_readonly(rusqlite::MAIN_DB)? {
        return Err(OpenError::NotWritable { path, source: io::ErrorKind::PermissionDenied.into() });
    }
    // The migrations look whose file it is before anything is written to it, the mode of its log included.
    migrations::settle(&conn, options.clock.now(), options.migrate)?;
    let log = meta::settle_identity(&conn, options.network, options.shard_count)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 134217728; PRAGMA cache_size = -32000;",
    )?;

    conn.busy_timeout(BUSY)?;

    let readers = (0..options.readers.max(1)).map(|_| reader(&path)).collect::<Result<Vec<_>, _>>()?;
    let checkpointer = connect(&path)?;
    checkpointer.busy_timeout(checkpoint::LOCK_WAIT)?;
    let (checkpoints, thread) = checkpoint::start(checkpointer, &path).map_err(OpenError::Thread)?;
    let setup = Setup { conn, clock: options.clock, shards: options.shard_count, observer: options.observer, checkpoints };
    let inner = Inner {
        writer: Writer::start(setup).map_err(OpenError::Thread)?,
        readers: Readers::start(readers).map_err(OpenError::Thread)?,
        checkpoints: Mutex::new(Some(thread)),
        log,
        shards: options.shard_count,
        path,
    };
    Ok(Sqlite { inner: Arc::new(inner) })
}

/// Makes folder and file before SQLite does, so that nobody else can ever read them; its log gets the file's mode.
fn prepare_file(dir: &Path, path: &Path) -> Result<(), OpenError> {
    let refused = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::NotWritable { path, source }
    };
    if !dir.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refused(dir))?;
    }
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(refused(path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(refused(path))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // No mutex: each connection lives on one thread. No URI: a folder's name is only a name.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    // Without this guarantee of stable plans, SQLite prepares statements again whenever another value is bound that might
    // change the plan: a fifth of a read's cost.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
    )?;
    Ok(conn)
}

fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = connect(path)?;
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -4000;")?;
    Ok(conn)
}
