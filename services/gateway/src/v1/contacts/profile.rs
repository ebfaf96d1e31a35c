//! `PATCH /v1/instances/{instance}/profile` `{push_name?, about?}` -> 204: what the account shows of itself.

use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::{Problem, Result},
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::InstanceId;
use warren_ports::bus::{Ask, ask::ContactAsk};

/// What WhatsApp's own clients take, characters.
const NAME_CHARACTERS: usize = 25;
const ABOUT_CHARACTERS: usize = 139;

/// What is changed of what the account shows of itself; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProfilePatch, examples(json!({"push_name": "Acme Support", "about": "We answer within the hour"})))]
pub(crate) struct Body {
    /// Its name: 1 to 25 characters.
    #[schema(min_length = 1, max_length = 25)]
    push_name: Option<String>,
    /// What it says about itself: up to 139 characters, empty for nothing.
    #[schema(max_length = 139)]
    about: Option<String>,
}

/// Change what the account shows of itself.
#[utoipa::path(
    patch,
    path = "/v1/instances/{instance}/profile",
    tag = "contacts",
    operation_id = "updateProfile",
    params(("instance" = InstanceId, Path)),
    request_body = Body,
    responses((status = 204, description = "It is changed."), Problems)
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Writer,
    Id(id): Id<InstanceId>,
    request: Mutation<Body>,
) -> Result<Response> {
    check(&request.body)?;
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: Body, _| async move {
        gateway.instance(tenant, id).await?;
        let ask = ContactAsk::Profile { push_name: body.push_name, about: body.about };
        gateway.ask_whatsapp(tenant, id, Ask::Contacts(ask)).await?;
        Ok(Answer::empty(StatusCode::NO_CONTENT))
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

fn check(body: &Body) -> Result<()> {
    if body.push_name.is_none() && body.about.is_none() {
        return Err(Problem::invalid("invalid_request", "Name at least one of push_name and about."));
    }
    let fits = |text: &str, most: usize| text.chars().count() <= most && !text.chars().any(char::is_control);
    if body.push_name.as_deref().is_some_and(|name| name.trim().is_empty() || !fits(name, NAME_CHARACTERS)) {
        return Err(Problem::field("push_name", "A name has 1 to 25 characters, no control characters among them."));
    }
    if body.about.as_deref().is_some_and(|about| !fits(&about.replace('\n', " "), ABOUT_CHARACTERS)) {
        return Err(Problem::field("about", "This text has at most 139 characters, no control characters among them."));
    }
    Ok(())
}
