//! How large files may be, and how long they are kept.

use super::MediaKind;
use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of files: the same for what callers send, what is fetched from a link, and what comes from WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaLimits {
    /// How long bytes are kept after they came here, seconds. Default 24 h.
    pub retention_s: u64,
    /// The largest picture, bytes. Default 16 MB.
    pub max_image_bytes: u64,
    /// The largest film, bytes. Default 100 MB.
    pub max_video_bytes: u64,
    /// The largest sound, bytes. Default 16 MB.
    pub max_audio_bytes: u64,
    /// The largest document, bytes. Default 100 MB.
    pub max_document_bytes: u64,
    /// The largest sticker, bytes. Default 1 MB.
    pub max_sticker_bytes: u64,
    /// The most pixels of a picture, all its frames together. Default 50 million.
    pub max_pixels: u64,
    /// The most bytes that a tenant's files may take together. Default 10 GB.
    pub storage_bytes: u64,
}

const MB: u64 = 1024 * 1024;

impl Default for MediaLimits {
    fn default() -> Self {
        Self {
            retention_s: 24 * 3_600,
            max_image_bytes: 16 * MB,
            max_video_bytes: 100 * MB,
            max_audio_bytes: 16 * MB,
            max_document_bytes: 100 * MB,
            max_sticker_bytes: MB,
            max_pixels: 50_000_000,
            storage_bytes: 10 * 1024 * MB,
        }
    }
}

impl MediaLimits {
    /// The largest file of a kind, bytes.
    #[must_use]
    pub const fn bytes(&self, kind: MediaKind) -> u64 {
        match kind {
            MediaKind::Image => self.max_image_bytes,
            MediaKind::Video => self.max_video_bytes,
            MediaKind::Audio => self.max_audio_bytes,
            MediaKind::Document => self.max_document_bytes,
            MediaKind::Sticker => self.max_sticker_bytes,
        }
    }

    /// The largest file of any kind, bytes.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        MediaKind::ALL.into_iter().map(|kind| self.bytes(kind)).max().unwrap_or_default()
    }

    /// Until when bytes are kept that came now.
    #[must_use]
    pub fn kept_until(&self, now: Timestamp) -> Timestamp {
        now.after(Duration::from_secs(self.retention_s))
    }

    /// Whether the limits make sense; the first that does not, with what to do.
    ///
    /// # Errors
    /// One sentence for the operator.
    pub fn validate(&self) -> Result<(), String> {
        /// Sizes travel as signed numbers.
        const MOST: u64 = i64::MAX as u64;
        let values = [
            ("retention_s", self.retention_s),
            ("max_image_bytes", self.max_image_bytes),
            ("max_video_bytes", self.max_video_bytes),
            ("max_audio_bytes", self.max_audio_bytes),
            ("max_document_bytes", self.max_document_bytes),
            ("max_sticker_bytes", self.max_sticker_bytes),
            ("max_pixels", self.max_pixels),
            ("storage_bytes", self.storage_bytes),
        ];
        match values.into_iter().find(|(_, value)| *value == 0 || *value > MOST) {
            Some((name, _)) => Err(format!("media.{name} must be at least 1")),
            None => Ok(()),
        }
    }
}
