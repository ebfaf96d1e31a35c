//! A folder of this machine: one process at a time, readable for its owner only.

use crate::storage::{ObjectStorage, OpenError};
use object_store::local::LocalFileSystem;
use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

/// How much is written at once, bytes; each upload holds one piece in memory.
const PIECE: usize = 512 * 1024;

impl ObjectStorage {
    /// The files of a folder; made with mode 0700 if it is absent. One process a folder: the caller holds a lock.
    ///
    /// # Errors
    /// The folder cannot be made, read or written.
    pub async fn folder(path: &Path) -> Result<Self, OpenError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&path));
        opened.await.unwrap_or_else(|error| Err(OpenError::Folder(io::Error::other(error))))
    }
}

fn open(path: &Path) -> Result<ObjectStorage, OpenError> {
    prepare(path).map_err(OpenError::Folder)?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(OpenError::Bucket)?.with_fsync(true);
    Ok(ObjectStorage::new(Arc::new(store), PIECE))
}

fn prepare(path: &Path) -> io::Result<()> {
    if !path.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for tenant in fs::read_dir(path)? {
        let tenant = tenant?;
        if tenant.file_type()?.is_dir() {
            remove_halves(&tenant.path())?;
        }
    }
    Ok(())
}

/// `object_store` writes to `name#number` and renames: what still has such a name was never finished.
fn remove_halves(folder: &Path) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_name().to_string_lossy().contains('#') {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}
