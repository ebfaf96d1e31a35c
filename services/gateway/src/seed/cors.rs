//! Which pages may use the surface, and what is answered to `OPTIONS`: 200 without a body, always.

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The contract's methods and headers, for pages of these origins, with credentials.
pub(super) fn layer(origins: &[String]) -> CorsLayer {
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];
    let headers = [
        header::ORIGIN,
        header::CONTENT_TYPE,
        header::ACCEPT,
        HeaderName::from_static("x-requested-with"),
        header::AUTHORIZATION,
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods(methods)
        .allow_headers(headers)
        .allow_credentials(true)
}
