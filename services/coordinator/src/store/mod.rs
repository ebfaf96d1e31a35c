//! What a coordinator keeps on disk: one redb file in its data folder.
//!
//! Kept: the vote, the log, and a snapshot of the state; whose they are (cluster and number), so that a folder is never used for
//! another coordinator. The state itself is in memory: the snapshot and the entries after it give it again.

mod log;
mod machine;

pub(crate) use log::Log;
pub(crate) use machine::Machine;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Serialize, de::DeserializeOwned};
use std::{path::Path, sync::Arc, time::Duration};
use warren_raft::wire::NodeId;

/// Entries by index.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
/// Everything of which there is one.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

const OWNER: &str = "owner";
const VOTE: &str = "vote";
const COMMITTED: &str = "committed";
const PURGED: &str = "purged";
const SNAPSHOT_META: &str = "snapshot_meta";
const SNAPSHOT: &str = "snapshot";

/// Memory for pages; the whole file is smaller as a rule.
const CACHE: usize = 16 << 20;
/// A process that ends may hold the file a little longer than its successor likes.
const OPEN_TRIES: u32 = 20;
const OPEN_PAUSE: Duration = Duration::from_millis(100);

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The folder cannot be made or read.
    #[error("the data folder cannot be used: {0}")]
    Folder(#[from] std::io::Error),
    /// Another process uses it.
    #[error("another process uses the data folder")]
    InUse,
    /// It belongs to another coordinator or another cluster.
    #[error("the data folder belongs to coordinator {node} of cluster `{cluster}`")]
    Foreign {
        /// The cluster that it belongs to.
        cluster: String,
        /// The coordinator that it belongs to.
        node: NodeId,
    },
    /// The file cannot be read or written.
    #[error("the store cannot be read or written: {0}")]
    Database(#[source] Box<redb::Error>),
    /// What is stored makes no sense.
    #[error("what is stored makes no sense: {0}")]
    Content(#[from] serde_json::Error),
    /// The process ends.
    #[error("the process ends")]
    Ending,
}

impl<E: Into<redb::Error>> From<E> for Failure
where
    E: DatabaseFailure,
{
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// The error types of redb.
pub(crate) trait DatabaseFailure {}
impl DatabaseFailure for redb::StorageError {}
impl DatabaseFailure for redb::TableError {}
impl DatabaseFailure for redb::TransactionError {}
impl DatabaseFailure for redb::CommitError {}
impl DatabaseFailure for redb::SetDurabilityError {}

/// The open file. Cheap to clone; clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    database: Arc<Database>,
}

/// Whose a file is.
#[derive(Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
struct Owner {
    cluster: String,
    node: NodeId,
}

impl Store {
    /// Opens the file in `folder`, and makes it if there is none.
    pub(crate) async fn open(folder: &Path, cluster: &str, node: NodeId) -> Result<Self, Failure> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("coordinator.redb");
        let mut tries = 1;
        let database = loop {
            let path = path.clone();
            let opened = blocking(move || Ok(Database::builder().set_cache_size(CACHE).create(path))).await?;
            match opened {
                Ok(database) => break database,
                Err(redb::DatabaseError::DatabaseAlreadyOpen) if tries < OPEN_TRIES => {
                    tries += 1;
                    tokio::time::sleep(OPEN_PAUSE).await;
                }
                Err(redb::DatabaseError::DatabaseAlreadyOpen) => return Err(Failure::InUse),
                Err(error) => return Err(Failure::Database(Box::new(error.into()))),
            }
        };
        let store = Self { database: Arc::new(database) };
        let owner = Owner { cluster: cluster.to_owned(), node };
        let known = store.write(Durability::Immediate, move |transaction| {
            transaction.open_table(LOG)?;
            let mut meta = transaction.open_table(META)?;
            let known = meta.get(OWNER)?.map(|known| serde_json::from_slice::<Owner>(known.value())).transpose()?;
            if known.is_none() {
                meta.insert(OWNER, serde_json::to_vec(&owner)?.as_slice())?;
            }
            Ok(known.unwrap_or(owner))
        });
        let known = known.await?;
        if (known.cluster.as_str(), known.node) != (cluster, node) {
            return Err(Failure::Foreign { cluster: known.cluster, node: known.node });
        }
        Ok(store)
    }

    /// Whether nothing was ever agreed on with this file.
    pub(crate) async fn is_pristine(&self) -> Result<bool, Failure> {
        self.read(|transaction| {
            let meta = transaction.open_table(META)?;
            let log = transaction.open_table(LOG)?;
            Ok(meta.get(VOTE)?.is_none() && meta.get(PURGED)?.is_none() && log.last()?.is_none())
        })
        .await
    }

    async fn get<T: DeserializeOwned + Send + 'static>(&self, key: &'static str) -> Result<Option<T>, Failure> {
        self.read(move |transaction| {
            let stored = transaction.open_table(META)?.get(key)?;
            Ok(stored.map(|stored| serde_json::from_slice(stored.value())).transpose()?)
        })
        .await
    }

    async fn put(&self, key: &'static str, value: &impl Serialize, durability: Durability) -> Result<(), Failure> {
        let value = serde_json::to_vec(value)?;
        self.write(durability, move |transaction| {
            transaction.open_table(META)?.insert(key, value.as_slice())?;
            Ok(())
        })
        .await
    }

    async fn read<T, F>(&self, read: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&redb::ReadTransaction) -> Result<T, Failure> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        blocking(move || read(&database.begin_read()?)).await
    }

    /// One transaction. When this returns, it is on disk, unless `durability` says that it need not be.
    async fn write<T, F>(&self, durability: Durability, write: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, Failure> + Send + 'static,
    {
        let database = Arc::clone(&self.database);
        blocking(move || {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(durability)?;
            let result = write(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }
}

/// The disk may take its time: not on the threads that everything else runs on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Failure::Ending))
}

#[cfg(test)]
mod tests;
