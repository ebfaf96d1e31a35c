//! `DELETE /v1/media/{media}` -> 204: its bytes go at once. A message that still waits to be sent with it fails.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::MediaId;
use warren_ports::objects::ObjectName;

/// Delete a file.
#[utoipa::path(
    delete,
    path = "/v1/media/{media}",
    tag = "media",
    operation_id = "deleteMedia",
    params(("media" = MediaId, Path)),
    responses((status = 204, description = "It is gone."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<MediaId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        if !gateway.ledger.delete_media(tenant, id).await? {
            return Err(Problem::not_found());
        }
        // What cannot be removed now is removed by the upkeep: it is reported as expired until it is.
        match gateway.objects.delete(ObjectName { tenant, media: id }).await {
            Ok(()) => gateway.ledger.media_deleted(&[(tenant, id)]).await?,
            Err(error) => tracing::warn!(code = error.code, "a deleted file's bytes could not be removed yet"),
        }
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
