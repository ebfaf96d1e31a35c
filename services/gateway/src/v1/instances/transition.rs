//! `POST /v1/instances/{instance}/connect`, `/disconnect`, `/restart`, `/logout` -> 202 `{id, state, wait_for}`.
//!
//! The owner has taken it on; `wait_for` is the state that says it is done. What cannot be done in the instance's state
//! is 409 with the owner's reason.

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
use serde::Serialize;
use utoipa::ToSchema;
use warren_domain::{InstanceId, InstanceState};
use warren_ports::bus::Action;

/// Connect, and stay connected.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/connect",
    tag = "instances",
    operation_id = "connectInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 202, description = "It is begun; wait for the state `wait_for`.", body = Transition), Problems)
)]
pub(crate) async fn connect(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Connect, InstanceState::Online).await
}

/// Close the connection, and stay away.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/disconnect",
    tag = "instances",
    operation_id = "disconnectInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 202, description = "It is begun; wait for the state `wait_for`.", body = Transition), Problems)
)]
pub(crate) async fn disconnect(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Disconnect, InstanceState::Disconnected).await
}

/// Close the connection and make a new one.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/restart",
    tag = "instances",
    operation_id = "restartInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 202, description = "It is begun; wait for the state `wait_for`.", body = Transition), Problems)
)]
pub(crate) async fn restart(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Restart, InstanceState::Online).await
}

/// Unlink the device at WhatsApp.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/logout",
    tag = "instances",
    operation_id = "logoutInstance",
    params(("instance" = InstanceId, Path)),
    responses((status = 202, description = "It is begun; wait for the state `wait_for`.", body = Transition), Problems)
)]
pub(crate) async fn logout(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Logout, InstanceState::LoggedOut).await
}

/// What an instance is on the way to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(examples(json!({"id": "0192f0c1a2b37d4e8f90a1b2c3d4e52b", "state": "connecting", "wait_for": "online"})))]
struct Transition {
    id: InstanceId,
    /// The state it has now.
    state: InstanceState,
    /// The state that says it is done.
    wait_for: InstanceState,
}

async fn ask(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Nothing>,
    action: Action,
    wait_for: InstanceState,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        gateway.ask(tenant, id, action).await?;
        let state = gateway.instance(tenant, id).await?.state;
        let body = Transition { id, state, wait_for };
        Ok(Answer::json(StatusCode::ACCEPTED, &body)?.at(format!("/v1/instances/{id}")))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
