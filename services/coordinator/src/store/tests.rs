//! openraft's own suite, and what it does not ask for.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{
    command::Command,
    consensus::{Entry, LogId, StorageError, Types, Vote},
};
use openraft::{
    CommittedLeaderId, EntryPayload, RaftLogReader as _, RaftSnapshotBuilder as _,
    storage::{RaftLogStorage as _, RaftLogStorageExt as _, RaftStateMachine as _},
    testing::{StoreBuilder, Suite},
};
use tempfile::TempDir;
use warren_ports::lease::Incarnation;

struct Builder;

impl StoreBuilder<Types, Log, Machine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log, Machine), StorageError> {
        let folder = tempfile::tempdir().unwrap();
        let (log, machine) = open(folder.path()).await;
        Ok((folder, log, machine))
    }
}

async fn open(folder: &Path) -> (Log, Machine) {
    let store = Store::open(folder, "c", 1).await.unwrap();
    (Log::new(store.clone()), Machine::load(store).await.unwrap())
}

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

fn entry(index: u64) -> Entry {
    let join = Command::Join { worker: format!("w{index}").into(), incarnation: Incarnation(index), weight: 1 };
    Entry { log_id: id(1, index), payload: EntryPayload::Normal(vec![join]) }
}

#[test]
fn passes_the_suite_of_openraft() {
    Suite::test_all(Builder).unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, mut machine) = open(folder.path()).await;
    assert!(log.store.is_pristine().await.unwrap());
    log.save_vote(&Vote::new(3, 1)).await.unwrap();
    log.blocking_append((1..=10).map(entry)).await.unwrap();
    machine.apply((1..=6).map(entry)).await.unwrap();
    machine.get_snapshot_builder().await.build_snapshot().await.unwrap();
    machine.apply((7..=8).map(entry)).await.unwrap();
    log.save_committed(Some(id(1, 8))).await.unwrap();
    log.purge(id(1, 4)).await.unwrap();
    log.truncate(id(1, 10)).await.unwrap();
    drop((log, machine));

    let (mut log, mut machine) = open(folder.path()).await;
    assert!(!log.store.is_pristine().await.unwrap());
    assert_eq!(log.read_vote().await.unwrap(), Some(Vote::new(3, 1)));
    assert_eq!(log.read_committed().await.unwrap(), Some(id(1, 8)));
    let state = log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(1, 4)), Some(id(1, 9))));
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), (5..=9).map(entry).collect::<Vec<_>>());
    assert_eq!(machine.applied_state().await.unwrap().0, Some(id(1, 6)), "the snapshot");
    machine.apply((7..=8).map(entry)).await.unwrap();
    assert_eq!(machine.published().borrow().members().len(), 8);
}

#[tokio::test]
async fn a_folder_is_one_coordinators() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path(), "c", 1).await.unwrap();
    assert!(matches!(Store::open(folder.path(), "c", 1).await, Err(Failure::InUse)));
    drop(first);
    for (cluster, node) in [("c", 2), ("d", 1)] {
        let refused = Store::open(folder.path(), cluster, node).await.err().unwrap();
        assert_eq!(refused.to_string(), "the data folder belongs to coordinator 1 of cluster `c`");
    }
    Store::open(folder.path(), "c", 1).await.unwrap();
}
