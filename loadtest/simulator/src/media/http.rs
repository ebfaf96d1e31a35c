//! `POST /mms/{kind}/{token}` and `GET /v/{kind}/{token}.enc`, as clients use WhatsApp's media hosts.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::{Error, FILE_LIMIT, Name, PICTURE, body};
use crate::world::World;

/// The paths of the media host begin with one of these.
pub(crate) const PREFIXES: [&str; 2] = ["/mms/", "/v/"];

pub(crate) fn router(world: Arc<World>) -> Router {
    Router::new().route("/mms/{kind}/{token}", post(upload)).route("/v/{kind}/{file}", get(download)).with_state(world)
}

#[derive(Deserialize)]
struct Upload {
    auth: Option<String>,
    /// Asks how far an earlier upload came, and brings no bytes.
    resume: Option<u8>,
    /// The bytes go on from here.
    file_offset: Option<u64>,
}

fn refused(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

/// Takes a file. WhatsApp's answers to broken uploads are not known; these are the obvious ones, and clients tell apart
/// only 401 and 403 (a stale token: they get a new one) from the rest (they try the next host).
async fn upload(
    State(world): State<Arc<World>>,
    Path((kind, token)): Path<(String, String)>,
    Query(query): Query<Upload>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let fault = world.media.faults().upload_status.and_then(|code| StatusCode::from_u16(code).ok());
    if let Some(status) = fault {
        return refused(status, "injected");
    }
    if query.auth.as_deref() != Some(world.media.auth.as_str()) {
        return refused(StatusCode::UNAUTHORIZED, "the auth token is not valid (any more)");
    }
    let Some(name) = Name::new(&kind, &token).filter(|_| kind != PICTURE) else {
        return refused(StatusCode::BAD_REQUEST, "not the hash of a file");
    };
    let stored = Answer::new(&world, &headers, &name);
    if query.resume.is_some() {
        return stored.progress(&world, &name).await;
    }
    let declared = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > FILE_LIMIT) {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "a file has at most 128 MiB");
    }
    let Ok(_place) = world.media.writers.try_acquire() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "too many uploads");
    };
    match take(&world, &name, query.file_offset, body).await {
        Ok(()) => {
            world.counters.media_uploads.one();
            stored.complete()
        }
        Err(Refusal { status, reason }) => refused(status, reason),
    }
}

/// What is said about a file that is there.
struct Answer {
    url: String,
    direct_path: String,
}

impl Answer {
    fn new(world: &World, headers: &HeaderMap, name: &Name) -> Self {
        let reached = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let direct_path = name.direct_path();
        Self { url: format!("https://{}{direct_path}", world.media.host.for_client(reached)), direct_path }
    }

    fn complete(&self) -> Response {
        Json(json!({"url": self.url, "direct_path": self.direct_path})).into_response()
    }

    async fn progress(&self, world: &World, name: &Name) -> Response {
        if world.media.size(name).is_some() {
            return Json(json!({"url": self.url, "direct_path": self.direct_path, "resume": "complete"})).into_response();
        }
        let arrived = tokio::fs::metadata(world.media.partial(name)).await.map_or(0, |about| about.len());
        Json(json!({"resume": arrived.to_string()})).into_response()
    }
}

/// Why an upload failed.
struct Refusal {
    status: StatusCode,
    reason: &'static str,
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "media.upload.failed");
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, reason: "the store cannot be written" }
    }
}

/// Writes the bytes to a file of their own as they come. What is cut off stays for a later upload to go on with.
async fn take(world: &Arc<World>, name: &Name, offset: Option<u64>, body: Body) -> Result<(), Refusal> {
    let written = world.media.scratch();
    let start = offset.unwrap_or(0);
    let file = open(world, name, &written, start).await?;
    match receive(file, start, body).await {
        Ok(()) => {}
        Err(Cut::Broken) => {
            // Nobody hears this answer; it is for the one who reads on.
            world.media.keep_partial(&written, name)?;
            return Err(Refusal { status: StatusCode::BAD_REQUEST, reason: "the upload was cut off" });
        }
        Err(Cut::TooLarge) => {
            tokio::fs::remove_file(&written).await?;
            return Err(Refusal { status: StatusCode::PAYLOAD_TOO_LARGE, reason: "a file has at most 128 MiB" });
        }
        Err(Cut::Store(error)) => return Err(error.into()),
    }
    let (shared, name, path) = (Arc::clone(world), name.clone(), written);
    let admitted = tokio::task::spawn_blocking(move || shared.media.admit(&path, name)).await;
    match admitted {
        Ok(Ok(evicted)) => {
            world.counters.media_evicted.add(evicted as u64);
            Ok(())
        }
        Ok(Err(Error::WrongHash)) => {
            Err(Refusal { status: StatusCode::BAD_REQUEST, reason: "the bytes do not have the hash that names them" })
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "media.upload.failed");
            Err(Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, reason: "the store cannot be written" })
        }
        Err(_) => Err(Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, reason: "the check of the file failed" }),
    }
}

/// A new file, or the one that an earlier upload left, moved out of the way of others.
async fn open(world: &World, name: &Name, written: &FilePath, start: u64) -> Result<File, Refusal> {
    let partial: PathBuf = world.media.partial(name);
    if start == 0 {
        let _ = tokio::fs::remove_file(&partial).await;
        let mut options = File::options();
        return Ok(options.write(true).create_new(true).mode(0o600).open(written).await?);
    }
    let unknown = Refusal { status: StatusCode::BAD_REQUEST, reason: "nothing to go on with at this place" };
    if tokio::fs::metadata(&partial).await.map_or(0, |about| about.len()) != start {
        return Err(unknown);
    }
    tokio::fs::rename(&partial, written).await.map_err(|_| unknown)?;
    Ok(File::options().append(true).open(written).await?)
}

enum Cut {
    /// The client went away.
    Broken,
    TooLarge,
    Store(std::io::Error),
}

async fn receive(file: File, start: u64, body: Body) -> Result<(), Cut> {
    let mut file = tokio::io::BufWriter::with_capacity(256 * 1024, file);
    let mut chunks = body.into_data_stream();
    let mut total = start;
    let mut outcome = Ok(());
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            outcome = Err(Cut::Broken);
            break;
        };
        total += chunk.len() as u64;
        if total > FILE_LIMIT {
            return Err(Cut::TooLarge);
        }
        file.write_all(&chunk).await.map_err(Cut::Store)?;
    }
    file.flush().await.map_err(Cut::Store)?;
    outcome
}

#[derive(Deserialize)]
struct Download {
    token: Option<String>,
    hash: Option<String>,
}

/// Gives a file. Anybody who knows the path may have it, as on WhatsApp's hosts; a token beside it has to be the right
/// one.
async fn download(
    State(world): State<Arc<World>>,
    Path((kind, file)): Path<(String, String)>,
    Query(query): Query<Download>,
) -> Response {
    let token = file.strip_suffix(".enc").unwrap_or_default();
    let Some(name) = Name::new(&kind, token) else {
        return refused(StatusCode::NOT_FOUND, "no such file");
    };
    let fits = |given: &Option<String>| given.as_ref().is_none_or(|given| given.trim_end_matches('=') == token);
    if !fits(&query.token) || !fits(&query.hash) {
        return refused(StatusCode::FORBIDDEN, "the token is not this file's");
    }
    let fault = world.media.faults().of(&name);
    if let Some(status) = fault.status.and_then(|code| StatusCode::from_u16(code).ok()) {
        return refused(status, "injected");
    }
    let Some(size) = world.media.size(&name) else {
        return refused(StatusCode::NOT_FOUND, "no such file");
    };
    let Ok(file) = File::open(world.media.path(&name)).await else {
        return refused(StatusCode::NOT_FOUND, "no such file");
    };
    world.counters.media_downloads.one();
    let kind = if kind == PICTURE { "image/jpeg" } else { "application/octet-stream" };
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, size.to_string())];
    (headers, body::of(file, size, fault)).into_response()
}
