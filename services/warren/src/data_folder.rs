//! The data folder: private to its owner, and one process at a time.

use crate::failure::Failure;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "warren.lock";

/// The folder's lock (`flock`): held as long as this lives, and given back by the operating system however the process ends.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    _lock: File,
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another process holds it; its id if it wrote one.
    #[error("the data folder {} is in use by another process{}; stop that one, or use another folder", folder.display(), of(holder.as_deref()))]
    Held { folder: PathBuf, holder: Option<String> },
    /// The folder cannot be made or written.
    #[error("the data folder {} cannot be used: {source}", folder.display())]
    Unusable { folder: PathBuf, source: std::io::Error },
}

fn of(holder: Option<&str>) -> String {
    holder.map(|id| format!(" (process {id})")).unwrap_or_default()
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Held { .. } => Self::held(refused),
            Refused::Unusable { .. } => Self::config(refused),
        }
    }
}

impl DataFolder {
    /// Makes the folder if there is none, and takes its lock.
    pub(crate) fn take(folder: &Path) -> Result<Self, Refused> {
        let unusable = |source| Refused::Unusable { folder: folder.to_owned(), source };
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        }
        let path = folder.join(LOCK);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut lock = options.map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Refused::Held { folder: folder.to_owned(), holder: holder(&mut lock) });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
        // For people only; nobody trusts it.
        let _ = lock.set_len(0).and_then(|()| write!(lock, "{}", std::process::id()));
        Ok(Self { path: folder.to_owned(), _lock: lock })
    }

    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn holder(lock: &mut File) -> Option<String> {
    let mut text = String::new();
    lock.take(16).read_to_string(&mut text).ok()?;
    text.parse::<u32>().ok().map(|id| id.to_string())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("deep/data");
        let first = DataFolder::take(&folder).unwrap();
        assert_eq!(std::fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let line = DataFolder::take(&folder).unwrap_err().to_string();
        assert!(line.contains(&format!("process {}", std::process::id())), "{line}");
        drop(first);
        DataFolder::take(&folder).unwrap();
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(DataFolder::take(file.path()), Err(Refused::Unusable { .. })));
    }
}
