//! The port over any `object_store`.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, TryStreamExt};
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path,
};
use std::{
    io::{self, SeekFrom},
    sync::Arc,
};
use tokio::io::AsyncSeekExt as _;
use tokio_util::io::ReaderStream;
use warren_domain::{Error, ErrorKind, Result};
use warren_ports::objects::{Bytestream, ObjectName, Objects, Stored};

/// How much of a file is read at once, bytes.
const READ: usize = 256 * 1024;

/// Files of messages. A cheap handle.
#[derive(Debug, Clone)]
pub struct ObjectStorage {
    store: Arc<dyn ObjectStore>,
    /// How much is written at once, bytes.
    part: usize,
}

/// Why the files cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error("the folder of files cannot be used: {0}")]
    Folder(#[source] io::Error),
    /// The endpoint is no URL.
    #[error("the endpoint of the object storage is not an http:// or https:// URL")]
    Endpoint,
    /// The storage refuses its settings.
    #[error("the storage of files cannot be used: {0}")]
    Bucket(#[source] object_store::Error),
}

impl ObjectStorage {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, part: usize) -> Self {
        Self { store, part }
    }

    /// Writes a file of more than one part. What was begun is removed unless it completes.
    async fn put_parts(&self, path: &Path, first: Bytes, mut rest: Bytestream) -> Result<Stored> {
        let mut upload = Begun(Some(self.store.put_multipart(path).await.map_err(of_store)?));
        let written = upload.write(first, &mut rest, self.part).await;
        match written {
            Ok(size) => upload.complete().await.map(|()| Stored { size }),
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Objects for ObjectStorage {
    async fn put(&self, name: ObjectName, mut bytes: Bytestream) -> Result<Stored> {
        let path = path(name);
        let (first, ended) = piece(&mut bytes, self.part).await?;
        if !ended {
            return self.put_parts(&path, first, bytes).await;
        }
        let size = first.len() as u64;
        self.store.put(&path, PutPayload::from_bytes(first)).await.map_err(of_store)?;
        Ok(Stored { size })
    }

    async fn get(&self, name: ObjectName, from: u64) -> Result<Option<Bytestream>> {
        let path = path(name);
        let mut options = GetOptions::default();
        if from > 0 {
            match self.store.head(&path).await {
                Ok(meta) if from >= meta.size => return Ok(Some(futures::stream::empty().boxed())),
                Ok(_) => options.range = Some(GetRange::Offset(from)),
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(error) => return Err(of_store(error)),
            }
        }
        match self.store.get_opts(&path, options).await {
            Ok(found) => stream(found).await.map(Some),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(of_store(error)),
        }
    }

    async fn delete(&self, name: ObjectName) -> Result<()> {
        match self.store.delete(&path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(of_store(error)),
        }
    }
}

/// An upload of parts. Dropped before its end, it is broken off: whoever waited for it went away.
struct Begun(Option<Box<dyn MultipartUpload>>);

impl Begun {
    async fn write(&mut self, first: Bytes, rest: &mut Bytestream, part: usize) -> Result<u64> {
        let Some(upload) = &mut self.0 else { return Err(Error::internal("the upload has ended")) };
        let (mut size, mut next, mut ended) = (0, first, false);
        loop {
            size += next.len() as u64;
            // One part at a time: memory stays flat, and a slow store slows the sender.
            upload.put_part(PutPayload::from_bytes(next)).await.map_err(of_store)?;
            if ended {
                return Ok(size);
            }
            (next, ended) = piece(rest, part).await?;
            if ended && next.is_empty() {
                return Ok(size);
            }
        }
    }

    async fn complete(mut self) -> Result<()> {
        let Some(upload) = &mut self.0 else { return Err(Error::internal("the upload has ended")) };
        upload.complete().await.map_err(of_store)?;
        self.0 = None;
        Ok(())
    }

    async fn abort(mut self) {
        if let Some(mut upload) = self.0.take() {
            removed(upload.abort().await);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let Some(mut upload) = self.0.take() else { return };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { removed(upload.abort().await) });
        }
    }
}

fn removed(aborted: object_store::Result<()>) {
    if let Err(error) = aborted {
        tracing::warn!(%error, "the parts of an upload that was broken off could not be removed");
    }
}

/// The next `size` bytes, and whether the stream ended with them.
async fn piece(bytes: &mut Bytestream, size: usize) -> Result<(Bytes, bool)> {
    let mut piece = BytesMut::with_capacity(size);
    while piece.len() < size {
        match bytes.try_next().await? {
            Some(chunk) => piece.extend_from_slice(&chunk),
            None => return Ok((piece.freeze(), true)),
        }
    }
    Ok((piece.freeze(), false))
}

async fn stream(found: GetResult) -> Result<Bytestream> {
    let start = found.range.start;
    match found.payload {
        // In larger pieces than `object_store` reads them.
        GetResultPayload::File(file, _) => {
            let mut file = tokio::fs::File::from_std(file);
            file.seek(SeekFrom::Start(start)).await.map_err(of_io)?;
            Ok(ReaderStream::with_capacity(file, READ).map_err(of_io).boxed())
        }
        GetResultPayload::Stream(bytes) => Ok(bytes.map_err(of_store).boxed()),
    }
}

/// Ids alone: nothing that a caller wrote becomes a path.
fn path(name: ObjectName) -> Path {
    Path::from(format!("{}/{}", name.tenant, name.media))
}

fn of_store(error: object_store::Error) -> Error {
    if is_full(&error) { full() } else { away().with_source(error) }
}

fn of_io(error: io::Error) -> Error {
    if is_full(&error) { full() } else { away().with_source(error) }
}

fn full() -> Error {
    Error::new(ErrorKind::Exhausted, "storage_full", "There is no room for more files; try again later.")
}

fn away() -> Error {
    Error::unavailable("The storage of files does not answer now; try again.")
}

/// Whether the cause is that the disk is full.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        let kind = inner.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        cause = inner.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    // A store that answers with streams, as object storage does; parts smaller than what is written.
    warren_ports::objects_contract!(async { ObjectStorage::new(Arc::new(InMemory::new()), 1024 * 1024) });

    #[test]
    fn a_full_disk_is_told_apart() {
        let generic =
            |kind: io::ErrorKind| object_store::Error::Generic { store: "x", source: Box::new(io::Error::from(kind)) };
        assert_eq!(of_store(generic(io::ErrorKind::StorageFull)).code, "storage_full");
        assert_eq!(of_store(generic(io::ErrorKind::TimedOut)).code, "unavailable");
    }
}
