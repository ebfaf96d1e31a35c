//! Who is in a group, and as what: `POST /v1/instances/{instance}/groups/{group}/participants` `{participants}` adds,
//! `.../participants/remove`, `/promote` and `/demote` do what they say -> 200 with a result a person.

use super::{ask, people, unexpected};
use crate::{
    auth::Writer,
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::Ids,
    problem::Result,
    state::App,
    v1::recipient::GroupAddress,
};
use axum::{extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warren_domain::{InstanceId, TenantId, group::MemberOutcome};
use warren_ports::bus::ask::{GroupAnswer, GroupAsk, MemberAction};

/// People of a group, or for it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"participants": ["+628123456789"]})))]
pub(crate) struct People {
    /// Phone numbers, or addresses, of 1 to 1,024 people.
    participants: Vec<String>,
}

/// What became of each.
#[derive(Serialize, ToSchema)]
pub(crate) struct MemberOutcomes {
    data: Vec<MemberOutcome>,
}

/// Add people to a group.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/participants",
    tag = "groups",
    operation_id = "addParticipants",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    request_body = People,
    responses((status = 200, body = MemberOutcomes), Problems)
)]
pub(crate) async fn add(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<People>,
) -> Result<Response> {
    carry_out(app, caller.tenant, instance, group, MemberAction::Add, request).await
}

/// Remove people from a group.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/participants/remove",
    tag = "groups",
    operation_id = "removeParticipants",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    request_body = People,
    responses((status = 200, body = MemberOutcomes), Problems)
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<People>,
) -> Result<Response> {
    carry_out(app, caller.tenant, instance, group, MemberAction::Remove, request).await
}

/// Make members of a group its admins.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/participants/promote",
    tag = "groups",
    operation_id = "promoteParticipants",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    request_body = People,
    responses((status = 200, body = MemberOutcomes), Problems)
)]
pub(crate) async fn promote(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<People>,
) -> Result<Response> {
    carry_out(app, caller.tenant, instance, group, MemberAction::Promote, request).await
}

/// Make admins of a group its members.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/participants/demote",
    tag = "groups",
    operation_id = "demoteParticipants",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    request_body = People,
    responses((status = 200, body = MemberOutcomes), Problems)
)]
pub(crate) async fn demote(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<People>,
) -> Result<Response> {
    carry_out(app, caller.tenant, instance, group, MemberAction::Demote, request).await
}

async fn carry_out(
    app: App,
    tenant: TenantId,
    instance: InstanceId,
    group: String,
    action: MemberAction,
    request: Mutation<People>,
) -> Result<Response> {
    let gateway = app.clone();
    let work = move |body: People, _| async move {
        let people = people(&body.participants, 1)?;
        match ask(&gateway, tenant, instance, GroupAsk::Members { group, action, people }).await? {
            Some(GroupAnswer::Members(data)) => Answer::json(StatusCode::OK, &MemberOutcomes { data }),
            _ => Err(unexpected()),
        }
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}
