//! `GET /v1/instances/{instance}/groups/{group}`, and `PATCH` `{subject?, description?, announce?, locked?}` -> 200 with the
//! group as it is now.

use super::{ask, description, subject, unexpected};
use crate::{
    auth::{Reader, Writer},
    idempotency::{Answer, Mutation, Repeat},
    openapi::Problems,
    parameters::{Ids, nullable},
    problem::{Problem, Result},
    state::App,
    v1::recipient::GroupAddress,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use utoipa::ToSchema;
use warren_domain::{InstanceId, TenantId, group::Group};
use warren_ports::bus::ask::{GroupAnswer, GroupAsk, GroupPatch};

/// What to change of a group; what is left out stays. At least one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"subject": "Next weekend", "announce": true})))]
pub(crate) struct GroupChanges {
    /// A new name: 1 to 100 characters.
    subject: Option<String>,
    /// A new description, at most 2,048 characters; `null` or empty for none.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    description: Option<Option<String>>,
    /// Whether only admins write.
    announce: Option<bool>,
    /// Whether only admins change subject and description.
    locked: Option<bool>,
}

/// Show a group that the account is in.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/groups/{group}",
    tag = "groups",
    operation_id = "getGroup",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    responses((status = 200, body = Group), Problems)
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Reader,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
) -> Result<Json<Group>> {
    show(&app, caller.tenant, instance, group).await.map(Json)
}

/// A group that the tenant's instance is in.
pub(crate) async fn show(app: &App, tenant: TenantId, instance: InstanceId, group: String) -> Result<Group> {
    match ask(app, tenant, instance, GroupAsk::Get { group }).await? {
        Some(GroupAnswer::Group(group)) => Ok(*group),
        _ => Err(unexpected()),
    }
}

/// Change what a group is called, and what its members may do.
///
/// WhatsApp takes the changes one by one, in the order in which they are listed here: when it refuses one, those before it
/// are made.
#[utoipa::path(
    patch,
    path = "/v1/instances/{instance}/groups/{group}",
    tag = "groups",
    operation_id = "updateGroup",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    request_body = GroupChanges,
    responses((status = 200, body = Group), Problems)
)]
pub(crate) async fn change(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<GroupChanges>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: GroupChanges, _| async move {
        let change = checked(body)?;
        match ask(&gateway, tenant, instance, GroupAsk::Change { group, change }).await? {
            Some(GroupAnswer::Group(group)) => Answer::json(StatusCode::OK, &*group),
            _ => Err(unexpected()),
        }
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

fn checked(body: GroupChanges) -> Result<GroupPatch> {
    let GroupChanges { subject: name, description: text, announce, locked } = body;
    let patch = GroupPatch { subject: name, description: text.map(Option::unwrap_or_default), announce, locked };
    if patch == GroupPatch::default() {
        return Err(Problem::invalid("invalid_request", "Name at least one of subject, description, announce and locked."));
    }
    patch.subject.as_deref().map_or(Ok(()), subject)?;
    patch.description.as_deref().map_or(Ok(()), description)?;
    Ok(patch)
}
