//! Errors as clients see them: RFC 9457 problem+json with a stable `code` and the request's id.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, Version, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, fmt, sync::Arc, time::Duration};
use warren_domain::{Error, ErrorKind};

/// The answer to a request that was not carried out. What it shows is safe to show; the cause is for the log only.
///
/// As a response it is only a status with the problem attached: [`crate::request::observe`] writes the body, because it
/// knows the request's id.
#[derive(Clone)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone)]
struct Parts {
    kind: ErrorKind,
    status: StatusCode,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    members: Map<String, Value>,
    retry_after_seconds: Option<u32>,
    close: bool,
    cause: Option<Arc<Error>>,
}

/// A result with a [`Problem`].
pub(crate) type Result<T, E = Problem> = std::result::Result<T, E>;

/// The one mapping from what went wrong to an HTTP status.
const fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable | ErrorKind::OwnershipLost => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Problem {
    /// A problem of `kind`.
    pub(crate) fn new(kind: ErrorKind, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        let status = status_of(kind);
        let wait = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE).then_some(1);
        Self(Box::new(Parts {
            kind,
            status,
            code: code.into(),
            detail: detail.into(),
            members: Map::new(),
            retry_after_seconds: wait,
            close: false,
            cause: None,
        }))
    }

    /// A problem that only HTTP knows, such as 413.
    pub(crate) fn http(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        let mut problem = Self::new(ErrorKind::Invalid, code, detail);
        problem.0.status = status;
        problem
    }

    /// The request asks for something impossible.
    pub(crate) fn invalid(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Invalid, code, detail)
    }

    /// A field has an impossible value.
    pub(crate) fn field(field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::invalid("invalid_request", detail).with("field", json!(field))
    }

    /// There is no such thing for this caller.
    pub(crate) fn not_found() -> Self {
        Error::not_found().into()
    }

    /// A defect.
    pub(crate) fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::internal(cause).into()
    }

    /// The same problem with a further member.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.0.members.insert(name.to_owned(), value);
        self
    }

    /// The same problem, telling when to come again.
    #[must_use]
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// The same problem, telling to come again when this time is over: whole seconds, and one more.
    #[must_use]
    pub(crate) fn retry_in(self, wait: Duration) -> Self {
        self.retry_after(u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX))
    }

    /// The same problem, after which the connection is closed: the rest of the request was not read.
    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    pub(crate) const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// What went wrong and what to do, for people: safe to show.
    pub(crate) fn detail(&self) -> &str {
        &self.0.detail
    }

    /// When to come again, if that is known.
    pub(crate) const fn retry_after_seconds(&self) -> Option<u32> {
        self.0.retry_after_seconds
    }

    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is logged and never sent: the chain of causes.
    pub(crate) fn cause(&self) -> Option<String> {
        let error = self.0.cause.as_deref()?;
        let mut chain = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            chain.push_str(": ");
            chain.push_str(&cause.to_string());
            source = cause.source();
        }
        Some(chain)
    }

    /// The problem for a status that something below the handlers answered.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => ("not_found", "There is no such resource."),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This resource does not take that method; see Allow."),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "The body is larger than this server takes."),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "Send application/json."),
            StatusCode::UPGRADE_REQUIRED => ("upgrade_required", "Open this resource as a WebSocket."),
            status if status.is_server_error() => ("internal", "Something went wrong on our side."),
            _ => ("bad_request", "The request is not well-formed."),
        };
        let mut problem = Self::http(status, code, detail);
        if status.is_server_error() {
            problem.0.kind = ErrorKind::Internal;
        }
        problem
    }

    /// What is shown of it, but for the request's id: as one result among several.
    pub(crate) fn members(&self) -> Map<String, Value> {
        let parts = &*self.0;
        let mut body = Map::new();
        body.insert("type".into(), format!("urn:warren:problem:{}", parts.code).into());
        body.insert("title".into(), parts.status.canonical_reason().unwrap_or("Error").into());
        body.insert("status".into(), parts.status.as_u16().into());
        body.insert("code".into(), parts.code.as_ref().into());
        body.insert("detail".into(), parts.detail.as_ref().into());
        body.extend(parts.members.clone());
        body
    }

    /// The whole response.
    pub(crate) fn render(&self, request_id: &str, version: Version) -> Response {
        let parts = &*self.0;
        let mut body = self.members();
        body.insert("request_id".into(), request_id.into());
        let mut response = Response::new(Body::from(Value::Object(body).to_string()));
        *response.status_mut() = parts.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = parts.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if parts.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"warren\""));
        }
        // A connection header is an error in HTTP/2.
        if parts.close && version <= Version::HTTP_11 {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let mut problem = Self::new(error.kind, error.code, error.detail.clone());
        if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::Timeout) {
            problem.0.cause = Some(Arc::new(error));
        }
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({} {})", self.0.status.as_u16(), self.0.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_status() {
        let kinds = [
            (ErrorKind::Invalid, 422),
            (ErrorKind::Unauthenticated, 401),
            (ErrorKind::Forbidden, 403),
            (ErrorKind::NotFound, 404),
            (ErrorKind::Conflict, 409),
            (ErrorKind::Gone, 410),
            (ErrorKind::Exhausted, 429),
            (ErrorKind::Unavailable, 503),
            (ErrorKind::OwnershipLost, 503),
            (ErrorKind::Timeout, 504),
            (ErrorKind::Internal, 500),
        ];
        for (kind, status) in kinds {
            assert_eq!(Problem::new(kind, "x", "y").status().as_u16(), status);
        }
    }

    #[test]
    fn says_when_to_come_again_and_closes_only_http_1() {
        let full = Problem::new(ErrorKind::Exhausted, "queue_full", "Later.").closing();
        let response = full.render("r1", Version::HTTP_11);
        assert_eq!(response.headers().get(header::RETRY_AFTER), Some(&HeaderValue::from_static("1")));
        assert_eq!(response.headers().get(header::CONNECTION), Some(&HeaderValue::from_static("close")));
        assert!(full.render("r1", Version::HTTP_2).headers().get(header::CONNECTION).is_none());
    }

    #[test]
    fn what_is_behind_it_is_not_shown() {
        let problem = Problem::from(Error::internal("row 17 is broken"));
        assert!(!format!("{problem:?}").contains("17"));
        assert!(problem.cause().is_some());
    }
}
