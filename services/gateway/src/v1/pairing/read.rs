//! `GET /v1/instances/{instance}/pairing` -> `{instance_id, state, qr, code, expires_at, reason}`

use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::Id,
    problem::Result,
    state::App,
    v1::pairing::{View, status},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use warren_domain::InstanceId;

/// Read how the pairing stands, with its current code.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/pairing",
    tag = "pairing",
    operation_id = "readPairing",
    params(("instance" = InstanceId, Path)),
    responses((status = 200, description = "The pairing.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, Id(id): Id<InstanceId>) -> Result<Response> {
    let pairing = status(&app, caller.tenant, id).await?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(View::new(id, pairing))).into_response())
}
