//! `GET /openapi.json`, and `GET /docs`: a page that shows it. Everything comes from this server, nothing is remembered, and
//! what is tried out from the page is an ordinary request with the key that was typed there.

use crate::{
    openapi,
    problem::{Problem, Result},
};
use axum::{
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use std::sync::Arc;

const PAGE: &str = include_str!("docs/page.html");
const START: &str = include_str!("docs/start.js");
/// What the page needs of the library's files; the rest of them is not served.
const LIBRARY: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];
/// Scripts and styles from here only, none of them inline; requests to here only; the page stands in no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// This document.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "service",
    operation_id = "readDocument",
    responses((status = 200, description = "The description of this API (OpenAPI 3.1).", body = Object)),
    security(())
)]
pub(crate) async fn document() -> Response {
    file("application/json", openapi::text().into())
}

/// A page that shows this document.
#[utoipa::path(
    get,
    path = "/docs",
    tag = "service",
    operation_id = "readDocs",
    responses((status = 200, description = "The page.", body = String, content_type = "text/html")),
    security(())
)]
pub(crate) async fn page() -> Response {
    file("text/html; charset=utf-8", PAGE.into())
}

/// The scripts and styles of that page.
#[utoipa::path(
    get,
    path = "/docs/{file}",
    tag = "service",
    operation_id = "readDocsFile",
    params(("file" = String, Path, description = "The name of the file.", example = "start.js")),
    responses(
        (status = 200, description = "The file.", content((String = "text/javascript"), (String = "text/css"))),
        openapi::NotFound
    ),
    security(())
)]
pub(crate) async fn asset(Path(name): Path<String>) -> Result<Response> {
    if name == "start.js" {
        return Ok(file("text/javascript; charset=utf-8", START.into()));
    }
    if !LIBRARY.contains(&name.as_str()) {
        return Err(Problem::not_found());
    }
    let found = utoipa_swagger_ui::serve(&name, Arc::default()).map_err(|error| Problem::internal(error.to_string()))?;
    let found = found.ok_or_else(|| Problem::internal("a file of the page is not there"))?;
    let kind = if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
    let mut response = file(kind, found.bytes.into_owned().into());
    if found.gzpipped {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

fn file(kind: &'static str, body: axum::body::Bytes) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Another version of the server has another document under the same name.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    (headers, body).into_response()
}
