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
pub(super) struct Form {
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
        while let Some(field) = self.parts.next_field().await.map_err(|error| of_form(app, &error))? {
            self.taken.all();
            let part = Part { app: app.clone(), taken: self.taken.clone(), field, head: None };
            match part.field.name() {
                Some("type") if kind.is_none() => kind = Some(part.kind().await?),
                Some("file") if incoming.is_none() => incoming = Some(Box::pin(part.file(tenant, kind)).await?),
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
}

/// A part, as its bytes come.
pub(super) struct Part<'a> {
    app: App,
    taken: Taken,
    field: Field<'a>,
    /// What was looked at before, and is to be read again.
    head: Option<Bytes>,
}

impl Part<'_> {
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

    async fn kind(mut self) -> Result<MediaKind> {
        let wrong = || Problem::field("type", "The type is image, video, audio, document or sticker.");
        let mut text = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            text.extend_from_slice(&bytes);
            if text.len() > TEXT {
                return Err(wrong());
            }
        }
        std::str::from_utf8(&text).ok().and_then(MediaKind::parse).ok_or_else(wrong)
    }

    /// Judges the file by its first bytes, and stores it.
    async fn file(mut self, tenant: TenantId, kind: Option<MediaKind>) -> Result<Incoming> {
        let filename = self.field.file_name().and_then(sanitised_filename);
        let declared = self.field.content_type().map(str::to_owned);
        if declared.as_ref().is_some_and(|declared| declared.len() > TYPE || declared.chars().any(char::is_control)) {
            return Err(Problem::field("file", "The file's Content-Type is not well-formed."));
        }
        let head = self.head().await?;
        if head.is_empty() {
            return Err(Problem::field("file", "The file is empty."));
        }
        let Inspected { mime_type, .. } = inspect(&head, declared.as_deref(), kind, self.app.limits.max_pixels)
            .map_err(|reason| refused(&self.app, reason))?;
        drop(head);
        let mut incoming = Incoming::begin(&self.app, tenant, kind, mime_type, filename).await?;
        incoming.store(&mut self).await?;
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
