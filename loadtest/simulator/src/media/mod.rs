//! The media host: encrypted files of clients and phones, taken by upload, given by path. The server cannot read them,
//! except for profile pictures, which are not encrypted.
//!
//! Kept: the files, in one folder, named by kind and by the hash of the encrypted bytes, which is also the token in the
//! URL. The total is bounded; the oldest go first. Without a data directory the folder is a temporary one.

mod body;
pub(crate) mod fault;
mod host;
pub(crate) mod http;
mod seal;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rand::Rng as _;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub(crate) use fault::Faults;
pub(crate) use host::Host;
pub(crate) use seal::{Pattern, Sealed};

/// The largest file, in bytes.
pub(crate) const FILE_LIMIT: u64 = 128 * 1024 * 1024;
/// Uploads in progress, and files being encrypted for people, at a time.
const WRITERS: usize = 32;
/// Uploads that were cut off and can be gone on with.
const PARTIALS: usize = 64;
/// Where the files are, inside the data directory.
const FOLDER: &str = "media";
/// The kind of profile pictures; the others are those of `wacore::download::MediaType::mms_type`.
pub(crate) const PICTURE: &str = "pp";

/// Why a file cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the media store: {0}")]
    Io(#[from] io::Error),
    #[error("a file has at most {FILE_LIMIT} bytes")]
    TooLarge,
    #[error("the bytes do not have the hash that names them")]
    WrongHash,
    #[error("no such file (any more)")]
    Missing,
    #[error("the media cannot be encrypted: {0}")]
    Encryption(String),
}

/// A file's name: what it is, and the URL-safe Base64 of its SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    kind: String,
    token: String,
}

impl Name {
    /// `None` when it is not what a client of WhatsApp asks for; nothing else gets near the file system.
    pub(crate) fn new(kind: &str, token: &str) -> Option<Self> {
        let kind_fits = (1..=32).contains(&kind.len()) && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let token_fits = BASE64_URL_SAFE_NO_PAD.decode(token).is_ok_and(|hash| hash.len() == 32);
        (kind_fits && token_fits).then(|| Self { kind: kind.to_owned(), token: token.to_owned() })
    }

    fn of_hash(kind: &str, hash: &[u8; 32]) -> Self {
        Self { kind: kind.to_owned(), token: BASE64_URL_SAFE_NO_PAD.encode(hash) }
    }

    /// From a direct path, with or without a query behind it.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let (kind, file) = path.strip_prefix("/v/")?.split_once('/')?;
        Self::new(kind, file.strip_suffix(".enc")?)
    }

    fn of_file(name: &str) -> Option<Self> {
        let (kind, token) = name.split_once('.')?;
        Self::new(kind, token)
    }

    /// Where clients get it, on whichever host of ours.
    pub(crate) fn direct_path(&self) -> String {
        format!("/v/{}/{}.enc", self.kind, self.token)
    }

    fn file(&self) -> String {
        format!("{}.{}", self.kind, self.token)
    }
}

/// One stored file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Stored {
    pub(crate) direct_path: String,
    pub(crate) size: u64,
}

#[derive(Default)]
struct Index {
    files: BTreeMap<Name, (u64, u64)>,
    ages: BTreeMap<u64, Name>,
    next_age: u64,
    total: u64,
}

impl Index {
    fn add(&mut self, name: Name, size: u64) {
        self.remove(&name);
        self.next_age += 1;
        self.total += size;
        self.ages.insert(self.next_age, name.clone());
        self.files.insert(name, (size, self.next_age));
    }

    fn remove(&mut self, name: &Name) {
        if let Some((size, age)) = self.files.remove(name) {
            self.total -= size;
            self.ages.remove(&age);
        }
    }
}

/// The files of one simulator.
pub(crate) struct Store {
    dir: PathBuf,
    /// Removes the folder with the store.
    _temporary: Option<tempfile::TempDir>,
    limit: u64,
    /// What an upload has to show; a new one with every start.
    pub(crate) auth: String,
    pub(crate) host: Host,
    index: Mutex<Index>,
    faults: Mutex<Faults>,
    writers: Semaphore,
    /// Uploads that were cut off, oldest first.
    partials: Mutex<VecDeque<Name>>,
}

impl Store {
    /// Opens the folder and finds what is in it; half-written files are removed.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub(crate) fn open(data_dir: Option<&Path>, limit: u64, host: Host) -> anyhow::Result<Self> {
        let (dir, temporary) = match data_dir {
            Some(data_dir) => (data_dir.join(FOLDER), None),
            None => {
                let made = tempfile::Builder::new().prefix("warren-simulator-").tempdir().context("a folder for media")?;
                (made.path().to_owned(), Some(made))
            }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).context("creating the media folder")?;
        let mut found: Vec<(SystemTime, Name, u64)> = Vec::new();
        for entry in fs::read_dir(&dir).context("reading the media folder")? {
            let entry = entry.context("reading the media folder")?;
            let known = entry.file_name().to_str().and_then(Name::of_file);
            let about = entry.metadata().context("reading the media folder")?;
            match known {
                Some(name) => found.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), name, about.len())),
                None => fs::remove_file(entry.path()).context("tidying the media folder")?,
            }
        }
        found.sort();
        let mut index = Index::default();
        found.into_iter().for_each(|(_, name, size)| index.add(name, size));
        let mut auth = [0_u8; 24];
        rand::rng().fill_bytes(&mut auth);
        let auth = BASE64_URL_SAFE_NO_PAD.encode(auth);
        let (index, faults) = (Mutex::new(index), Mutex::new(Faults::default()));
        let writers = Semaphore::new(WRITERS);
        let partials = Mutex::default();
        Ok(Self { dir, _temporary: temporary, limit, auth, host, index, faults, writers, partials })
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong on purpose.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.dir.join(name.file())
    }

    /// What has arrived so far of an upload that was cut off.
    fn partial(&self, name: &Name) -> PathBuf {
        self.dir.join(format!("{}.part", name.file()))
    }

    /// Keeps what arrived of an upload that was cut off; the oldest such goes when there are too many.
    fn keep_partial(&self, written: &Path, name: &Name) -> io::Result<()> {
        fs::rename(written, self.partial(name))?;
        let mut partials = self.partials.lock().unwrap_or_else(PoisonError::into_inner);
        partials.retain(|known| known != name);
        partials.push_back(name.clone());
        if partials.len() > PARTIALS
            && let Some(oldest) = partials.pop_front()
        {
            let _ = fs::remove_file(self.partial(&oldest));
        }
        Ok(())
    }

    fn scratch(&self) -> PathBuf {
        self.dir.join(format!("{}.new", uuid::Uuid::new_v4().simple()))
    }

    fn create(path: &Path) -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
    }

    pub(crate) fn size(&self, name: &Name) -> Option<u64> {
        self.index().files.get(name).map(|(size, _)| *size)
    }

    /// Newest last.
    pub(crate) fn list(&self) -> (Vec<Stored>, u64) {
        let index = self.index();
        let size = |name: &Name| index.files.get(name).map_or(0, |(size, _)| *size);
        let files = index.ages.values().map(|name| Stored { direct_path: name.direct_path(), size: size(name) });
        (files.collect(), index.total)
    }

    /// Opens a file by its direct path, as a phone of this simulator does: nothing is made to go wrong here.
    pub(crate) fn open_path(&self, path: &str) -> Result<fs::File, Error> {
        let name = Name::of_path(path).filter(|name| self.size(name).is_some()).ok_or(Error::Missing)?;
        Ok(fs::File::open(self.path(&name))?)
    }

    /// Takes a written file into the store if its bytes have the hash it is named by; removes it otherwise.
    /// Returns how many files had to go for it.
    fn admit(&self, written: &Path, name: Name) -> Result<usize, Error> {
        let admitted = self.verify(written, &name);
        let size = match admitted {
            Ok(size) => size,
            Err(error) => {
                let _ = fs::remove_file(written);
                return Err(error);
            }
        };
        fs::rename(written, self.path(&name))?;
        let mut gone = Vec::new();
        {
            let mut index = self.index();
            index.add(name, size);
            while index.total > self.limit && index.files.len() > 1 {
                let Some((_, oldest)) = index.ages.first_key_value() else { break };
                let oldest = oldest.clone();
                index.remove(&oldest);
                gone.push(oldest);
            }
        }
        for name in &gone {
            let _ = fs::remove_file(self.path(name));
        }
        Ok(gone.len())
    }

    fn verify(&self, written: &Path, name: &Name) -> Result<u64, Error> {
        let mut file = fs::File::open(written)?;
        let mut digest = Sha256::new();
        let mut buffer = vec![0_u8; 64 * 1024];
        let mut size = 0_u64;
        loop {
            let count = file.read(&mut buffer)?;
            let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else { break };
            digest.update(read);
            size += read.len() as u64;
        }
        if size > FILE_LIMIT {
            return Err(Error::TooLarge);
        }
        let hash: [u8; 32] = digest.finalize().into();
        if Name::of_hash(&name.kind, &hash) != *name {
            return Err(Error::WrongHash);
        }
        Ok(size)
    }

    /// Stores a profile picture.
    pub(crate) fn keep_picture(&self, bytes: &[u8]) -> Result<Name, Error> {
        let name = Name::of_hash(PICTURE, &Sha256::digest(bytes).into());
        if self.size(&name).is_none() {
            let written = self.scratch();
            io::Write::write_all(&mut Self::create(&written)?, bytes)?;
            self.admit(&written, name.clone())?;
        }
        Ok(name)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    fn token(byte: u8) -> String {
        BASE64_URL_SAFE_NO_PAD.encode([byte; 32])
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        assert!(Name::new("image", &token(1)).is_some());
        for (kind, token) in [("../etc", token(1)), ("", token(1)), ("image", "../../x".into()), ("image", "AAAA".into())] {
            assert!(Name::new(kind, &token).is_none(), "{kind} {token}");
        }
        let name = Name::new("md-msg-hist", &token(7)).unwrap();
        assert_eq!(Name::of_path(&format!("{}?auth=x", name.direct_path())), Some(name.clone()));
        assert_eq!(Name::of_file(&name.file()), Some(name));
    }

    #[test]
    fn the_oldest_go_when_it_is_full_and_the_rest_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(dir.path()), 25, Host::fixed("localhost")).unwrap();
        let names: Vec<Name> = (0..3_u8).map(|byte| store.keep_picture(&[byte; 10]).unwrap()).collect();
        assert_eq!(store.list().1, 20);
        assert!(matches!(store.open_path(&names[0].direct_path()), Err(Error::Missing)));
        fs::write(store.scratch(), b"half").unwrap();
        drop(store);
        let store = Store::open(Some(dir.path()), 25, Host::fixed("localhost")).unwrap();
        assert_eq!(store.list().1, 20);
        assert!(store.open_path(&names[2].direct_path()).is_ok());
    }

    #[test]
    fn a_file_under_a_wrong_name_is_removed() {
        let store = Store::open(None, 1_000, Host::fixed("localhost")).unwrap();
        let written = store.scratch();
        fs::write(&written, b"bytes").unwrap();
        assert!(matches!(store.admit(&written, Name::new("image", &token(9)).unwrap()), Err(Error::WrongHash)));
        assert!(!written.exists());
    }
}
