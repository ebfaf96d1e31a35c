//! The admin server: metrics and health in detail, on a port of its own that only operators reach.

use crate::{Health, Lifecycle, Metrics};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The longest a request may take; all of them answer from memory.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);

/// What the admin server shows.
#[derive(Debug, Clone)]
pub struct Admin {
    /// What `/metrics` renders.
    pub metrics: Metrics,
    /// What `/readyz` lists.
    pub health: Health,
    /// While it is stopping, `/readyz` says so.
    pub lifecycle: Lifecycle,
    /// The version `/healthz` names.
    pub version: &'static str,
}

#[derive(Debug, Serialize)]
struct Alive {
    status: &'static str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    draining: bool,
    checks: BTreeMap<&'static str, bool>,
}

impl Admin {
    /// Serves `/metrics`, `/healthz` and `/readyz` until `stop`: it answers during a drain too, so `stop` comes last.
    /// Returns once open requests are answered, at most five seconds later.
    ///
    /// # Errors
    /// When the listener is broken for good.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let hurry = stop.clone();
        let served = axum::serve(listener, self.router()).with_graceful_shutdown(stop.cancelled_owned());
        tokio::select! {
            result = async { served.await } => result,
            // A client that keeps its connection open must not hold up the end.
            () = async { hurry.cancelled().await; tokio::time::sleep(REQUEST_LIMIT).await } => Ok(()),
        }
    }

    fn router(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(alive))
            .route("/readyz", get(readiness))
            .with_state(self)
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], admin.metrics.render()).into_response()
}

async fn alive(State(admin): State<Admin>) -> Json<Alive> {
    Json(Alive { status: "ok", version: admin.version })
}

async fn readiness(State(admin): State<Admin>) -> (StatusCode, Json<Readiness>) {
    let draining = admin.lifecycle.is_stopping();
    let checks = admin.health.checks();
    if admin.health.is_ready() && !draining {
        (StatusCode::OK, Json(Readiness { status: "ready", draining, checks }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status: "not_ready", draining, checks }))
    }
}
