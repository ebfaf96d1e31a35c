//! The form of an upload, part by part.

use super::{
    incoming::Incoming,
    inflow::{Broken, Inflow, Taken},
    refused, too_large,
};
use crate::{
    json::printable,
    problem::{Problem, Result},
    state::App,
};
use axum::{
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, FromRequest as _, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::StatusCode,
};
use bytes::BytesMut;
use std::error::Error;
use warren_domain::{
    TenantId,
    media::{HEAD_BYTES, Inspected, MediaKind, inspect, sanitised_filename},
};

/// The longest text of a part that is not the file, bytes.
const TEXT: usize = 64;
/// The longest type that is declared, bytes.
const TYPE: usize = 255;

/// A form whose parts are still to be read.
pub(crate) struct Form {
    parts: Multipart,
    taken: Taken,
}

impl Form {
    /// Reads what the request says of its body.
    pub(super) async fn open(request: Request, inflow: Inflow) -> Result<Self> {
        let taken = inflow.taken();
        let mut request = request.map(|body| Body::from_stream(inflow.of(body)));
        // Its own limit is the inflow's.
        DefaultBodyLimit::disable().apply(&mut request);
        let parts = Multipart::from_request(request, &()).await;
        let parts = parts.map_err(|_| {
            let detail = "Send multipart/form-data with a part `file`.";
            Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail).closing()
        })?;
        Ok(Self { parts, taken })
    }

    /// Reads the parts. The file is in the object store then, and goes unless it is settled.
    pub(super) async fn read(mut self, app: &App, tenant: TenantId) -> Result<Incoming> {
        let (mut kind, mut incoming) = (None, None);
        while let Some(part) = self.next(app).await? {
            match part.name() {
                Some("type") if kind.is_none() => kind = Some(part.kind().await?),
                Some("file") if incoming.is_none() => {
                    let wanted = Wanted::of(app, kind, part.declared()?);
                    incoming = Some(Box::pin(part.file(tenant, wanted)).await?);
                }
                Some(name @ ("type" | "file")) => return Err(Problem::field(name, "This part is given once.")),
                name => {
                    let name = printable(name.unwrap_or_default());
                    return Err(Problem::field(&name, "There is no such part: send `file`, and perhaps `type`."));
                }
            }
        }
        let incoming: Incoming = incoming.ok_or_else(|| Problem::field("file", "This part is required."))?;
        match kind {
            Some(kind) => incoming.sent_as(kind),
            None => Ok(incoming),
        }
    }

    /// The next part; `None` at the end of the form.
    pub(crate) async fn next(&mut self, app: &App) -> Result<Option<Part<'_>>> {
        let field = self.parts.next_field().await.map_err(|error| of_form(app, &error))?;
        self.taken.all();
        Ok(field.map(|field| Part { app: app.clone(), taken: self.taken.clone(), field, head: None }))
    }
}

/// What a file has to be.
pub(crate) struct Wanted {
    /// What it is to be sent as, if that is said; its first bytes have to fit.
    pub(crate) kind: Option<MediaKind>,
    /// Of which type it is said to be, if that counts; its first bytes have to fit.
    pub(crate) declared: Option<String>,
    /// The most bytes.
    pub(crate) most: u64,
}

impl Wanted {
    /// As large as the deployment's limits for the kind allow.
    fn of(app: &App, kind: Option<MediaKind>, declared: Option<String>) -> Self {
        let most = kind.map_or_else(|| app.limits.most_bytes(), |kind| app.limits.bytes(kind));
        Self { kind, declared, most }
    }
}

/// A part, as its bytes come.
pub(crate) struct Part<'a> {
    app: App,
    taken: Taken,
    field: Field<'a>,
    /// What was looked at before, and is to be read again.
    head: Option<Bytes>,
}

impl Part<'_> {
    /// Its name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.field.name()
    }

    /// The name of the file in it, as it came.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.field.file_name()
    }

    /// The type that it is said to have.
    fn declared(&self) -> Result<Option<String>> {
        let declared = self.field.content_type().map(str::to_owned);
        if declared.as_ref().is_some_and(|declared| declared.len() > TYPE || declared.chars().any(char::is_control)) {
            return Err(Problem::field("file", "The file's Content-Type is not well-formed."));
        }
        Ok(declared)
    }

    /// The next bytes; `None` at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if let Some(head) = self.head.take() {
            return Ok(Some(head));
        }
        let bytes = self.field.chunk().await.map_err(|error| of_form(&self.app, &error))?;
        self.taken.all();
        Ok(bytes)
    }

    /// Its first bytes, or all of them; they come again.
    async fn head(&mut self) -> Result<Bytes> {
        let mut head = BytesMut::new();
        while head.len() < HEAD_BYTES
            && let Some(bytes) = self.next().await?
        {
            head.extend_from_slice(&bytes);
        }
        let head = head.freeze();
        self.head = Some(head.clone());
        Ok(head)
    }

    /// The part as a text of at most `most` bytes; `None` if it is longer, or no text. What is longer is not read.
    pub(crate) async fn text(mut self, most: usize) -> Result<Option<String>> {
        let mut text = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            text.extend_from_slice(&bytes);
            if text.len() > most {
                return Ok(None);
            }
        }
        Ok(String::from_utf8(text.to_vec()).ok())
    }

    async fn kind(self) -> Result<MediaKind> {
        let text = self.text(TEXT).await?;
        let wrong = || Problem::field("type", "The type is image, video, audio, document or sticker.");
        text.as_deref().and_then(MediaKind::parse).ok_or_else(wrong)
    }

    /// Judges the file by its first bytes, and stores it.
    pub(crate) async fn file(mut self, tenant: TenantId, wanted: Wanted) -> Result<Incoming> {
        let filename = self.field.file_name().and_then(sanitised_filename);
        let head = self.head().await?;
        if head.is_empty() {
            return Err(Problem::field("file", "The file is empty."));
        }
        let Wanted { kind, declared, most } = wanted;
        let Inspected { mime_type, .. } = inspect(&head, declared.as_deref(), kind, self.app.limits.max_pixels)
            .map_err(|reason| refused(&self.app, reason))?;
        drop(head);
        let mut incoming = Incoming::begin(&self.app, tenant, kind, mime_type, filename).await?;
        incoming.store(&mut self, most).await?;
        Ok(incoming)
    }
}

fn of_form(app: &App, error: &MultipartError) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        match inner.downcast_ref::<Broken>() {
            Some(Broken::Slow) => {
                let detail = "The body did not arrive in time.";
                return Problem::http(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail);
            }
            Some(Broken::Large) => return too_large(app.limits.most_bytes()),
            Some(Broken::Off) => return incomplete(),
            Some(Broken::Shapeless) => break,
            None => cause = inner.source(),
        }
    }
    let detail = "The body is not a well-formed multipart/form-data.";
    Problem::http(StatusCode::BAD_REQUEST, "invalid_form", detail)
}

fn incomplete() -> Problem {
    Problem::http(StatusCode::BAD_REQUEST, "incomplete_body", "The body ended before it was complete.")
}
