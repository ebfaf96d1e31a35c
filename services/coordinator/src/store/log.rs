//! The log and the vote.

use super::{COMMITTED, LOG, META, PURGED, Store, VOTE};
use crate::consensus::{Entry, LogId, StorageError, Types, Vote};
use openraft::{
    LogState, OptionalSend, RaftLogId as _, RaftLogReader, StorageIOError,
    storage::{LogFlushed, RaftLogStorage},
};
use redb::{Durability, ReadableTable as _};
use std::{fmt::Debug, io, ops::RangeBounds};

/// The log of one coordinator. Cheap to clone; clones read the same.
#[derive(Clone)]
pub(crate) struct Log {
    pub(super) store: Store,
}

impl Log {
    pub(crate) fn new(store: Store) -> Self {
        Self { store }
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
        let entries = self.store.read(move |transaction| {
            let log = transaction.open_table(LOG)?;
            let mut entries = Vec::new();
            for stored in log.range::<u64>(bounds)? {
                entries.push(serde_json::from_slice(stored?.1.value())?);
            }
            Ok(entries)
        });
        Ok(entries.await.map_err(|failure| StorageIOError::read_logs(&failure))?)
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let state = self.store.read(|transaction| {
            let purged = transaction.open_table(META)?.get(PURGED)?;
            let purged = purged.map(|stored| serde_json::from_slice(stored.value())).transpose()?;
            let log = transaction.open_table(LOG)?;
            let last = log.last()?;
            let last = last.map(|(_, stored)| serde_json::from_slice::<Entry>(stored.value())).transpose()?;
            Ok(LogState { last_purged_log_id: purged, last_log_id: last.map(|entry| *entry.get_log_id()).or(purged) })
        });
        Ok(state.await.map_err(|failure| StorageIOError::read_logs(&failure))?)
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let saved = self.store.put(VOTE, vote, Durability::Immediate).await;
        Ok(saved.map_err(|failure| StorageIOError::write_vote(&failure))?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.store.get(VOTE).await.map_err(|failure| StorageIOError::read_vote(&failure))?)
    }

    /// Only saves the way back to where the state was: it goes to disk with whatever is written next.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let saved = self.store.put(COMMITTED, &committed, Durability::None).await;
        Ok(saved.map_err(|failure| StorageIOError::write(&failure))?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        let committed = self.store.get::<Option<LogId>>(COMMITTED).await;
        Ok(committed.map_err(|failure| StorageIOError::read(&failure))?.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let encode = |entry: Entry| Ok::<_, serde_json::Error>((entry.get_log_id().index, serde_json::to_vec(&entry)?));
        let encoded: Result<Vec<_>, _> = entries.into_iter().map(encode).collect();
        let encoded = encoded.map_err(|error| StorageIOError::write_logs(&error))?;
        let written = self.store.write(Durability::Immediate, move |transaction| {
            let mut log = transaction.open_table(LOG)?;
            for (index, entry) in encoded {
                log.insert(index, entry.as_slice())?;
            }
            Ok(())
        });
        let written = written.await;
        // Only now, after the sync.
        callback.log_io_completed(written.map_err(io::Error::other));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let truncated = self.store.write(Durability::Immediate, move |transaction| {
            transaction.open_table(LOG)?.retain_in(log_id.index.., |_, _| false)?;
            Ok(())
        });
        Ok(truncated.await.map_err(|failure| StorageIOError::write_logs(&failure))?)
    }

    /// Nothing is lost if it is not on disk yet: what is purged is in a snapshot that is.
    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let purged = self.store.write(Durability::None, move |transaction| {
            transaction.open_table(META)?.insert(PURGED, serde_json::to_vec(&log_id)?.as_slice())?;
            transaction.open_table(LOG)?.retain_in(..=log_id.index, |_, _| false)?;
            Ok(())
        });
        Ok(purged.await.map_err(|failure| StorageIOError::write_logs(&failure))?)
    }
}
