//! Files of messages, as the ledger knows them. Their bytes are in [`crate::objects`].

use async_trait::async_trait;
use warren_domain::{
    MediaId, Result, TenantId, Timestamp,
    media::{Media, MediaOutcome},
};

/// Files.
#[async_trait]
pub trait MediaFiles: Send + Sync {
    /// Makes a file known. Its bytes are stored before, if it is `ready`.
    async fn create_media(&self, media: Media) -> Result<()>;
    /// The tenant's file.
    async fn media(&self, tenant: TenantId, id: MediaId) -> Result<Option<Media>>;
    /// Says what became of the bytes of a pending file; `false` if it is not pending any more, or not there. Drops its link
    /// and source.
    async fn settle_media(&self, tenant: TenantId, id: MediaId, outcome: MediaOutcome) -> Result<bool>;
    /// Files whose time is over, oldest first, at most `limit`: their bytes are to be deleted, and then
    /// [`Self::media_deleted`] to be told.
    async fn expired_media(&self, now: Timestamp, limit: u32) -> Result<Vec<(TenantId, MediaId)>>;
    /// The bytes of these files are gone: they are `failed(expired)`, and are not reported as expired again.
    async fn media_deleted(&self, files: &[(TenantId, MediaId)]) -> Result<()>;
}
