//! `POST /v1/instances/{instance}/groups/{group}/leave` -> 204.

use super::ask;
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Ids,
    problem::Result,
    state::App,
    v1::recipient::GroupAddress,
};
use axum::{extract::State, http::StatusCode, response::Response};
use warren_domain::InstanceId;
use warren_ports::bus::ask::GroupAsk;

/// Leave a group.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/leave",
    tag = "groups",
    operation_id = "leaveGroup",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    responses((status = 204, description = "The account is not in the group any more."), Problems)
)]
pub(crate) async fn leave(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        ask(&gateway, tenant, instance, GroupAsk::Leave { group }).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
