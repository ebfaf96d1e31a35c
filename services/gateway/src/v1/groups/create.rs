//! `POST /v1/instances/{instance}/groups` `{subject, participants, description?}` -> 201 with the group, and those who are
//! not in it.

use super::{ask, description, people, subject, unexpected};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Id,
    problem::Result,
    state::App,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{
    InstanceId,
    group::{Group, MemberOutcome},
};
use warren_ports::bus::ask::{GroupAnswer, GroupAsk};

/// A group to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"subject": "Weekend", "participants": ["+628123456789"], "description": "Where to?"})))]
pub(crate) struct NewGroup {
    /// Its name: 1 to 100 characters.
    subject: String,
    /// Phone numbers, or addresses, of at most 1,024 people; the account itself is in it anyway.
    #[serde(default)]
    participants: Vec<String>,
    /// At most 2,048 characters.
    description: Option<String>,
}

/// A group that was made.
#[derive(Serialize, ToSchema)]
pub(crate) struct CreatedGroup {
    /// The group as it is now.
    #[serde(flatten)]
    group: Group,
    /// Those who were asked for and are not in it: no WhatsApp, or they want to be asked. Adding them tells why.
    missing: Vec<MemberOutcome>,
}

/// Make a group.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups",
    tag = "groups",
    operation_id = "createGroup",
    params(("instance" = InstanceId, Path)),
    request_body = NewGroup,
    responses((status = 201, body = CreatedGroup), Problems)
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Writer,
    Id(instance): Id<InstanceId>,
    request: Mutation<NewGroup>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: NewGroup, _| async move {
        subject(&body.subject)?;
        let participants = people(&body.participants, 0)?;
        if let Some(text) = &body.description {
            description(text)?;
        }
        let text = body.description.filter(|text| !text.is_empty());
        let asked = GroupAsk::Create { subject: body.subject, participants, description: text };
        let Some(GroupAnswer::Created { group, missing }) = ask(&gateway, tenant, instance, asked).await? else {
            return Err(unexpected());
        };
        let location = format!("/v1/instances/{instance}/groups/{}", group.id);
        Ok(Answer::json(StatusCode::CREATED, &CreatedGroup { group: *group, missing })?.at(location))
    };
    request.once(&app, tenant, Repeat::MakesAnother, work).await
}
