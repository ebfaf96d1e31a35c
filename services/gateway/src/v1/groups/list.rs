//! `GET /v1/instances/{instance}/groups` `?limit=&cursor=`: the groups that the account is in, by address.

use super::{ask, unexpected};
use crate::{
    auth::Reader,
    openapi::Problems,
    parameters::{Id, Parameters},
    problem::Result,
    state::App,
    v1::Page,
};
use axum::{extract::State, response::Response};
use utoipa::ToSchema;
use warren_domain::{InstanceId, Recipient, TenantId, group::Group};
use warren_ports::bus::ask::{GroupAnswer, GroupAsk};

/// How long a list is when nobody says, and how long it can be: each group comes with everybody who is in it.
const DEFAULT: u32 = 50;
pub(crate) const MOST: u32 = 100;

/// A stretch of the list of groups.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what the page writes")]
pub(crate) struct GroupPage {
    data: Vec<Group>,
    /// What to pass as `cursor` for the next stretch; `null` at the end.
    next_cursor: Option<String>,
}

/// List the groups that the account is in.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/groups",
    tag = "groups",
    operation_id = "listGroups",
    params(
        ("instance" = InstanceId, Path),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "At most so many; 50 if it is left out."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the stretch before.")
    ),
    responses((status = 200, body = GroupPage), Problems)
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Reader,
    Id(instance): Id<InstanceId>,
    mut query: Parameters,
) -> Result<Response> {
    let limit = query.limit(DEFAULT, MOST)?;
    let is_group = |text: &str| Recipient::parse(text).ok().map(|group| group.jid()).filter(|jid| Recipient::is_group(jid));
    let after = query.parsed("cursor", is_group)?;
    query.finish()?;
    let groups = stretch(&app, caller.tenant, instance, after, limit + 1).await?;
    Ok(Page::cut(groups, limit, |group: &Group| group.id.clone(), |group| group))
}

/// Up to `limit` of the groups that the account is in, by address, behind `after`.
pub(crate) async fn stretch(
    app: &App,
    tenant: TenantId,
    instance: InstanceId,
    after: Option<String>,
    limit: u32,
) -> Result<Vec<Group>> {
    match ask(app, tenant, instance, GroupAsk::List { after, limit }).await? {
        Some(GroupAnswer::List { groups }) => Ok(groups),
        _ => Err(unexpected()),
    }
}
