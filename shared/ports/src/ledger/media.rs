//! Files of messages, as the ledger knows them. Their bytes are in [`crate::objects`].

use async_trait::async_trait;
use warren_domain::{
    MediaId, Result, TenantId, Timestamp,
    media::{Media, MediaOutcome},
};

/// Files. A file of an instance is settled by the instance's owner: [`super::Op::SettleMedia`].
#[async_trait]
pub trait MediaFiles: Send + Sync {
    /// Makes a file known. An upload is made known as `pending` before its bytes are stored, so that no bytes are ever
    /// forgotten: what is not settled goes when it expires.
    ///
    /// # Errors
    /// `NotFound` without such a tenant.
    async fn create_media(&self, media: Media) -> Result<()>;
    /// The tenant's file.
    async fn media(&self, tenant: TenantId, id: MediaId) -> Result<Option<Media>>;
    /// Says what became of the bytes of a pending upload; `false` if it is not pending any more, or no upload, or not there.
    /// Whoever stored bytes that nobody waits for any more removes them.
    async fn settle_upload(&self, tenant: TenantId, id: MediaId, outcome: MediaOutcome) -> Result<bool>;
    /// Forgets an upload that never became ready, as if it had never been: its bytes are not stored, or not any more.
    async fn forget_upload(&self, tenant: TenantId, id: MediaId) -> Result<()>;
    /// The file with this id, whoever's it is: for links, which are signed for a file and its tenant.
    async fn linked_media(&self, id: MediaId) -> Result<Option<Media>>;
    /// The tenant's file is not wanted any more: it is `failed(deleted)`, without its name, link and source, and its bytes are
    /// reported as expired at once. `false` if there is none.
    async fn delete_media(&self, tenant: TenantId, id: MediaId) -> Result<bool>;
    /// How many bytes the tenant's ready files take.
    async fn media_bytes(&self, tenant: TenantId) -> Result<u64>;
    /// Files whose time is over, oldest first, at most `limit`: their bytes are to be deleted, and then
    /// [`Self::media_deleted`] to be told.
    async fn expired_media(&self, now: Timestamp, limit: u32) -> Result<Vec<(TenantId, MediaId)>>;
    /// The bytes of these files are gone: they are `failed(expired)` unless they failed before, and are not reported as
    /// expired again. What is known of them goes as messages do: [`super::Maintenance::expire`].
    async fn media_deleted(&self, files: &[(TenantId, MediaId)]) -> Result<()>;
}
