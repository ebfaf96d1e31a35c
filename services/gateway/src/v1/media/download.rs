//! `GET /v1/media/{media}` with a key, `GET /v1/media/{media}/file?expires=&signature=` without one -> 200 with the bytes, or
//! 206 with the rest of them (`Range: bytes=FROM-`). A received file that is not here yet is fetched first. One that cannot
//! be had is 410, and says why.
//!
//! A browser must never run what a stranger sent: only types that it shows are named, everything is an attachment, in a
//! sandbox.

use super::{as_of_now, failed, known, range};
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::{Problem, Result},
    quota::Place,
    state::App,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::StreamExt as _;
use serde_json::json;
use warren_domain::{
    ErrorKind, MediaId,
    media::{Media, MediaFailure, MediaOrigin, MediaState, UNKNOWN_TYPE},
};
use warren_ports::{
    bus::{Action, Ask, ask::MediaAsk},
    objects::{Bytestream, ObjectName},
};

/// The types that are named; all others are bytes.
const SAFE_TYPES: [&str; 15] = [
    "application/pdf",
    "application/zip",
    "audio/aac",
    "audio/amr",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/ogg; codecs=opus",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/webp",
    "text/plain",
    "video/3gpp",
    "video/mp4",
];

/// Fetch a file.
#[utoipa::path(
    get,
    path = "/v1/media/{media}",
    tag = "media",
    operation_id = "downloadMedia",
    params(("media" = MediaId, Path), ("range" = Option<String>, Header, description = "`bytes=FROM-`: the rest of it.")),
    responses(
        (status = 200, description = "Its bytes.", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "The rest of its bytes.", body = Vec<u8>, content_type = "*/*"),
        (status = 410, description = "It cannot be had; `reason` says why."),
        (status = 416, description = "It is not that long."),
        Problems
    )
)]
pub(crate) async fn by_key(
    State(app): State<App>,
    caller: Reader,
    Id(id): Id<MediaId>,
    headers: HeaderMap,
) -> Result<Response> {
    let media = known(&app, caller.tenant, id).await?;
    serve(&app, media, &headers).await
}

/// Fetch a file by a signed link.
#[utoipa::path(
    get,
    path = "/v1/media/{media}/file",
    tag = "media",
    operation_id = "downloadLinkedMedia",
    security(()),
    params(
        ("media" = MediaId, Path),
        ("expires" = i64, Query, description = "Until when the link is good, seconds since 1970."),
        ("signature" = String, Query, description = "What `POST .../links` wrote."),
        ("range" = Option<String>, Header, description = "`bytes=FROM-`: the rest of it.")
    ),
    responses(
        (status = 200, description = "Its bytes.", body = Vec<u8>, content_type = "*/*"),
        (status = 206, description = "The rest of its bytes.", body = Vec<u8>, content_type = "*/*"),
        (status = 410, description = "The link, or the file, is over."),
        (status = 416, description = "It is not that long."),
        Problems
    )
)]
pub(crate) async fn by_link(
    State(app): State<App>,
    Id(id): Id<MediaId>,
    mut query: Parameters,
    headers: HeaderMap,
) -> Result<Response> {
    let expires = query.one("expires")?.and_then(|text| text.parse::<i64>().ok());
    let signature = query.one("signature")?;
    query.finish()?;
    let (Some(expires), Some(signature)) = (expires, signature) else { return Err(Problem::not_found()) };
    let media = app.ledger.linked_media(id).await?.ok_or_else(Problem::not_found)?;
    if !app.link_key.verify(media.tenant, id, expires, &signature) {
        return Err(Problem::not_found());
    }
    // Whoever knows the signature may know that it was good once.
    if expires.saturating_mul(1_000) <= app.now().as_millis() {
        return Err(Problem::new(ErrorKind::Gone, "link_expired", "This link is over; ask for another one."));
    }
    let media = as_of_now(&app, media);
    serve(&app, media, &headers).await
}

async fn serve(app: &App, media: Media, headers: &HeaderMap) -> Result<Response> {
    let place = app.downloads.take(media.tenant).ok_or_else(|| {
        Problem::new(ErrorKind::Exhausted, "too_many_downloads", "Too many files are fetched at once; try again.")
    })?;
    let media = ready(app, media).await?;
    let size = media.size.unwrap_or_default();
    let etag = format!("\"{}\"", hex::encode(media.sha256.unwrap_or_default()));
    let from = match range::asked(headers, size, &etag) {
        range::Range::All => None,
        range::Range::From(from) => Some(from),
        range::Range::Beyond => {
            let problem =
                Problem::http(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", "The file is not that long.");
            return Err(problem.with("size", json!(size)));
        }
    };
    let name = ObjectName { tenant: media.tenant, media: media.id };
    // It expired just now, or somebody else emptied the storage.
    let bytes = app.objects.get(name, from.unwrap_or_default()).await?.ok_or_else(|| failed(Some(MediaFailure::Expired)))?;
    Ok(response(&media, size, from, &etag, body(bytes, place)))
}

/// The file, once its bytes are here.
async fn ready(app: &App, media: Media) -> Result<Media> {
    match (media.state, media.instance) {
        (MediaState::Ready, _) => Ok(media),
        (MediaState::Failed, _) => Err(failed(media.reason)),
        (MediaState::Pending, Some(instance)) if media.origin == MediaOrigin::Whatsapp => {
            let ask = Action::Ask(Ask::Media(MediaAsk::Fetch { media: media.id }));
            let deadline = app.options.media_fetch_timeout();
            let asked = app.ask_within(media.tenant, instance, ask, deadline).await;
            // Whatever was answered, the file says how it stands.
            let media = known(app, media.tenant, media.id).await?;
            match (media.state, asked) {
                (MediaState::Ready, _) => Ok(media),
                (MediaState::Failed, _) => Err(failed(media.reason)),
                (MediaState::Pending, Err(problem)) if problem.kind() != ErrorKind::Timeout => Err(problem),
                (MediaState::Pending, _) => Err(pending("The file is still being fetched; try again.")),
            }
        }
        (MediaState::Pending, _) => Err(pending("The file is fetched when its message is sent; try again then.")),
    }
}

fn pending(detail: &'static str) -> Problem {
    Problem::new(ErrorKind::Unavailable, "media_pending", detail).retry_after(5)
}

/// The bytes, with the place that they take.
fn body(bytes: Bytestream, place: Place) -> Body {
    Body::from_stream(bytes.map(move |chunk| {
        let _held = &place;
        chunk
    }))
}

fn response(media: &Media, size: u64, from: Option<u64>, etag: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let start = from.unwrap_or_default();
    if from.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    };
    if from.is_some() {
        set(header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", size.saturating_sub(1)));
    }
    set(header::CONTENT_LENGTH, size.saturating_sub(start).to_string());
    set(header::CONTENT_TYPE, shown_type(media.mime_type.as_deref()).to_owned());
    set(header::CONTENT_DISPOSITION, disposition(media.filename.as_deref()));
    set(header::ACCEPT_RANGES, "bytes".to_owned());
    set(header::ETAG, etag.to_owned());
    set(header::CACHE_CONTROL, "private, no-store".to_owned());
    set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned());
    response
}

fn shown_type(mime_type: Option<&str>) -> &'static str {
    let asked = mime_type.unwrap_or_default();
    SAFE_TYPES.into_iter().find(|safe| safe.eq_ignore_ascii_case(asked)).unwrap_or(UNKNOWN_TYPE)
}

/// RFC 6266: the name twice, for those who read ASCII alone and for those who read RFC 8187.
fn disposition(filename: Option<&str>) -> String {
    let Some(name) = filename else { return "attachment".to_owned() };
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || " ._-()".contains(c) { c } else { '_' }).collect();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let encoded: String = name
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_safe_types_alone() {
        assert_eq!(shown_type(Some("image/PNG")), "image/png");
        for unsafe_type in
            [None, Some("text/html"), Some("image/svg+xml"), Some("application/javascript"), Some("a\r\nb: c")]
        {
            assert_eq!(shown_type(unsafe_type), "application/octet-stream");
        }
    }

    #[test]
    fn a_name_cannot_end_its_header() {
        assert_eq!(disposition(None), "attachment");
        assert_eq!(disposition(Some("a b.pdf")), "attachment; filename=\"a b.pdf\"; filename*=UTF-8''a%20b.pdf");
        assert_eq!(disposition(Some("ü\"\r\n;x")), "attachment; filename=\"_____x\"; filename*=UTF-8''%C3%BC%22%0D%0A%3Bx");
    }
}
