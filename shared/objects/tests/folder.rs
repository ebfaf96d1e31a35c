//! The contract over a folder, and what only a folder shows.

#![expect(clippy::unwrap_used, reason = "tests")]

use async_trait::async_trait;
use futures::{StreamExt, stream};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;
use warren_domain::{Error, MediaId, Result, TenantId};
use warren_objects::ObjectStorage;
use warren_ports::objects::{Bytestream, ObjectName, Objects, Stored};

struct Folder {
    objects: ObjectStorage,
    dir: TempDir,
}

#[async_trait]
impl Objects for Folder {
    async fn put(&self, name: ObjectName, bytes: Bytestream) -> Result<Stored> {
        self.objects.put(name, bytes).await
    }

    async fn get(&self, name: ObjectName, from: u64) -> Result<Option<Bytestream>> {
        self.objects.get(name, from).await
    }

    async fn delete(&self, name: ObjectName) -> Result<()> {
        self.objects.delete(name).await
    }
}

async fn folder() -> Folder {
    let dir = tempfile::tempdir().unwrap();
    let objects = ObjectStorage::folder(&dir.path().join("media")).await.unwrap();
    Folder { objects, dir }
}

warren_ports::objects_contract!(folder());

fn name() -> ObjectName {
    ObjectName { tenant: TenantId::generate(), media: MediaId::generate() }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

const MEGABYTE: &[u8] = &[7; 1024 * 1024];

#[tokio::test]
async fn only_the_owner_can_read_it() {
    let folder = folder().await;
    let mode = fs::metadata(folder.dir.path().join("media")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_broken_off_write_leaves_no_file() {
    let folder = folder().await;
    let broken = stream::iter([Ok(MEGABYTE.into()), Ok(MEGABYTE.into()), Err(Error::unavailable("gone"))]);
    folder.put(name(), broken.boxed()).await.unwrap_err();
    assert_eq!(files(folder.dir.path()), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_nobody_waits_for_leaves_no_file() {
    let folder = folder().await;
    let endless = stream::iter([Ok(MEGABYTE.into()), Ok(MEGABYTE.into())]).chain(stream::pending());
    let mut writing = folder.put(name(), endless.boxed());
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while files(folder.dir.path()).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "it never began");
        let _ = tokio::time::timeout(Duration::from_millis(5), &mut writing).await;
    }
    drop(writing);
    while !files(folder.dir.path()).is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "its file stays");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_at_the_next_start() {
    let folder = folder().await;
    let kept = name();
    folder.put(kept, stream::iter([Ok("whole".into())]).boxed()).await.unwrap();
    let media = folder.dir.path().join("media");
    let half = media.join(kept.tenant.to_string()).join(format!("{}#1", MediaId::generate()));
    fs::write(&half, "hal").unwrap();
    let again = ObjectStorage::folder(&media).await.unwrap();
    assert!(!half.exists());
    assert!(again.get(kept, 0).await.unwrap().is_some());
}
