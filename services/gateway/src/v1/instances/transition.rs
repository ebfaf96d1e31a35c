//! `POST /v1/instances/{instance}/connect`, `/disconnect`, `/restart`, `/logout` -> 202 `{id, state, wait_for}`.
//!
//! The owner has taken it on; `wait_for` is the state that says it is done. What cannot be done in the instance's state
//! is 409 with the owner's reason.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    parameters::Id,
    problem::Result,
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use warren_domain::{InstanceId, InstanceState};
use warren_ports::bus::Action;

/// Connects, and stays connected.
pub(crate) async fn connect(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Connect, InstanceState::Online).await
}

/// Closes the connection, and stays away.
pub(crate) async fn disconnect(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Disconnect, InstanceState::Disconnected).await
}

/// Closes the connection and makes a new one.
pub(crate) async fn restart(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Restart, InstanceState::Online).await
}

/// Unlinks the device at WhatsApp.
pub(crate) async fn logout(
    state: State<App>,
    caller: Writer,
    id: Id<InstanceId>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    ask(state, caller, id, request, Action::Logout, InstanceState::LoggedOut).await
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
        let body = json!({"id": id, "state": state, "wait_for": wait_for});
        Ok(Answer::json(StatusCode::ACCEPTED, &body)?.at(format!("/v1/instances/{id}")))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
