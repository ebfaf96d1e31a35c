//! `GET /healthz`, `GET /readyz`: the status only, for load balancers. Details are on the admin port.

use crate::state::App;
use axum::{Json, extract::State, http::StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

/// How the server is.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerHealth, examples(json!({"status": "ready"})))]
pub(crate) struct Health {
    status: Status,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ServerStatus)]
enum Status {
    /// The process lives.
    Ok,
    /// Requests may come.
    Ready,
    /// Something that requests need does not work.
    NotReady,
    /// The server stops.
    Draining,
}

/// Whether the process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "service",
    operation_id = "isAlive",
    responses((status = 200, description = "It lives.", body = Health)),
    security(())
)]
pub(crate) async fn alive() -> Json<Health> {
    Json(Health { status: Status::Ok })
}

/// Whether requests should come here.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "service",
    operation_id = "isReady",
    responses(
        (status = 200, description = "They should.", body = Health),
        (status = 503, description = "They should not, now.", body = Health)
    ),
    security(())
)]
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Health>) {
    if app.lifecycle.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: Status::Draining }))
    } else if app.health.is_ready() {
        (StatusCode::OK, Json(Health { status: Status::Ready }))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(Health { status: Status::NotReady }))
    }
}
