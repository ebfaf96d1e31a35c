//! Invites, by which people join a group themselves:
//!
//! - `GET /v1/instances/{instance}/groups/{group}/invite` -> `{code, link}`; `POST .../invite/revoke` makes another one.
//! - `GET /v1/instances/{instance}/groups/invites/{code}`: the group it leads to, before joining.
//! - `POST /v1/instances/{instance}/groups/join` `{code | link}` -> `{group, state}`.

use super::{ask, unexpected};
use crate::{
    auth::{Reader, Writer},
    idempotency::{Answer, Mutation, Repeat},
    json::Nothing,
    openapi::Problems,
    parameters::Ids,
    problem::{Problem, Result},
    state::App,
    v1::recipient::GroupAddress,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use utoipa::ToSchema;
use warren_domain::{InstanceId, TenantId, group::Group};
use warren_ports::bus::ask::{GroupAnswer, GroupAsk};

/// Where WhatsApp's links lead to; the code follows.
const LINK: &str = "https://chat.whatsapp.com/";

/// The code of an invite. What is none is not found, like a code that does not exist.
pub(crate) struct Code(String);

impl FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let is_code = (8..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if is_code { Ok(Self(text.to_owned())) } else { Err(()) }
    }
}

impl Code {
    /// The code of a link as WhatsApp writes it.
    fn of_link(link: &str) -> Option<Self> {
        let link = link.trim();
        let rest = link.strip_prefix(LINK).or_else(|| link.strip_prefix(LINK.trim_start_matches("https://")))?;
        let path = rest.split(['?', '#']).next().unwrap_or_default();
        path.strip_prefix("invite/").unwrap_or(path).trim_end_matches('/').parse().ok()
    }
}

/// An invite to a group.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"code": "GhB4pTqZ7mK1dR9sWx2LcV", "link": "https://chat.whatsapp.com/GhB4pTqZ7mK1dR9sWx2LcV"})))]
pub(crate) struct GroupInvite {
    /// Its code.
    code: String,
    /// What people open to join.
    link: String,
}

/// An invite to accept: its code, or its link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"code": "GhB4pTqZ7mK1dR9sWx2LcV"})))]
pub(crate) struct AcceptInvite {
    /// The code.
    code: Option<String>,
    /// The link: `https://chat.whatsapp.com/...`.
    link: Option<String>,
}

/// What came of joining.
#[derive(Serialize, ToSchema)]
#[schema(examples(json!({"group": "120363041234567890@g.us", "state": "joined"})))]
pub(crate) struct Joined {
    /// The group's address.
    group: String,
    state: JoinState,
}

/// Whether the account is in the group now.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JoinState {
    /// It is.
    Joined,
    /// An admin has to approve it; `group.updated` tells when that is done.
    WaitingForApproval,
}

/// Show the invite of a group.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/groups/{group}/invite",
    tag = "groups",
    operation_id = "getGroupInvite",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    responses((status = 200, body = GroupInvite), Problems)
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Reader,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
) -> Result<Json<GroupInvite>> {
    invite(&app, caller.tenant, instance, GroupAsk::Invite { group, renew: false }).await.map(Json)
}

/// Revoke the invite of a group and make another one.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/{group}/invite/revoke",
    tag = "groups",
    operation_id = "revokeGroupInvite",
    params(("instance" = InstanceId, Path), ("group" = String, Path)),
    responses((status = 200, body = GroupInvite, description = "The new invite."), Problems)
)]
pub(crate) async fn revoke(
    State(app): State<App>,
    caller: Writer,
    Ids(instance, GroupAddress(group)): Ids<InstanceId, GroupAddress>,
    request: Mutation<Nothing>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |_, _| async move {
        let new = invite(&gateway, tenant, instance, GroupAsk::Invite { group, renew: true }).await?;
        Answer::json(StatusCode::OK, &new)
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

async fn invite(app: &App, tenant: TenantId, instance: InstanceId, asked: GroupAsk) -> Result<GroupInvite> {
    match ask(app, tenant, instance, asked).await? {
        Some(GroupAnswer::Invite(code)) => Ok(GroupInvite { link: format!("{LINK}{code}"), code }),
        _ => Err(unexpected()),
    }
}

/// Show the group that an invite leads to.
#[utoipa::path(
    get,
    path = "/v1/instances/{instance}/groups/invites/{code}",
    tag = "groups",
    operation_id = "previewGroupInvite",
    params(("instance" = InstanceId, Path), ("code" = String, Path, description = "The invite's code.", example = "GhB4pTqZ7mK1dR9sWx2LcV")),
    responses((status = 200, body = Group, description = "The group, without those who are in it."), Problems)
)]
pub(crate) async fn preview(
    State(app): State<App>,
    caller: Reader,
    Ids(instance, Code(code)): Ids<InstanceId, Code>,
) -> Result<Json<Group>> {
    match ask(&app, caller.tenant, instance, GroupAsk::Preview { code }).await? {
        Some(GroupAnswer::Group(group)) => Ok(Json(*group)),
        _ => Err(unexpected()),
    }
}

/// Join a group by an invite.
#[utoipa::path(
    post,
    path = "/v1/instances/{instance}/groups/join",
    tag = "groups",
    operation_id = "joinGroup",
    params(("instance" = InstanceId, Path)),
    request_body = AcceptInvite,
    responses((status = 200, body = Joined), Problems)
)]
pub(crate) async fn join(
    State(app): State<App>,
    caller: Writer,
    crate::parameters::Id(instance): crate::parameters::Id<InstanceId>,
    request: Mutation<AcceptInvite>,
) -> Result<Response> {
    let (gateway, tenant) = (app.clone(), caller.tenant);
    let work = move |body: AcceptInvite, _| async move {
        let Code(code) = accepted(&body)?;
        match ask(&gateway, tenant, instance, GroupAsk::Join { code }).await? {
            Some(GroupAnswer::Joined { group, waiting }) => {
                let state = if waiting { JoinState::WaitingForApproval } else { JoinState::Joined };
                Answer::json(StatusCode::OK, &Joined { group, state })
            }
            _ => Err(unexpected()),
        }
    };
    request.once(&app, tenant, Repeat::Harmless, work).await
}

fn accepted(body: &AcceptInvite) -> Result<Code> {
    match (&body.code, &body.link) {
        (Some(code), None) => code.parse().map_err(|()| Problem::field("code", "This is no code of an invite.")),
        (None, Some(link)) => Code::of_link(link)
            .ok_or_else(|| Problem::field("link", "A link of an invite begins with https://chat.whatsapp.com/.")),
        _ => Err(Problem::invalid("invalid_request", "Give the code of an invite, or its link.")),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_link_holds_a_code() {
        for link in [
            "https://chat.whatsapp.com/AbCdEfGh123456789012",
            "chat.whatsapp.com/AbCdEfGh123456789012",
            "https://chat.whatsapp.com/invite/AbCdEfGh123456789012/?mode=ac_t",
        ] {
            assert_eq!(Code::of_link(link).unwrap().0, "AbCdEfGh123456789012", "{link}");
        }
        for link in
            ["https://chat.whatsapp.com/", "https://example.org/AbCdEfGh123456789012", "https://chat.whatsapp.com/a/b"]
        {
            assert!(Code::of_link(link).is_none(), "{link}");
        }
        assert!("a/../../b".parse::<Code>().is_err() && "short".parse::<Code>().is_err());
        let body = |code: Option<&str>, link: Option<&str>| AcceptInvite {
            code: code.map(str::to_owned),
            link: link.map(str::to_owned),
        };
        assert!(accepted(&body(Some("AbCdEfGh123456789012"), None)).is_ok());
        assert!(accepted(&body(None, None)).is_err() && accepted(&body(Some("x"), Some("y"))).is_err());
    }
}
