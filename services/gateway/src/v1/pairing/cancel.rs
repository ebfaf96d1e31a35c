//! `DELETE /v1/instances/{instance}/pairing` -> 204

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Id,
    problem::Result,
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::InstanceId;
use warren_ports::bus::Action;

/// Cancel the pairing.
#[utoipa::path(
    delete,
    path = "/v1/instances/{instance}/pairing",
    tag = "pairing",
    operation_id = "cancelPairing",
    params(("instance" = InstanceId, Path)),
    responses((status = 204, description = "It is cancelled."), Problems)
)]
pub(crate) async fn handler(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        gateway.ask(tenant, id, Action::CancelPairing).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
