//! Files of messages: what is known of a file, and where it stands. Its bytes are in the object store, never in the ledger.

mod filename;
mod inspect;
mod limits;

pub use filename::sanitised_filename;
pub use inspect::{HEAD_BYTES, Inspected, UNKNOWN_TYPE, VOICE_TYPE, inspect};
pub use limits::MediaLimits;

use crate::{InstanceId, MediaId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// Its bytes are not here yet: it is at WhatsApp, or behind a link.
    Pending,
    /// Its bytes are here.
    Ready,
    /// Its bytes cannot be had, or are not kept any more; see the reason.
    Failed,
}

/// Why the bytes of a file cannot be had: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaFailure {
    /// They were kept as long as files are kept here.
    Expired,
    /// The caller deleted them, or the instance they came by.
    Deleted,
    /// WhatsApp does not have them any more.
    Gone,
    /// What came is not what was announced: its hash or length differs.
    MediaIntegrity,
    /// The link could not be fetched: no answer, a refusal, too slow, or broken off.
    MediaFetch,
    /// The link led to an address that is not allowed.
    RedirectBlocked,
    /// The file is larger than allowed.
    TooLarge,
    /// The bytes are not of the type that is sent.
    TypeMismatch,
    /// The image has more pixels than allowed.
    TooManyPixels,
}

impl MediaFailure {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Expired,
        Self::Deleted,
        Self::Gone,
        Self::MediaIntegrity,
        Self::MediaFetch,
        Self::RedirectBlocked,
        Self::TooLarge,
        Self::TypeMismatch,
        Self::TooManyPixels,
    ];

    /// The name as the API and the store write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Deleted => "deleted",
            Self::Gone => "gone",
            Self::MediaIntegrity => "media_integrity",
            Self::MediaFetch => "media_fetch",
            Self::RedirectBlocked => "redirect_blocked",
            Self::TooLarge => "too_large",
            Self::TypeMismatch => "type_mismatch",
            Self::TooManyPixels => "too_many_pixels",
        }
    }

    /// The reason with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }
}

/// What WhatsApp sends a file as: each has its own limits, and its own key derivation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture: JPEG or PNG.
    Image,
    /// A film: MP4 or 3GP.
    Video,
    /// Sound, or a voice note.
    Audio,
    /// Any file.
    Document,
    /// A sticker: WebP.
    Sticker,
}

impl MediaKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Image, Self::Video, Self::Audio, Self::Document, Self::Sticker];

    /// The name as the API writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where a file comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaOrigin {
    /// A caller sent its bytes.
    Upload,
    /// A caller named a link; the owner fetches it before it sends.
    Link,
    /// It came with a received message; it is fetched when it is asked for.
    Whatsapp,
}

/// A file as the ledger keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Its id: also the name of its bytes in the object store, under its tenant.
    pub id: MediaId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which instance it came in by, or goes out by; `None` for an upload, which all of the tenant's may send.
    pub instance: Option<InstanceId>,
    /// Where it comes from.
    pub origin: MediaOrigin,
    /// Where it stands.
    pub state: MediaState,
    /// Why it failed.
    pub reason: Option<MediaFailure>,
    /// Its type: of what came from WhatsApp as its sender says, of a ready upload or link as its bytes say. Not to be
    /// trusted by a browser.
    pub mime_type: Option<String>,
    /// Bytes; of a pending one as its sender says.
    pub size: Option<u64>,
    /// SHA-256 of its bytes; of a pending one as its sender says.
    pub sha256: Option<[u8; 32]>,
    /// Its name for people, sanitised; never a path.
    pub filename: Option<String>,
    /// The link it is fetched from, while it is pending.
    pub link: Option<String>,
    /// What is needed to fetch it from WhatsApp, sealed with the instance's data key, while it is pending.
    pub source: Option<Vec<u8>>,
    /// When it was made known here.
    pub created_at: Timestamp,
    /// Until when its bytes are kept, or may still be fetched; then it is `failed(expired)`.
    pub expires_at: Timestamp,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Media({}, {:?}, {:?})", self.id, self.origin, self.state)
    }
}

/// What became of the bytes of a pending file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaOutcome {
    /// They are in the object store.
    Ready {
        /// Bytes.
        size: u64,
        /// SHA-256 of them.
        sha256: [u8; 32],
        /// Their type, if that is known better now.
        mime_type: Option<String>,
        /// Until when they are kept: see [`MediaLimits::kept_until`].
        expires_at: Timestamp,
    },
    /// They cannot be had.
    Failed(MediaFailure),
}
