//! Around every request: its id, span, time limit and figures; panics and errors become problems here.

use crate::{problem::Problem, seed, state::App, v1};
use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures::FutureExt as _;
use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};
use tracing::Instrument as _;
use warren_domain::{ErrorKind, RequestId};

const HEADER: &str = "x-request-id";

/// The outermost layer of the router.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let version = request.version();
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let span = tracing::info_span!("http.request", request.id = %id, http.method = method(&request), http.route = route);

    let limit = time_limit(&app, route, request.method());
    let is_seeds = app.seed.is_some() && seed::owns(request.uri().path());
    let answered = answer(&app, request, next, limit).instrument(span.clone()).await;
    let response = span.in_scope(|| finished(answered, &id, version, is_seeds));
    let seconds = started.elapsed().as_secs_f64();
    app.telemetry.requests.with_label_values(&[route, response.status().as_str()]).observe(seconds);
    response
}

/// How long a request may take. An upload has limits of its own: it is as long as its sender makes progress.
fn time_limit(app: &App, route: &str, method: &Method) -> Duration {
    let is_upload = (route == v1::media::upload::PATH || seed::is_upload(route)) && method == Method::POST;
    if is_upload { v1::media::upload::LONGEST } else { app.options.request_timeout() }
}

async fn answer(app: &App, request: Request, next: Next, limit: Duration) -> Response {
    let Ok(_permit) = app.in_flight.try_acquire() else {
        return Problem::new(ErrorKind::Unavailable, "overloaded", "Too many requests at once; try again.").into_response();
    };
    let work = AssertUnwindSafe(next.run(request)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(response)) => response,
        Ok(Err(_panic)) => Problem::internal("a handler panicked").into_response(),
        Err(_) => Problem::new(ErrorKind::Timeout, "timeout", "The request took too long; its outcome is not known.")
            .into_response(),
    }
}

/// Gives errors their body, on the seed's paths in its form, and every response its id.
fn finished(mut response: Response, id: &str, version: Version, is_seeds: bool) -> Response {
    let status = response.status();
    let is_shaped = response.extensions_mut().remove::<seed::Shaped>().is_some();
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| {
        // What axum itself answered: 404, 405, 413, 426.
        (!is_shaped && (status.is_client_error() || status.is_server_error())).then(|| Problem::of_status(status))
    });
    if let Some(problem) = &problem {
        log(problem);
    }
    if let Some(problem) = problem.as_ref().filter(|_| is_seeds && !is_shaped) {
        *response.body_mut() = Body::from(seed::global(problem).to_string());
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if let Some(problem) = problem.filter(|_| !is_shaped) {
        let allow = response.headers_mut().remove(header::ALLOW);
        response = problem.render(id, version);
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HEADER, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn log(problem: &Problem) {
    match (problem.kind(), problem.cause()) {
        (ErrorKind::Internal, cause) => tracing::error!(code = problem.code(), error = cause, "the request failed"),
        (ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::OwnershipLost, cause) => {
            tracing::warn!(code = problem.code(), error = cause, "the request could not be carried out now");
        }
        _ => tracing::debug!(code = problem.code(), status = problem.status().as_u16(), "the request was refused"),
    }
}

/// The caller's id for its request if it is harmless, else a fresh one.
fn request_id(request: &Request) -> String {
    request
        .headers()
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|text| (1..=128).contains(&text.len()))
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')))
        .map_or_else(|| RequestId::generate().to_string(), str::to_owned)
}

/// The method as a name from a closed list: any token may stand there.
fn method(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "PUT" => "PUT",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// What no route matches.
pub(crate) async fn unmatched() -> Problem {
    Problem::of_status(StatusCode::NOT_FOUND)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;
    use crate::{LinkKey, Options, Ports, state::Gateway};
    use axum::{Router, middleware::from_fn_with_state, routing::get};
    use http_body_util::BodyExt as _;
    use std::sync::Arc;
    use tower::ServiceExt as _;
    use warren_domain::{Network, media::MediaLimits, time::SystemClock};
    use warren_egress::{Guard, Policy};
    use warren_runtime::{Health, Lifecycle, Metrics};

    async fn app(options: Options, store: &std::path::Path) -> App {
        // Another test of this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ledger = warren_sqlite::Sqlite::open(warren_sqlite::Options::new(store, Network::Whatsapp)).await.unwrap();
        let ports = Ports {
            ledger: Arc::new(ledger),
            bus: Arc::new(warren_memory::Bus::new()),
            limiter: Arc::new(warren_memory::Limiter::new()),
            clock: Arc::new(SystemClock),
            metrics: Metrics::new(),
            admin_key: None,
            health: Health::new(),
            objects: Arc::new(warren_objects::ObjectStorage::folder(&store.join("media")).await.unwrap()),
            limits: MediaLimits::default(),
            egress: Guard::new(Policy::default()).unwrap(),
            link_key: LinkKey::new([1; 32]),
            seed: None,
        };
        Gateway::new(options, ports, Lifecycle::new())
    }

    async fn get_body(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn panics() -> &'static str {
        panic!("canary-4711")
    }

    #[tokio::test]
    async fn row_83_a_panic_is_500_and_stays_with_its_request() {
        let store = tempfile::tempdir().unwrap();
        let app = app(Options { request_timeout_ms: 100, ..Options::default() }, store.path()).await;
        let router = Router::new()
            .route("/panic", get(panics))
            .route("/hang", get(|| async { std::future::pending::<()>().await }))
            .route("/fine", get(|| async { "fine" }))
            .layer(from_fn_with_state(Arc::clone(&app), observe))
            .with_state(app);
        let (status, body) = get_body(&router, "/panic").await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(body.contains("request_id") && !body.contains("canary"), "{body}");
        assert_eq!(get_body(&router, "/hang").await.0, StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(get_body(&router, "/fine").await, (StatusCode::OK, "fine".to_owned()));
    }

    #[tokio::test]
    async fn more_requests_than_can_be_worked_on_are_503() {
        let store = tempfile::tempdir().unwrap();
        let app = app(Options { requests: 1, request_timeout_ms: 300, ..Options::default() }, store.path()).await;
        let router = Router::new()
            .route("/hang", get(|| async { std::future::pending::<()>().await }))
            .layer(from_fn_with_state(Arc::clone(&app), observe))
            .with_state(app);
        let (one, other) = tokio::join!(get_body(&router, "/hang"), get_body(&router, "/hang"));
        assert_eq!((one.0, other.0), (StatusCode::GATEWAY_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE));
        assert!(other.1.contains("overloaded"));
    }
}
