//! The state of the cluster: in memory, with a snapshot on disk.

use super::{META, SNAPSHOT, SNAPSHOT_META, Store};
use crate::{
    consensus::{Entry, LogId, Membership, Snapshot, SnapshotMeta, StorageError, Types},
    state::State,
};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, StorageIOError, storage::RaftStateMachine};
use redb::Durability;
use std::{io::Cursor, sync::Arc};
use tokio::sync::watch;

/// The state, as far as this coordinator has applied it.
pub(crate) struct Machine {
    current: Current,
    published: watch::Sender<Arc<State>>,
}

/// The state at one moment, and where it is kept.
#[derive(Clone)]
pub(crate) struct Current {
    store: Store,
    state: Arc<State>,
    applied: Option<LogId>,
    membership: Membership,
}

impl Machine {
    /// The state as the last snapshot has it.
    pub(crate) async fn load(store: Store) -> Result<Self, super::Failure> {
        let mut current = Current { store, state: Arc::default(), applied: None, membership: Membership::default() };
        if let Some((meta, data)) = current.stored().await? {
            current.state = serde_json::from_slice(&data)?;
            current.applied = meta.last_log_id;
            current.membership = meta.last_membership;
        }
        let published = watch::Sender::new(Arc::clone(&current.state));
        Ok(Self { current, published })
    }

    /// The state, always the latest that is applied here.
    pub(crate) fn published(&self) -> watch::Receiver<Arc<State>> {
        self.published.subscribe()
    }

    fn publish(&self) {
        self.published.send_replace(Arc::clone(&self.current.state));
    }
}

impl Current {
    async fn stored(&self) -> Result<Option<(SnapshotMeta, Vec<u8>)>, super::Failure> {
        self.store
            .read(|transaction| {
                let table = transaction.open_table(META)?;
                let (Some(meta), Some(data)) = (table.get(SNAPSHOT_META)?, table.get(SNAPSHOT)?) else { return Ok(None) };
                Ok(Some((serde_json::from_slice(meta.value())?, data.value().to_vec())))
            })
            .await
    }

    async fn keep(&self, meta: &SnapshotMeta, data: Vec<u8>) -> Result<(), StorageError> {
        let signature = meta.signature();
        let kept = async {
            let meta = serde_json::to_vec(meta)?;
            let written = self.store.write(Durability::Immediate, move |transaction| {
                let mut table = transaction.open_table(META)?;
                table.insert(SNAPSHOT_META, meta.as_slice())?;
                table.insert(SNAPSHOT, data.as_slice())?;
                Ok(())
            });
            written.await
        };
        Ok(kept.await.map_err(|failure: super::Failure| StorageIOError::write_snapshot(Some(signature), &failure))?)
    }
}

impl RaftSnapshotBuilder<Types> for Current {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let data = serde_json::to_vec(&self.state).map_err(|error| StorageIOError::read_state_machine(&error))?;
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: format!("{}-{:016x}", self.applied.map_or(0, |applied| applied.index), rand::random::<u64>()),
        };
        self.keep(&meta, data.clone()).await?;
        Ok(Snapshot { meta, snapshot: Box::new(Cursor::new(data)) })
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Current;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok((self.current.applied, self.current.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = 0;
        let state = Arc::make_mut(&mut self.current.state);
        for entry in entries {
            let index = entry.log_id.index;
            match entry.payload {
                EntryPayload::Blank => state.pass(index),
                EntryPayload::Normal(commands) => state.apply(index, &commands),
                EntryPayload::Membership(membership) => {
                    state.pass(index);
                    self.current.membership = Membership::new(Some(entry.log_id), membership);
                }
            }
            self.current.applied = Some(entry.log_id);
            applied += 1;
        }
        self.publish();
        Ok(vec![(); applied])
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.current.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Box<Cursor<Vec<u8>>>) -> Result<(), StorageError> {
        let data = snapshot.into_inner();
        let state = serde_json::from_slice(&data);
        let state = state.map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        self.current.keep(meta, data).await?;
        self.current.state = state;
        self.current.applied = meta.last_log_id;
        self.current.membership = meta.last_membership.clone();
        self.publish();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let stored = self.current.stored().await.map_err(|failure| StorageIOError::read_snapshot(None, &failure))?;
        Ok(stored.map(|(meta, data)| Snapshot { meta, snapshot: Box::new(Cursor::new(data)) }))
    }
}
