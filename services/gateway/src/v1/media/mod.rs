//! Files of messages: sent here to be sent on, and fetched from here.

pub(crate) mod delete;
pub(crate) mod download;
pub(crate) mod info;
mod link_key;
pub(crate) mod links;
mod range;
pub(crate) mod upload;

pub use link_key::LinkKey;

use crate::{
    problem::{Problem, Result},
    state::App,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warren_domain::{
    ErrorKind, InstanceId, MediaId, TenantId, Timestamp,
    media::{Media, MediaFailure, MediaOrigin, MediaState},
};

/// What is known of a file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Media, examples(json!({
    "id": "0192f0c1a2b37d4e8f90a1b2c3d4e54d",
    "state": "ready",
    "reason": null,
    "origin": "upload",
    "instance_id": null,
    "mime_type": "application/pdf",
    "size": 48211,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "filename": "offer.pdf",
    "created_at": "2026-11-22T09:30:00.000Z",
    "expires_at": "2026-12-22T09:30:00.000Z"
})))]
pub(crate) struct View {
    id: MediaId,
    state: MediaState,
    /// Why it failed; `null` unless it did.
    reason: Option<MediaFailure>,
    origin: MediaOrigin,
    /// Which instance it came in by, or goes out by; `null` for an upload.
    instance_id: Option<InstanceId>,
    /// Its type: of a received file that is pending as its sender says, else as its bytes say.
    mime_type: Option<String>,
    /// Bytes; of a received file that is pending as its sender says.
    size: Option<u64>,
    /// SHA-256 of its bytes, 64 hex digits; of a received file that is pending as its sender says.
    sha256: Option<String>,
    /// Its name for people. Never a path.
    filename: Option<String>,
    created_at: Timestamp,
    /// Until when its bytes are kept, or can still be fetched.
    expires_at: Timestamp,
}

impl From<Media> for View {
    fn from(media: Media) -> Self {
        Self {
            id: media.id,
            state: media.state,
            reason: media.reason,
            origin: media.origin,
            instance_id: media.instance,
            mime_type: media.mime_type,
            size: media.size,
            sha256: media.sha256.map(hex::encode),
            filename: media.filename,
            created_at: media.created_at,
            expires_at: media.expires_at,
        }
    }
}

/// The tenant's file as it stands now: one whose time is over is so, whether its bytes are gone yet or not. An upload that
/// is under way is nobody's business.
pub(crate) async fn known(app: &App, tenant: TenantId, id: MediaId) -> Result<Media> {
    let media = app.ledger.media(tenant, id).await?.ok_or_else(Problem::not_found)?;
    if media.origin == MediaOrigin::Upload && media.state == MediaState::Pending {
        return Err(Problem::not_found());
    }
    Ok(as_of_now(app, media))
}

fn as_of_now(app: &App, media: Media) -> Media {
    if media.state == MediaState::Failed || media.expires_at > app.now() {
        return media;
    }
    Media { state: MediaState::Failed, reason: Some(MediaFailure::Expired), ..media }
}

/// The answer where bytes are asked for that cannot be had.
pub(crate) fn failed(reason: Option<MediaFailure>) -> Problem {
    let detail = match reason {
        Some(MediaFailure::Expired) => "This file was kept as long as files are kept here.",
        Some(MediaFailure::Deleted) => "This file was deleted.",
        Some(MediaFailure::Gone) => "WhatsApp does not have this file any more.",
        Some(MediaFailure::MediaIntegrity) => "What came is not what was announced; it was thrown away.",
        _ => "This file could not be had; the reason says why.",
    };
    Problem::new(ErrorKind::Gone, "media_failed", detail)
        .with("reason", json!(reason.map_or("unknown", MediaFailure::as_str)))
}
