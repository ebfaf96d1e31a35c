//! `GET /v1/media/{media}/info` -> 200 with what is known of the file.

use super::{View, known};
use crate::{auth::Reader, openapi::Problems, parameters::Id, problem::Result, state::App};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use warren_domain::MediaId;

/// Read what is known of a file.
#[utoipa::path(
    get,
    path = "/v1/media/{media}/info",
    tag = "media",
    operation_id = "readMedia",
    params(("media" = MediaId, Path)),
    responses((status = 200, description = "What is known of it.", body = View), Problems)
)]
pub(crate) async fn handler(State(app): State<App>, caller: Reader, Id(id): Id<MediaId>) -> Result<Response> {
    Ok(Json(View::from(known(&app, caller.tenant, id).await?)).into_response())
}
