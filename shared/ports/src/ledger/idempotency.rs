//! Idempotency of mutating requests other than sends (a send carries its key into [`super::Messages::accept`]).

use super::IdempotencyKey;
use async_trait::async_trait;
use warren_domain::{MessageId, Result, TenantId, Timestamp};

/// What a request is reserved with.
#[derive(Debug, Clone)]
pub struct Reservation {
    /// Whose key it is; admin requests use the nil tenant.
    pub tenant: TenantId,
    /// The caller's key and the request's fingerprint.
    pub key: IdempotencyKey,
    /// The id for whatever the request creates. A retry after a crash gets the first one's, so that it creates nothing
    /// twice.
    pub resource: MessageId,
    /// Now.
    pub at: Timestamp,
    /// A reservation made before this moment and never completed belonged to a process that died.
    pub abandoned_before: Timestamp,
}

/// The answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// The JSON body; secrets shown once are not stored (the replay says so).
    pub body: Vec<u8>,
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    /// Go on, and use this id for what you create.
    Fresh(MessageId),
    /// Another request with this key is being carried out: wait and ask again.
    InFlight,
    /// It was carried out: answer this.
    Done(StoredResponse),
    /// The key was used for another request.
    Mismatch,
}

/// Idempotency keys, scoped by tenant. They live 24 hours.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Reserves a key. Of parallel calls exactly one is `Fresh`.
    async fn reserve(&self, reservation: &Reservation) -> Result<Reserved>;
    /// Stores the answer of a reserved request; the first answer stays.
    ///
    /// # Errors
    /// `NotFound` if the key is not reserved (any more).
    async fn complete(&self, tenant: TenantId, key: &str, response: &StoredResponse) -> Result<()>;
    /// Gives a reservation back, because the request failed in a way that may be tried again.
    async fn release(&self, tenant: TenantId, key: &str) -> Result<()>;
}
