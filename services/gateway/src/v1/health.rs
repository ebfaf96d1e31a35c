//! `GET /healthz`, `GET /readyz`: the status only, for load balancers. Details are on the admin port.

use crate::state::App;
use axum::{Json, extract::State, http::StatusCode};
use serde_json::{Value, json};

/// The process lives.
pub(crate) async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether requests should come here.
pub(crate) async fn ready(State(app): State<App>) -> (StatusCode, Json<Value>) {
    if app.lifecycle.is_stopping() {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"})))
    } else if app.health.is_ready() {
        (StatusCode::OK, Json(json!({"status": "ready"})))
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "not_ready"})))
    }
}
