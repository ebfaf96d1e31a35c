//! The description of the API (OpenAPI 3.1), made from the code: what every route says of itself is gathered by the router;
//! what they share is here, and is put in by [`complete`].

mod complete;
#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests;

use crate::router;
use std::{collections::BTreeMap, sync::LazyLock};
use utoipa::{
    IntoParams, IntoResponses, OpenApi, ToSchema,
    openapi::{Ref, RefOr, Response},
};

/// The parts that are not of one route.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Warren",
        description = "One API in front of any number of WhatsApp accounts.\n\n\
            Bodies are JSON with snake_case names, times are RFC 3339 in UTC, ids are 32 hex digits. Unknown fields and unknown \
            query parameters are refused. Errors are problem+json (RFC 9457) with a stable `code`. Another tenant's things \
            answer as unknown ones. Lists come in pages: pass `next_cursor` as `cursor` for the next one.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem)),
    tags(
        (name = "tenants", description = "Whose everything is. With the operator's key only; for every other key there is nothing here."),
        (name = "keys", description = "The keys of a tenant. With the operator's key only."),
        (name = "instances", description = "WhatsApp accounts linked here."),
        (name = "pairing", description = "Linking an instance to an account."),
        (name = "messages", description = "Messages, sent and received: one kind of resource."),
        (name = "chats", description = "What the others see this account doing."),
        (name = "contacts", description = "People, and what the account shows of itself."),
        (name = "groups", description = "Groups, and who is in them."),
        (name = "media", description = "Files of messages."),
        (name = "events", description = "The log of what happened, read or streamed."),
        (name = "webhooks", description = "Addresses to which events are posted, as Standard Webhooks says."),
        (name = "service", description = "About this server. Without a key.")
    )
)]
pub(crate) struct Document;

/// The document as it is served and committed: indented, its keys in alphabetical order.
pub(crate) fn text() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        // Plain data with text keys: always JSON.
        complete::complete(router::described()).map_or_else(|_| String::new(), |document| format!("{document:#}\n"))
    });
    &TEXT
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the schema of what the handlers take out of the query")]
pub(crate) struct Paging {
    /// How many items at most. Default 100.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before this one.
    #[param(pattern = "^[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// The answer to a request that was not carried out (RFC 9457). Some problems have further members.
#[derive(ToSchema)]
#[schema(examples(json!({
    "type": "urn:warren:problem:invalid_request",
    "title": "Unprocessable Entity",
    "status": 422,
    "code": "invalid_request",
    "detail": "This field is required.",
    "request_id": "0192f0c1a2b37d4e8f90a1b2c3d4e56f",
    "field": "text.body"
})))]
#[expect(dead_code, reason = "the schema of what problem.rs writes")]
pub(crate) struct Problem {
    /// `urn:warren:problem:` and the code.
    r#type: String,
    /// The status in words.
    title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong: stable, for programs.
    #[schema(pattern = "^[a-z0-9_]+$")]
    code: String,
    /// What went wrong and what to do, for people.
    detail: String,
    /// The id of this request, also in the header `x-request-id`.
    request_id: String,
    /// Which field or query parameter is wrong.
    #[schema(nullable = false)]
    field: Option<String>,
    /// In which line of the body, from 1.
    #[schema(nullable = false)]
    line: Option<u32>,
    /// At which character of that line, from 1.
    #[schema(nullable = false)]
    column: Option<u32>,
}

/// What every route may answer instead.
pub(crate) struct Problems;

/// Only the answer that there is no such thing.
pub(crate) struct NotFound;

/// The answer to a cursor that the log does not reach back to.
pub(crate) struct CursorExpired;

/// The answer to a request that is no WebSocket handshake.
pub(crate) struct UpgradeRequired;

/// Status, name of the response in the document, and what it means. The first are those that every route may answer.
const PROBLEMS: [(&str, &str, &str); 15] = [
    ("400", "BadRequest", "The request is not well-formed: JSON or a form that is none, or a header that makes no sense."),
    ("401", "Unauthenticated", "No credentials, or wrong ones."),
    ("403", "Forbidden", "The key does not allow this."),
    ("404", NOT_FOUND, "There is no such thing for this key."),
    ("408", "RequestTimeout", "The body did not arrive in time."),
    ("409", "Conflict", "The state of the thing does not allow it now."),
    ("413", "BodyTooLarge", "The body is larger than this server takes."),
    ("415", "UnsupportedMediaType", "The body is of another type than this route takes."),
    ("422", "Invalid", "A field has an impossible value."),
    ("429", "Exhausted", "A limit is reached; try again after `Retry-After` seconds."),
    ("500", "Internal", "Something went wrong on our side."),
    ("503", "Unavailable", "Something that is needed does not answer now; try again after `Retry-After` seconds."),
    ("504", "Timeout", "It took too long; its outcome is not known."),
    ("410", CURSOR_EXPIRED, "The log does not reach back so far any more; `oldest_cursor` says from where it does."),
    ("426", UPGRADE_REQUIRED, "Open this resource as a WebSocket."),
];
const NOT_FOUND: &str = "NotFound";
const CURSOR_EXPIRED: &str = "CursorExpired";
const UPGRADE_REQUIRED: &str = "UpgradeRequired";
const EVERYWHERE: usize = 13;

fn reference(status: &str, name: &str) -> (String, RefOr<Response>) {
    (status.to_owned(), Ref::from_response_name(name).into())
}

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        PROBLEMS.iter().take(EVERYWHERE).map(|(status, name, _)| reference(status, name)).collect()
    }
}

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([reference("404", NOT_FOUND)])
    }
}

impl IntoResponses for CursorExpired {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([reference("410", CURSOR_EXPIRED)])
    }
}

impl IntoResponses for UpgradeRequired {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        BTreeMap::from([reference("426", UPGRADE_REQUIRED)])
    }
}
