//! The object store: bytes of files by name, in a folder or in object storage.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use warren_domain::{MediaId, Result, TenantId};

/// The name of a file's bytes. The tenant is part of it, so that one tenant's files can be listed and removed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectName {
    /// Whose file it is.
    pub tenant: TenantId,
    /// Which file.
    pub media: MediaId,
}

/// The bytes of a file as they are read or written. Ends after its first error.
pub type Bytestream = BoxStream<'static, Result<Bytes>>;

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Bytes.
    pub size: u64,
}

/// The object store.
///
/// Memory does not grow with the size of a file: bytes go through as they come.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Stores the bytes under a name, replacing what is there. Atomic: a reader sees the former bytes, or all of the new ones;
    /// after an error of the stream or of the store, or if the future is dropped, nothing of the new ones is left. Durable
    /// once it returned.
    ///
    /// # Errors
    /// The stream's own error; `Exhausted` with the code `storage_full` when there is no room; `Unavailable` for a passing
    /// condition.
    async fn put(&self, name: ObjectName, bytes: Bytestream) -> Result<Stored>;
    /// The bytes of a name from `from` on, to the end (none at or beyond it); `None` if there is no such name.
    async fn get(&self, name: ObjectName, from: u64) -> Result<Option<Bytestream>>;
    /// Removes the bytes of a name; one that is not there is removed already.
    async fn delete(&self, name: ObjectName) -> Result<()>;
}
