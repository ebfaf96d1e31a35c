//! `POST /v1/media` (`multipart/form-data`: one part `file`, and optionally `type`, what it is to be sent as) -> 201 with the
//! file, ready to be sent by its `id` by any instance of the tenant, as often as wanted until it expires.
//!
//! The bytes go to the object store as they come, hashed on the way. They are judged by their first ones: a type that is not
//! what was declared, or does not fit `type`, and pictures of too many pixels are refused before they are stored. What is
//! refused, and what breaks off, leaves nothing.
//!
//! As with JSON, what is no form is 400 (`invalid_form`: no end, a header of a part that is none, or holds control
//! characters), and a form of other parts than these is 422.
//!
//! An `Idempotency-Key` can only be compared once the file is here, as its hash is part of what is compared: a repeated
//! upload is sent again as a whole, its bytes are thrown away, and the first one's answer is given. The order of the parts
//! and the boundary between them do not count.

mod form;
mod incoming;
mod inflow;

use crate::{
    auth::Writer,
    idempotency::{self, Answer, Mutation, Repeat},
    openapi::Problems,
    problem::{Problem, Result},
    quota::Place,
    state::App,
    v1::media::View,
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
pub(crate) use form::{Form, Part, Wanted};
pub(crate) use incoming::Incoming;
use inflow::Inflow;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use utoipa::ToSchema;
use warren_domain::{ErrorKind, TenantId, media::MediaFailure};
use warren_ports::ledger::IdempotencyKey;

/// The route.
pub(crate) const PATH: &str = "/v1/media";
/// How long an upload may take, however fast it is: more than the slowest allowed one needs for the largest usual file.
pub(crate) const LONGEST: Duration = Duration::from_secs(4 * 3_600);
/// What a form has besides its file, bytes: more than any needs.
const FORM: u64 = 64 * 1024;

/// The form of an upload.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MediaUpload, examples(json!({"file": "the bytes", "type": "document"})))]
#[expect(dead_code, reason = "the schema of what form.rs reads")]
struct Upload {
    /// The file, with its name and type.
    #[schema(format = Binary)]
    file: String,
    /// What it is to be sent as: `image`, `video`, `audio`, `document` or `sticker`. Checked at once if it is given, and when
    /// it is sent in any case.
    r#type: Option<warren_domain::media::MediaKind>,
}

/// Send a file here, to be sent on.
///
/// A body that is no well-formed form is 400 `invalid_form`; a form that lacks the file, or has other parts, is 422.
#[utoipa::path(
    post,
    path = "/v1/media",
    tag = "media",
    operation_id = "uploadMedia",
    request_body(content = Upload, content_type = "multipart/form-data"),
    responses((status = 201, description = "The file.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Writer, request: Request) -> Result<Response> {
    let tenant = caller.tenant;
    let key = idempotency::header_key(request.headers())?;
    let (_place, form) = open(&app, tenant, request).await?;
    // What is left of the request is not read after an error.
    let incoming = form.read(&app, tenant).await.map_err(Problem::closing)?;
    answer(&app, tenant, key, incoming).await
}

/// Opens the form of an upload, if there is room for one more of the tenant. It is under way as long as its place is kept.
pub(crate) async fn open(app: &App, tenant: TenantId, request: Request) -> Result<(Place, Form)> {
    let declared = declared_length(request.headers());
    let place = app.uploads.take(tenant).ok_or_else(|| {
        let detail = "Too many files are being sent at once; try again.";
        Problem::new(ErrorKind::Exhausted, "too_many_uploads", detail).closing()
    })?;
    let most = app.limits.most_bytes();
    if declared.is_some_and(|length| length > most.saturating_add(FORM)) {
        return Err(too_large(most).closing());
    }
    has_room(app, tenant, declared.unwrap_or_default()).await?;
    let inflow = Inflow::new(most.saturating_add(FORM), app.options.body_timeout());
    Ok((place, Form::open(request, inflow).await?))
}

/// Makes the file known as ready, once for a key.
async fn answer(app: &App, tenant: TenantId, key: Option<String>, incoming: Incoming) -> Result<Response> {
    let key = key.map(|key| IdempotencyKey { key, fingerprint: fingerprint(&incoming) });
    let work = |incoming: Incoming, _| async move {
        let media = incoming.settle().await?;
        let location = format!("{PATH}/{}", media.id);
        Ok(Answer::json(StatusCode::CREATED, &View::from(media))?.at(location))
    };
    // A second upload loses nothing: the first one's bytes go by themselves.
    Mutation { body: incoming, key }.once(app, tenant, Repeat::Harmless, work).await
}

fn fingerprint(incoming: &Incoming) -> [u8; 32] {
    let media = incoming.media();
    let described = json!({
        "route": "POST /v1/media",
        "sha256": media.sha256.map(hex::encode),
        "type": incoming.kind().map(warren_domain::media::MediaKind::as_str),
        "mime_type": media.mime_type,
        "filename": media.filename,
    });
    Sha256::digest(described.to_string()).into()
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A tenant's files do not fill the storage of all.
async fn has_room(app: &App, tenant: TenantId, coming: u64) -> Result<()> {
    let taken = app.ledger.media_bytes(tenant).await?;
    if taken.saturating_add(coming) <= app.limits.storage_bytes {
        return Ok(());
    }
    let detail = "Your files take all the room that they may; delete some, or wait until some expire.";
    Err(Problem::new(ErrorKind::Exhausted, "storage_full", detail).retry_after(60).closing())
}

fn too_large(most: u64) -> Problem {
    Problem::http(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The file is larger than files of its type may be.")
        .with("max_bytes", json!(most))
}

/// The answer to a file that is not taken.
fn refused(app: &App, reason: MediaFailure) -> Problem {
    match reason {
        MediaFailure::TooManyPixels => Problem::invalid("too_many_pixels", "The picture has more pixels than are taken.")
            .with("max_pixels", json!(app.limits.max_pixels)),
        _ => Problem::invalid(
            "type_mismatch",
            "The bytes are not of the type that was declared, or cannot be sent as the type that was asked for. \
             Declare application/octet-stream and the type document to send any file as it is.",
        ),
    }
}
