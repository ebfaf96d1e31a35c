//! Request bodies: read with limits, and errors that name the place but never repeat the text.

mod strict;

use crate::{
    problem::{Problem, Result},
    state::App,
};
use axum::{
    body::{Body, Bytes},
    extract::{FromRequest, Request},
    http::{HeaderMap, StatusCode, header},
};
use http_body_util::BodyExt as _;
use serde::{
    Deserialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Map, Value};
use std::time::Duration;
use strict::Strict;

/// So much of a body that is too large is still read (and dropped), so that the client can finish sending and read the
/// answer before the connection is closed.
const DRAINED: usize = 2 * 1024 * 1024;
const DRAINED_FOR: Duration = Duration::from_secs(2);
/// How deep brackets may be nested.
const DEPTH: usize = 100;
/// The largest `metadata`, bytes of JSON.
pub(crate) const METADATA_LIMIT: usize = 16 * 1024;

/// A JSON body. An empty one stands for `{}`.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let bytes = read(request, app).await?;
        parse(&bytes).map(Self)
    }
}

/// A request that takes no fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// Reads a body.
pub(crate) async fn read(request: Request, app: &App) -> Result<Bytes> {
    read_up_to(request, app, app.options.body_limit_bytes).await
}

/// Reads a body of a route that takes larger ones.
pub(crate) async fn read_up_to(request: Request, app: &App, limit: usize) -> Result<Bytes> {
    let (parts, body) = request.into_parts();
    let declared = check_headers(&parts.headers)?;
    if declared.is_some_and(|length| length > limit as u64) {
        drain(body).await;
        return Err(too_large());
    }
    let bytes = tokio::time::timeout(app.options.body_timeout(), collect(body, limit)).await.map_err(|_| {
        Problem::http(StatusCode::REQUEST_TIMEOUT, "body_timeout", "The body did not arrive in time.").closing()
    })??;
    if !bytes.is_empty() && !parts.headers.contains_key(header::CONTENT_TYPE) {
        return Err(not_json());
    }
    Ok(bytes)
}

/// Refuses what is no plain JSON, and returns the declared length.
fn check_headers(headers: &HeaderMap) -> Result<Option<u64>> {
    let encoded =
        headers.get(header::CONTENT_ENCODING).is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(Problem::http(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "Send the body as it is, without a Content-Encoding.",
        )
        .closing());
    }
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !(kind.starts_with("application/") && kind.ends_with("+json")) {
            return Err(not_json());
        }
    }
    Ok(headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok()))
}

fn not_json() -> Problem {
    Problem::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Send application/json.").closing()
}

fn too_large() -> Problem {
    Problem::http(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than this server takes.").closing()
}

async fn collect(mut body: Body, limit: usize) -> Result<Bytes> {
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::http(StatusCode::BAD_REQUEST, "incomplete_body", "The body ended before it was complete.").closing()
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + data.len() > limit {
            drain(body).await;
            return Err(too_large());
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.into())
}

async fn drain(mut body: Body) {
    let dropped = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DRAINED {
                break;
            }
        }
    };
    // Either way the connection is closed afterwards.
    let _ = tokio::time::timeout(DRAINED_FOR, dropped).await;
}

/// Reads JSON as a `T`: first whether it is JSON at all (400 if not), then whether it is what is asked for (422 if not), where
/// an object is nothing but an object (see [`strict`]).
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    check_syntax(bytes)?;
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::invalid("invalid_request", "The body is a JSON object."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(Strict(&mut reader)).map_err(|error| explain(&error))
}

fn check_syntax(bytes: &[u8]) -> Result<()> {
    if is_too_deep(bytes) {
        return Err(Problem::http(StatusCode::BAD_REQUEST, "invalid_json", "The body is nested too deeply."));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        return Err(Problem::http(StatusCode::BAD_REQUEST, "invalid_json", "The body is not UTF-8.")
            .with("line", line.into())
            .with("column", (before.len() - line_start + 1).into()));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let Err(error) = IgnoredAny::deserialize(&mut reader).and_then(|_| reader.end()) else { return Ok(()) };
    let (line, column) = (error.line(), error.column());
    let problem = if stands_for_a_number(bytes, line, column) {
        Problem::invalid("invalid_request", "JSON has no such number; line and column say where.")
    } else {
        Problem::http(
            StatusCode::BAD_REQUEST,
            "invalid_json",
            "The body is not valid JSON; line and column say where it stops making sense.",
        )
    };
    Err(problem.with("line", line.into()).with("column", column.into()))
}

/// Whether brackets are nested deeper than any request of ours: the parser must not recurse that far.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Says which field is wrong. What serde says is not repeated: it quotes the input.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let (line, column) = (error.inner().line(), error.inner().column());
    let message = error.inner().to_string();
    let named = |opening: &str| {
        let (name, _) = message.strip_prefix(opening)?.split_once('`')?;
        Some(name.to_owned())
    };
    let (name, detail) = if let Some(name) = named("missing field `") {
        (name, "This field is required.")
    } else if let Some(name) = named("unknown field `") {
        (name, "There is no such field.")
    } else if let Some(name) = named("duplicate field `") {
        (name, "This field is given twice.")
    } else if message.starts_with("number out of range") {
        (String::new(), "This number is larger than can be taken.")
    } else {
        (String::new(), "This field has the wrong type or an impossible value.")
    };
    // The path of a missing or unknown field ends above it, or at it.
    let field = match path.as_str() {
        "." => name,
        path if name.is_empty() || path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    Problem::field(&printable(&field), detail).with("line", line.into()).with("column", column.into())
}

/// `NaN` and `Infinity` are no JSON, but what is wrong with them is the value.
fn stands_for_a_number(bytes: &[u8], line: usize, column: usize) -> bool {
    let Some(text) = bytes.split(|byte| *byte == b'\n').nth(line.saturating_sub(1)) else { return false };
    let from = column.saturating_sub(2);
    let Some(rest) = text.get(from..) else { return false };
    rest.get(..12.min(rest.len())).is_some_and(|near| near.windows(3).take(3).any(|part| part == b"NaN" || part == b"Inf"))
}

/// A name from the request as it may stand in an answer: short and harmless.
pub(crate) fn printable(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '[' | ']')).take(100).collect()
}

/// Checks the caller's own data: at most 16 kB of JSON, without NUL characters (a store cannot keep them).
pub(crate) fn check_metadata(metadata: &Map<String, Value>) -> Result<()> {
    let size = serde_json::to_vec(metadata).map_err(Problem::internal)?.len();
    if size > METADATA_LIMIT {
        return Err(Problem::field("metadata", "Metadata is at most 16 kB of JSON."));
    }
    if metadata.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
        return Err(Problem::field("metadata", "Metadata holds a NUL character."));
    }
    Ok(())
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

/// Checks a name for people: 1 to 200 characters.
pub(crate) fn check_name(field: &'static str, name: &str) -> Result<()> {
    if name.trim().is_empty() || name.chars().count() > 200 {
        return Err(Problem::field(field, "A name has 1 to 200 characters."));
    }
    if name.contains('\0') {
        return Err(Problem::field(field, "A name holds a NUL character."));
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only read from JSON")]
        body: String,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only read from JSON")]
        text: Inner,
        #[serde(default)]
        #[expect(dead_code, reason = "only read from JSON")]
        count: u32,
    }

    fn problem(text: &str) -> (u16, String, String) {
        let problem = parse::<Outer>(text.as_bytes()).unwrap_err();
        let rendered = format!("{problem:?}");
        assert!(!rendered.contains("canary"));
        let field = problem.member("field").and_then(|field| field.as_str().map(str::to_owned)).unwrap_or_default();
        (problem.status().as_u16(), problem.code().to_owned(), field)
    }

    fn expect(text: &str, status: u16, code: &str, field: &str) {
        assert_eq!(problem(text), (status, code.to_owned(), field.to_owned()), "{text}");
    }

    #[test]
    fn what_is_no_json_is_400() {
        for text in ["{", "{\"text\":{\"body\":\"canary\"}} trailing", "[", "{\"text\":tru}", "\u{feff}{}"] {
            expect(text, 400, "invalid_json", "");
        }
        expect(&"[".repeat(10_000), 400, "invalid_json", "");
        expect(&format!("{{\"text\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)), 400, "invalid_json", "");
        expect("[1]", 422, "invalid_request", "");
    }

    #[test]
    fn wrong_data_is_422_and_names_the_field() {
        expect(r#"{}"#, 422, "invalid_request", "text");
        expect(r#"{"text":{}}"#, 422, "invalid_request", "text.body");
        expect(r#"{"text":{"body":7}}"#, 422, "invalid_request", "text.body");
        expect(r#"{"text":{"body":"canary","colour":1}}"#, 422, "invalid_request", "text.colour");
        expect(r#"{"text":{"body":"x"},"tenant_id":"canary"}"#, 422, "invalid_request", "tenant_id");
        expect(r#"{"text":{"body":"x"},"count":1e400}"#, 422, "invalid_request", "count");
        expect(r#"{"text":{"body":"x"},"count":NaN}"#, 422, "invalid_request", "");
        expect(r#"{"text":{"body":"x"},"count":-Infinity}"#, 422, "invalid_request", "");
        expect(r#"{"text":{"body":"x"},"count":9223372036854775808}"#, 422, "invalid_request", "count");
    }

    #[test]
    fn metadata_is_bounded() {
        let of = |value: &str| Map::from_iter([("k".to_owned(), Value::String(value.to_owned()))]);
        assert!(check_metadata(&of("'; DROP TABLE x; --")).is_ok());
        assert!(check_metadata(&of(&"x".repeat(METADATA_LIMIT))).is_err());
        assert!(check_metadata(&of("a\0b")).is_err());
    }
}
