//! `PUT /v1/instances/{instance}/presence` `{"state": "available" | "unavailable"}` -> 204,
//! `POST /v1/instances/{instance}/contacts/{contact}/presence/subscribe` -> 204

use super::{Contact, known_address};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::{Id, Ids},
    problem::Result,
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::InstanceId;
use warren_ports::bus::{Ask, ask::ContactAsk};

/// How the account shows itself to its contacts.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OwnPresence, examples(json!({"state": "available"})))]
pub(crate) struct Body {
    state: Presence,
}

/// Whether somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Presence {
    /// Shown as online. The account's own phone then shows no notifications.
    Available,
    /// Not shown as online.
    Unavailable,
}

/// Show the account as there, or not. A new connection shows it as there again.
#[utoipa::path(
    put,
    path = "/v1/instances/{instance}/presence",
    tag = "contacts",
    operation_id = "showPresence",
    params(("instance" = InstanceId, Path)),
    request_body = Body,
    responses((status = 204, description = "WhatsApp was told."), Problems)
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Body>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        gateway.instance(tenant, id).await?;
        let available = body.state == Presence::Available;
        gateway.ask_whatsapp(tenant, id, Ask::Contacts(ContactAsk::Presence { available })).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

/// Be told when a contact comes and leaves: `presence.updated` on the event stream, until the connection ends.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/contacts/{contact}/presence/subscribe",
    tag = "contacts",
    operation_id = "subscribePresence",
    params(("instance" = InstanceId, Path), ("contact" = String, Path)),
    responses((status = 204, description = "WhatsApp was asked."), Problems)
)]
pub(crate) async fn subscribe(
    State(app): State<App>,
    caller: Writer,
    Ids(id, contact): Ids<InstanceId, Contact>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        gateway.instance(tenant, id).await?;
        let contact = known_address(&gateway, tenant, id, contact).await?;
        gateway.ask_whatsapp(tenant, id, Ask::Contacts(ContactAsk::Subscribe { contact })).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
